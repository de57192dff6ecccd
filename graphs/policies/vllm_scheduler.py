"""A scheduler for vLLM's engine that lets new prompts in at every so many steps only.

With a small policy the engine's thread is what works, not the GPU, and a step that lets a prompt in costs it several
times what a step costs that only goes on decoding, whoever it is for. Started beside the server, not by Segscout:
`vllm serve … --no-async-scheduling --scheduler-cls graphs.policies.vllm_scheduler.CadencedScheduler
--prefill-schedule-interval 8`. Written for vLLM 0.25.1; 0.33 does this by the last of these flags alone.
"""

from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler


class CadencedScheduler(Scheduler):  # type: ignore[misc]
    """Hold prompts that wait until `--prefill-schedule-interval` steps have passed since others were let in.

    A server at rest lets a prompt in at once, and one that cannot let in all that wait holds none back: both are the
    rules of vLLM's own throttle between data-parallel engines, which this one asks for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._interval: int = self.scheduler_config.prefill_schedule_interval
        self._steps = self._interval  # since prompts were let in last: the first ones need not wait

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """Schedule a step; prompts wait if they were let in less than the interval ago, or if the engine says so."""
        output = super().schedule(throttle_prefills or self._steps + 1 < self._interval)
        if output.scheduled_new_reqs:
            self._steps = 0
        elif output.total_num_scheduled_tokens:
            self._steps += 1
        return output
