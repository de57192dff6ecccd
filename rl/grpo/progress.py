"""Watch a run: one line a step, held-out tasks now and then, and an end when the minutes are over."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback

from rl.grpo.recipe import HeldOutPart
from rl.rewards.segscout import wasted_searches
from rl.rollouts import Rollout, Runner
from rl.run_log import RunLog

log = logging.getLogger("segscout.grpo")
LOG = "log.jsonl"


@dataclass(frozen=True)
class Facts:
    """What a held-out episode is counted by."""

    ability: str
    values: dict[str, float]


class Progress(TrainerCallback):  # type: ignore[misc]
    """Write log.jsonl in `out`, measure by `held_out`, and stop after `minutes`.

    A run that goes on from a checkpoint goes on in the log that is there, up to that step, and counts its minutes; any
    other begins a new one. `refresh` is called before measuring: it gives the sampler the weights of the moment.
    """

    def __init__(
        self,
        out: Path,
        part: HeldOutPart | None,
        held_out: Runner | None,
        minutes: float | None,
        *,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._log, self._part, self._held_out, self._minutes = RunLog(out / LOG), part, held_out, minutes
        self._refresh = refresh
        self._began = time.monotonic()
        self._measured = -1

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Append TRL's numbers of this step."""
        self._write(state, logs or {})

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it starts, unless that was done before the run was cut off."""
        kept = self._log.kept(state.global_step)
        if kept:
            self._began = time.monotonic() - 60 * float(kept[-1]["minutes"])
        measured = any(line["step"] == state.global_step and "held_out/n" in line for line in kept)
        if any(gather_object([measured])):  # all processes measure, or none: they wait for one another
            self._measured = state.global_step
        if state.is_world_process_zero:
            self._log.begin(state.global_step)
        self.measure(args, state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure when it is due; stop when time is up, on all processes at the same step."""
        over = self._minutes is not None and max(gather_object([self.spent()])) > self._minutes
        due = self._part is not None and state.global_step % self._part.every == 0
        if due or over:
            self.measure(args, state)
        control.should_training_stop = control.should_training_stop or over

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it ends."""
        self.measure(args, state)

    def measure(self, args: Any, state: Any) -> None:
        """Play the held-out tasks greedily, shared among the processes, and write how it went; once a step."""
        if self._part is None or self._held_out is None or self._measured == state.global_step:
            return
        self._measured = state.global_step
        self._refresh()
        share = range(args.process_index, self._part.n, args.world_size)
        played = self._held_out.run([(index, 0) for index in share])
        facts = [
            broken_facts(self._held_out.source[index].ability) if rollout is None else facts_of(rollout)
            for index, rollout in zip(share, played, strict=True)
        ]
        self._write(state, summarise(gather_object(facts)))

    def spent(self) -> float:
        """Return the minutes that this run has taken."""
        return (time.monotonic() - self._began) / 60

    def _write(self, state: Any, values: dict[str, Any]) -> None:
        if not state.is_world_process_zero:
            return
        line = {"step": state.global_step, "minutes": self.spent(), "processes": PartialState().num_processes, **values}
        log.info(" ".join(f"{key}={value:.4g}" for key, value in line.items() if isinstance(value, float | int)))
        self._log.write(line)


def facts_of(rollout: Rollout) -> Facts:
    """Return what a held-out episode is counted by; shares are 0 or 1."""
    usage = rollout.result.usage
    return Facts(
        rollout.task.ability,
        {
            "success": float(rollout.success),
            "reward": rollout.reward,
            "answered": float(rollout.result.ending.answered),
            "searches": float(usage.searches),
            "useless": float(rollout.play.searches - rollout.play.useful),
            "wasted": float(wasted_searches(rollout.play)),
            "turns": float(usage.turns),
            "broken": 0.0,
        },
    )


def broken_facts(ability: str) -> Facts:
    """Return what counts of an episode in which a part of the system broke: it failed, and no more is known."""
    return Facts(ability, {"success": 0.0, "answered": 0.0, "broken": 1.0})


def summarise(facts: Sequence[Facts]) -> dict[str, float]:
    """Return means over the held-out episodes of which a value is known, and the success of each ability."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / max(1, len(values))

    names = dict.fromkeys(name for one in facts for name in one.values)
    abilities = sorted({one.ability for one in facts})
    return {
        "held_out/n": float(len(facts)),
        **{f"held_out/{name}": mean([one.values[name] for one in facts if name in one.values]) for name in names},
        **{f"held_out/{a}": mean([one.values["success"] for one in facts if one.ability == a]) for a in abilities},
    }
