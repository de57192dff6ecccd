"""Watch a run: one line a step, held-out tasks now and then, and an end when the minutes are over."""

import json
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

log = logging.getLogger("segscout.grpo")
LOG = "log.jsonl"


@dataclass(frozen=True)
class Facts:
    """What a held-out episode is counted by."""

    ability: str
    values: dict[str, float]


class Progress(TrainerCallback):  # type: ignore[misc]
    """Write log.jsonl in `out`, measure by `held_out`, and stop after `minutes`.

    A run that is `resumed` goes on in the log that is there and counts its minutes; any other begins a new one.
    `refresh` is called before measuring: it gives the sampler the weights of the moment.
    """

    def __init__(
        self,
        out: Path,
        part: HeldOutPart | None,
        held_out: Runner | None,
        minutes: float | None,
        *,
        resumed: bool = False,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._out, self._part, self._held_out, self._minutes = out, part, held_out, minutes
        self._resumed, self._refresh = resumed, refresh
        self._began = time.monotonic() - 60 * (minutes_spent(out / LOG) if resumed else 0.0)
        self._measured = -1

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Append TRL's numbers of this step."""
        self._write(state, logs or {})

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it starts."""
        if state.is_world_process_zero and not self._resumed:
            (self._out / LOG).unlink(missing_ok=True)
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
        facts = [facts_of(rollout) for rollout in played if rollout is not None]
        self._write(state, summarise(gather_object(facts)))

    def spent(self) -> float:
        """Return the minutes that this run has taken."""
        return (time.monotonic() - self._began) / 60

    def _write(self, state: Any, values: dict[str, Any]) -> None:
        if not state.is_world_process_zero:
            return
        line = {"step": state.global_step, "minutes": self.spent(), "processes": PartialState().num_processes, **values}
        log.info(" ".join(f"{key}={value:.4g}" for key, value in line.items() if isinstance(value, float | int)))
        with (self._out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def minutes_spent(file: Path) -> float:
    """Return how far a run that was cut off had come, by the last whole line of its log; 0 for a fresh one.

    A last line without its end was being written when the run was cut off; it is taken away.
    """
    if not file.exists():
        return 0.0
    whole, _, _ = file.read_text(encoding="utf-8").rpartition("\n")
    file.write_text(whole and f"{whole}\n", encoding="utf-8")
    return float(json.loads(whole.rpartition("\n")[2])["minutes"]) if whole else 0.0


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
        },
    )


def summarise(facts: Sequence[Facts]) -> dict[str, float]:
    """Return means over held-out episodes, and the success of each ability."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / max(1, len(values))

    names = facts[0].values if facts else {}
    abilities = sorted({one.ability for one in facts})
    return {
        "held_out/n": float(len(facts)),
        **{f"held_out/{name}": mean([one.values[name] for one in facts]) for name in names},
        **{f"held_out/{a}": mean([one.values["success"] for one in facts if one.ability == a]) for a in abilities},
    }
