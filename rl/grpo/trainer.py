"""GRPO on the graph's own episodes: TRL trains, the graph owns the episode.

A small subclass of TRL's `GRPOTrainer`. It replaces how completions come to be (`_generate`) and how pictures reach the
model (TRL would render them again, and drops all pictures of a batch without a word if one count is off).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from graphs.policies.base import Sampling
from graphs.policies.chatml import ChatML
from rl.grpo.refill import refill
from rl.grpo.shaping import Overlong
from rl.pictures import Patches, pictures_of, pixel_inputs
from rl.records.decode import RecordedRows
from rl.rows import RowSource, TrainingRow
from rl.stream import StreamError

_TRIES = 3
"""How often an episode is played again if a part of the system broke."""

_MOST_BROKEN = 0.25
"""A step goes on without this share of its episodes at most, those of groups that were drawn anew included."""

_COMPARED = 16
"""How many rows of a batch, evenly spread over it, are compared between sampler and trainer, in each process."""


class GraphGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """Train a policy on groups of episodes.

    `rows` gives episodes; `chatml` is that of the policy's tokenizer. `refills` says how often groups without variance
    are replaced by other tasks (DAPO's dynamic sampling; 0 keeps them), which are those whose rewards lie within
    `even_spread`; each process must hold whole groups then. `overlong` takes reward from policy tokens
    beyond a limit, `parity_alarm` is the largest mean difference between the sampler's and the trainer's
    log-probabilities that is still believed (None: the rows are older than the policy, so there is none to expect).
    With `behaviour` the sampler's log-probabilities are the old ones of the ratio: for rows that are not the policy's
    latest, or that another engine sampled. `patches` is how the model cuts pictures (`load_patches`); `before_rollouts`
    is called with the trainer, on every process, before episodes are asked for.
    """

    def __init__(
        self,
        model: Any,
        rows: RowSource,
        chatml: ChatML,
        args: GRPOConfig,
        *,
        tokenizer: Any,
        seed: int,
        refills: int = 0,
        even_spread: float = 1e-6,
        overlong: Overlong | None = None,
        parity_alarm: float | None = 0.05,
        behaviour: bool = False,
        peft_config: Any = None,
        patches: Patches | None = None,
        before_rollouts: Callable[[Any], None] | None = None,
    ) -> None:
        self.rows, self.chatml, self.seed, self.refills, self.overlong = rows, chatml, seed, refills, overlong
        self.even_spread = even_spread
        self.parity_alarm, self.behaviour = parity_alarm, behaviour
        self._patches, self._before_rollouts = patches, before_rollouts
        self._pictures: dict[str, Any] = {}
        self._drawn, self._drawn_at = 0, -1
        self._played, self._broken = 0, 0
        if isinstance(rows, RecordedRows):
            rows.check_sampling(Sampling(temperature=args.temperature, top_p=args.top_p))
        args.shuffle_dataset = False  # the order is ours: TRL's begins anew where a run is resumed
        super().__init__(
            model=model,
            reward_funcs=[_reward],
            args=args,
            train_dataset=Dataset.from_list([{"prompt": str(task)} for task in task_order(len(rows), seed, args)]),
            processing_class=tokenizer,
            peft_config=peft_config,
        )

    def _generate(self, prompts: list[str]) -> tuple[Any, ...]:
        """Roll out one episode per prompt, which names a task; see TRL for the eight values."""
        group = self.num_generations if self.model.training else self.num_generations_eval
        start = perf_counter()
        if self._before_rollouts is not None:
            self._before_rollouts(self)
        self._log_metric("seconds/weights", perf_counter() - start)
        start = perf_counter()
        self._played, self._broken = 0, 0
        played = self._roll_out([int(prompt) for prompt in prompts])
        if self.refills:
            play = partial(self._groups, group=group)
            played = refill(played, group, self.refills, play, self._next_task, spread=self.even_spread)
        self._log_metric("seconds/rollouts", perf_counter() - start)
        self._log_metric("episodes/broken", self._broken / self._played)
        rows = _stand_in(played)
        streams = [row.stream for row in rows]
        numbers = [len(stream.images) for stream in streams]
        self._pictures = {
            **pixel_inputs(rows, self.chatml, self.accelerator.device, self._patches),
            "num_images": numbers,
        }
        self._note([row for row in played if row is not None])
        return (
            [list(stream.ids[: stream.prompt]) for stream in streams],
            [list(stream.ids[stream.prompt :]) for stream in streams],
            [list(stream.mask[stream.prompt :]) for stream in streams],
            [row.text for row in rows],
            [list(stream.logprobs[stream.prompt :]) for stream in streams],
            {"row_reward": [self._worth(row) for row in rows]},
            None,
            None,
        )

    def _roll_out(self, tasks: Sequence[int]) -> list[TrainingRow | None]:
        """Play one episode of each task; what breaks is played again, and is None if it stays broken.

        StreamError if too much of what this step has played so far is broken.
        """
        wanted = [(task, self._seed()) for task in tasks]
        rows = self.rows.run(wanted)
        for _ in range(_TRIES):
            broken = [at for at, row in enumerate(rows) if row is None]
            if not broken:
                break
            again = self.rows.run([(tasks[at], self._seed()) for at in broken])
            for at, row in zip(broken, again, strict=True):
                rows[at] = row
        self._played += len(rows)
        self._broken += rows.count(None)
        if self._broken > _MOST_BROKEN * self._played:
            raise StreamError("episodes keep breaking.", remedy="Look at the policy, the tools and the segmenter.")
        return rows

    def _groups(self, tasks: Sequence[int], group: int) -> list[TrainingRow | None]:
        return self._roll_out([task for task in tasks for _ in range(group)])

    def _next_task(self) -> int:
        return self._seed() * 7919 % len(self.rows)

    def _seed(self) -> int:
        """Return a seed that no other episode of this run has, on any process, and a resumed run has again.

        Those of a process follow on one another, so that a server can draw a group's turns at once.
        """
        step = int(self.state.global_step)
        self._drawn = self._drawn + 1 if step == self._drawn_at else 1
        self._drawn_at = step
        batch = (self.seed * 1_000_003 + step) * int(self.accelerator.num_processes)
        return (batch + int(self.accelerator.process_index)) * 1_000_003 + self._drawn

    def _worth(self, row: TrainingRow) -> float:
        penalty = self.overlong.penalty(sum(row.stream.mask)) if self.overlong else 0.0
        return row.reward - penalty

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        output |= self._pictures
        self._compare(output)
        if self.behaviour:
            output["old_per_token_logps"] = output["sampling_per_token_logps"]
        self._pictures = {}
        return output

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *rest: Any, **kwargs: Any
    ) -> Any:
        """Add the pictures of these rows: the batch's own, or, while it is being scored, those just rolled out."""
        if kwargs.get("pixel_values") is None:
            kwargs |= self._pictures
        pad = self.chatml.image_pad
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
    def _compare(self, output: dict[str, Any]) -> None:
        """Compare the log-probabilities of the sampler and the trainer on some rows; StreamError above the alarm."""
        total = len(output["prompt_ids"])
        rows = torch.linspace(0, total - 1, min(total, _COMPARED)).round().int().tolist()
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)[rows]
        attended = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)[rows]
        pixels, grid, numbers = pictures_of(rows, **self._pictures)
        training = self.model.training
        self.model.eval()
        ours, _, _ = self._get_per_token_logps_and_entropies(
            self.model,
            ids,
            attended,
            output["completion_ids"].shape[1],
            batch_size=int(self.args.per_device_train_batch_size),
            pixel_values=pixels,
            image_grid_thw=grid,
            num_images=numbers,
        )
        self.model.train(training)
        mask = (output["completion_mask"] * output["tool_mask"])[rows].bool()
        apart = (ours - output["sampling_per_token_logps"][rows]).abs()[mask]
        mean = float(self.accelerator.gather(apart.mean()).mean())
        # Not by _log_metric: what that collects now would be logged a step too late.
        metrics = self._metrics["train" if training else "eval"]
        metrics["parity/mean"].append(mean)
        metrics["parity/max"].append(float(self.accelerator.gather(apart.max()).max()))
        if self.parity_alarm is not None and not mean <= self.parity_alarm:
            raise StreamError(
                f"sampler and trainer disagree by {mean:.3g} a token on average (alarm above {self.parity_alarm:g}).",
                remedy="Check that both have the same weights, precision and pictures.",
            )

    def _note(self, rows: Sequence[TrainingRow]) -> None:
        """Log means over the episodes of this step."""
        values: dict[str, list[float]] = {"episodes/policy_tokens": [float(sum(row.stream.mask)) for row in rows]}
        for row in rows:
            for name, value in row.components.items():
                values.setdefault(f"components/{name}", []).append(value)
            for name, value in row.facts.items():
                values.setdefault(f"episodes/{name}", []).append(value)
        for name, found in values.items():
            self._log_metric(name, sum(found) / len(found))


