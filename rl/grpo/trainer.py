"""GRPO on the graph's own episodes: TRL trains, the graph owns the episode.

A small subclass of TRL's `GRPOTrainer`. It replaces how completions come to be (`_generate`) and how pictures reach the
model (TRL would render them again, and drops all pictures of a batch without a word if one count is off).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from graphs.policies.vision import patchify
from rl.grpo.refill import refill
from rl.grpo.shaping import Overlong
from rl.rollouts import Rollout, Runner
from rl.stream import StreamError


class GraphGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """Train a policy on groups of episodes.

    `runner` rolls out, `refills` says how often groups without variance are replaced by other tasks (DAPO's dynamic
    sampling; 0 keeps them), `overlong` takes reward from policy tokens beyond a limit, `parity_alarm` is the largest
    mean difference between the sampler's and the trainer's log-probabilities that is still believed.
    """

    def __init__(
        self,
        model: Any,
        runner: Runner,
        args: GRPOConfig,
        *,
        tokenizer: Any,
        seed: int,
        refills: int = 0,
        overlong: Overlong | None = None,
        parity_alarm: float = 0.05,
        on_rollouts: Any = None,
        policy: Any = None,
    ) -> None:
        self.runner, self.seed, self.refills, self.overlong = runner, seed, refills, overlong
        self.parity_alarm, self._on_rollouts, self._policy = parity_alarm, on_rollouts, policy
        self._pictures: dict[str, Any] = {}
        self._drawn = 0
        rows = [{"prompt": str(index)} for index in range(len(runner.source))]
        super().__init__(
            model=model,
            reward_funcs=[_reward],
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )

    def _generate(self, prompts: list[str]) -> tuple[Any, ...]:
        """Roll out one episode per prompt, which names a task; see TRL for the eight values."""
        rollouts = self._roll_out([int(prompt) for prompt in prompts])
        if self._on_rollouts is not None:
            self._on_rollouts(rollouts, self.state.global_step)
        streams = [rollout.stream for rollout in rollouts]
        self._pictures = self._collect_pictures(rollouts)
        self._note(rollouts)
        return (
            [list(stream.ids[: stream.prompt]) for stream in streams],
            [list(stream.ids[stream.prompt :]) for stream in streams],
            [list(stream.mask[stream.prompt :]) for stream in streams],
            [rollout.play.text for rollout in rollouts],
            [list(stream.logprobs[stream.prompt :]) for stream in streams],
            {"rollout_reward": [self._worth(rollout) for rollout in rollouts]},
            None,
            None,
        )

    def _roll_out(self, indices: Sequence[int]) -> list[Rollout]:
        group = self.num_generations if self.model.training else self.num_generations_eval
        wanted = [(index, self._seed()) for index in indices]
        rollouts = self.runner.run(wanted)
        whole = self._again_if_broken(wanted, rollouts)
        return refill(whole, group, self.refills, lambda picks: self._fresh(picks, group), self._next_task)

    def _again_if_broken(self, wanted: Sequence[tuple[int, int]], rollouts: list[Rollout | None]) -> list[Rollout]:
        """Repeat episodes in which a part of the system broke; StreamError if it stays broken."""
        for _ in range(3):
            broken = [at for at, rollout in enumerate(rollouts) if rollout is None]
            if not broken:
                break
            for at, rollout in zip(
                broken, self.runner.run([(wanted[at][0], self._seed()) for at in broken]), strict=True
            ):
                rollouts[at] = rollout
        kept = [rollout for rollout in rollouts if rollout is not None]
        if len(kept) < len(rollouts):
            raise StreamError("episodes keep breaking.", remedy="Look at the policy, the tools and the segmenter.")
        return kept

    def _fresh(self, indices: Sequence[int], group: int) -> list[Rollout]:
        wanted = [(index, self._seed()) for index in indices for _ in range(group)]
        return self._again_if_broken(wanted, self.runner.run(wanted))

    def _next_task(self) -> int:
        return self._seed() * 7919 % len(self.runner.source)

    def _seed(self) -> int:
        """Return a seed that no other episode of this run has, on any process."""
        self._drawn += 1
        number = self.seed * 1_000_003 + self._drawn
        return number * int(self.accelerator.num_processes) + int(self.accelerator.process_index)

    def _worth(self, rollout: Rollout) -> float:
        penalty = self.overlong.penalty(sum(rollout.stream.mask)) if self.overlong else 0.0
        return rollout.reward - penalty

    def _collect_pictures(self, rollouts: Sequence[Rollout]) -> dict[str, Any]:
        """Lay out the pictures of all rows, as the model's forward wants them."""
        refs = [(ref, rollout.result.images) for rollout in rollouts for ref in rollout.stream.images]
        known: dict[str, Tensor] = {}
        for ref, store in refs:
            if ref.sha256 not in known:
                known[ref.sha256] = patchify(store.get(ref.sha256))
        patch = self.runner.chatml.cell // 2
        device = self.accelerator.device
        return {
            "pixel_values": torch.cat([known[ref.sha256] for ref, _ in refs]).to(device),
            "image_grid_thw": torch.tensor(
                [[1, ref.height // patch, ref.width // patch] for ref, _ in refs], device=device
            ),
            "num_images": [len(rollout.stream.images) for rollout in rollouts],
        }

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        output |= self._pictures
        self._check_parity(output)
        self._pictures = {}
        return output

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *rest: Any, **kwargs: Any
    ) -> Any:
        """Add the pictures of these rows: the batch's own, or, while it is being scored, those just rolled out."""
        if kwargs.get("pixel_values") is None:
            kwargs |= self._pictures
        pad = self.runner.chatml.image_pad
        kwargs["mm_token_type_ids"] = (input_ids == pad).long()
        expected = (kwargs["image_grid_thw"].prod(-1).sum() // 4).item()
        if int((input_ids == pad).sum()) != expected:
            raise StreamError(
                f"the batch has {int((input_ids == pad).sum())} image tokens, its pictures need {int(expected)}.",
                remedy="Report this: rows and pictures were separated on the way.",
            )
        return super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *rest, **kwargs
        )

    @torch.no_grad()
    def _check_parity(self, output: dict[str, Any]) -> None:
        """Compare the log-probabilities of the sampler and the trainer; StreamError above the alarm."""
        rows = min(len(output["prompt_ids"]), 16)
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)[:rows]
        attended = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)[:rows]
        images = sum(self._pictures["num_images"][:rows])
        grid = self._pictures["image_grid_thw"][:images]
        some = {
            "pixel_values": self._pictures["pixel_values"][: int(grid.prod(-1).sum())],
            "image_grid_thw": grid,
            "num_images": self._pictures["num_images"][:rows],
        }
        kept = output["completion_ids"].shape[1]
        training = self.model.training
        self.model.eval()
        ours, _, _ = self._get_per_token_logps_and_entropies(self.model, ids, attended, kept, **some)
        self.model.train(training)
        mask = (output["completion_mask"] * output["tool_mask"])[:rows].bool()
        apart = (ours - output["sampling_per_token_logps"][:rows]).abs()[mask]
        mean, worst = float(apart.mean()), float(apart.max())
        self._log_metric("parity/mean", mean)
        self._log_metric("parity/max", worst)
        if not math.isfinite(mean) or mean > self.parity_alarm:
            raise StreamError(
                f"sampler and trainer disagree by {mean:.3g} a token on average (alarm above {self.parity_alarm:g}).",
                remedy="Check that both have the same weights, precision and pictures.",
            )

    def _note(self, rollouts: Sequence[Rollout]) -> None:
        """Log means over the episodes of this step."""
        for name in sorted({name for rollout in rollouts for name in rollout.components}):
            values = [rollout.components.get(name, 0.0) for rollout in rollouts]
            self._log_metric(f"components/{name}", sum(values) / len(values))
        counts = {
            "success": [float(rollout.success) for rollout in rollouts],
            "answered": [float(rollout.result.ending.answered) for rollout in rollouts],
            "searches": [float(rollout.result.usage.searches) for rollout in rollouts],
            "turns": [float(rollout.result.usage.turns) for rollout in rollouts],
            "policy_tokens": [float(sum(rollout.stream.mask)) for rollout in rollouts],
        }
        for name, values in counts.items():
            self._log_metric(f"episodes/{name}", sum(values) / len(values))


def _reward(prompts: Sequence[str], rollout_reward: Sequence[float], **_: Any) -> list[float]:
    """Hand TRL what the runner found each episode to be worth."""
    return list(rollout_reward)
