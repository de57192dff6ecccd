"""A scheduler for vLLM's engine that lets new prompts in at every so many steps only.

With a small policy the engine's thread is what works, not the GPU, and a step that lets a prompt in costs it several
times what a step costs that only goes on decoding, whoever it is for. Started beside the server, not by Segscout:
`vllm serve … --no-async-scheduling --scheduler-cls graphs.policies.vllm_scheduler.CadencedScheduler
--prefill-schedule-interval 16`. For vLLM 0.25.1, whose asynchronous scheduling it does without; 0.33 does as much by
the last of these flags alone.
"""

from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler


class CadencedScheduler(Scheduler):  # type: ignore[misc]
    """Hold prompts that wait until `--prefill-schedule-interval` steps have passed since one was computed.

    It asks vLLM for its own throttle between data-parallel engines, whose rules hold: a server at rest lets a prompt in
    at once, so does one that holds all of it but a token in its cache, and one that cannot let in all that wait holds
    none back. The rest of a prompt that was cut for its length waits like one that is new. Where vLLM spaces prompts
    itself, between such engines and from 0.33 on, it is left to that. Raises ValueError for an interval of one, which
    holds nobody.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        interval: int = self.scheduler_config.prefill_schedule_interval
        if interval < 2:
            raise ValueError("a prompt can wait for others only with --prefill-schedule-interval 2 or more.")
        alone = self.parallel_config.data_parallel_size == 1 and not hasattr(self, "local_prefill_interval")
        self._interval = interval if alone else 1
        self._steps = interval  # since a prompt was computed last: the first ones need not wait

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """Schedule a step, in which prompts wait if one was computed less than the interval ago."""
        output = super().schedule(throttle_prefills or self._steps + 1 < self._interval)
        self._steps = 0 if _computes_prompts(output) else self._steps + 1
        return output


def _computes_prompts(output: Any) -> bool:
    """Tell whether a step computes more of a request than a token and those that were guessed to follow it."""
    guessed = output.scheduled_spec_decode_tokens
    return any(count - len(guessed.get(name, ())) > 1 for name, count in output.num_scheduled_tokens.items())