def task_order(count: int, seed: int, args: GRPOConfig) -> list[int]:
    """Return which tasks a run asks for, in order: all of them, shuffled anew each time, as often as it needs.

    One batch more than `max_steps` needs, or `num_train_epochs` times all (of which a last part batch is left out).
    """
    group = args.num_generations
    batch = args.generation_batch_size // group
    if args.max_steps > 0:
        used = args.steps_per_generation * args.num_iterations
        needed = (math.ceil(args.max_steps * args.gradient_accumulation_steps / used) + 1) * batch
    else:
        needed = max(batch, math.ceil(args.num_train_epochs * count))
        args.num_train_epochs = 1
    rounds = [np.random.default_rng((seed, at)).permutation(count) for at in range(math.ceil(needed / count))]
    return [int(task) for task in np.concatenate(rounds)[:needed]]


def _stand_in(rows: Sequence[TrainingRow | None]) -> list[TrainingRow]:
    """Put an episode from which nothing is learnt in the place of each that stayed broken.

    Whichever task it is of, it touches no group, also where several processes share one: nothing of it is in the mask,
    and its reward is no number, so that TRL leaves it out of its group's mean and gives it no advantage.
    """
    whole = next(row for row in rows if row is not None)
    stream = replace(whole.stream, mask=(0,) * len(whole.stream.mask), logprobs=(0.0,) * len(whole.stream.logprobs))
    idle = replace(whole, stream=stream, reward=math.nan, text="")
    return [idle if row is None else row for row in rows]


def _reward(prompts: Sequence[str], row_reward: Sequence[float], **_: Any) -> list[float]:
    """Hand TRL what each episode was worth."""
    return list(row_reward)
