"""CadencedScheduler: prompts are let in so many steps apart.

Before a stand-in for vLLM's own scheduler, and before that itself where vLLM is installed.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from graphs.policies.loading import EMBEDDED_FOLDER

MODULE = "graphs.policies.vllm_scheduler"
LENGTH = 6
"""Tokens of a turn, the first of them from the step that lets its prompt in."""
BLOCK = 16


class Standin:
    """Lets in all that wait, or if throttled those of one token, while others are decoded.

    With `guesses` a step checks so many tokens beyond the next one of each turn.
    """

    guesses = 0

    def __init__(self, interval: int, engines: int) -> None:
        self.scheduler_config = SimpleNamespace(prefill_schedule_interval=interval)
        self.parallel_config = SimpleNamespace(data_parallel_size=engines)
        self.waiting: list[tuple[str, int]] = []
        self.left: dict[str, int] = {}

    def schedule(self, throttle_prefills: bool = False) -> SimpleNamespace:
        guessed = {name: [7] * self.guesses for name in self.left if self.guesses}
        counts = dict.fromkeys(self.left, 1 + self.guesses)
        held = throttle_prefills and bool(self.left)
        new = [name for name, size in self.waiting if not (held and size > 1)]
        counts |= {name: size for name, size in self.waiting if name in new}
        self.waiting = [(name, size) for name, size in self.waiting if name not in new]
        self.left = {name: left - 1 for name, left in (self.left | dict.fromkeys(new, LENGTH)).items() if left > 1}
        return SimpleNamespace(
            scheduled_new_reqs=new,
            num_scheduled_tokens=counts,
            scheduled_spec_decode_tokens=guessed,
        )


class Engine:
    """One engine, to which prompts come; `cached` ones have been computed before, all but a token."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self._names = map(str, range(1_000_000))

    def arrive(self, count: int, *, cached: bool = False) -> None:
        self.scheduler.waiting += [(next(self._names), 1 if cached else 40) for _ in range(count)]

    def step(self, *, throttled: bool = False) -> int:
        """Return how many are let in."""
        return len(self.scheduler.schedule(throttled).scheduled_new_reqs)

    def steps(self, arrivals: Sequence[int]) -> list[int]:
        """Return how many are let in at each step, where so many arrive before it."""
        counts = list[int]()
        for arrived in arrivals:
            self.arrive(arrived)
            counts.append(self.step())
        return counts


class RealEngine(Engine):
    """vLLM's own scheduler and cache, whose model says nothing but 7."""

    def arrive(self, count: int, *, cached: bool = False) -> None:
        from vllm.sampling_params import SamplingParams
        from vllm.utils.hashing import sha256
        from vllm.v1.core.kv_cache_utils import get_request_block_hasher
        from vllm.v1.request import Request

        for _ in range(count):
            name = next(self._names)
            ids = [9] * (2 * BLOCK + 1) if cached else [100 + int(name)] * 40
            asked = SamplingParams(max_tokens=LENGTH, ignore_eos=True)
            hasher = get_request_block_hasher(BLOCK, sha256)
            self.scheduler.add_request(Request(name, ids, asked, None, block_hasher=hasher))

    def step(self, *, throttled: bool = False) -> int:
        from vllm.v1.outputs import ModelRunnerOutput

        output = self.scheduler.schedule(throttled)
        names = list(output.num_scheduled_tokens)
        self.scheduler.update_from_output(
            output,
            ModelRunnerOutput(
                req_ids=names,
                req_id_to_index={name: index for index, name in enumerate(names)},
                sampled_token_ids=[[7]] * len(names),
                logprobs=None,
                prompt_logprobs_dict={},
                pooler_output=[],
            ),
        )
        return len(output.scheduled_new_reqs)


def _real(interval: int) -> RealEngine:
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import init_none_hash
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    init_none_hash(sha256)
    config = VllmConfig(
        scheduler_config=SchedulerConfig(
            max_model_len=512, is_encoder_decoder=False, async_scheduling=False, prefill_schedule_interval=interval
        ),
        model_config=ModelConfig(model=str(EMBEDDED_FOLDER), dtype="float32", max_model_len=512),
        cache_config=CacheConfig(block_size=BLOCK, enable_prefix_caching=True),
        device_config=DeviceConfig("cpu"),
    )
    config.cache_config.num_gpu_blocks = 4000
    kind = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    cache = KVCacheConfig(num_blocks=4000, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], kind)])
    return RealEngine(
        importlib.import_module(MODULE).CadencedScheduler(
            vllm_config=config,
            kv_cache_config=cache,
            structured_output_manager=StructuredOutputManager(config),
            log_stats=False,
            block_size=BLOCK,
        )
    )


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Engine]]:
    names = ["vllm", "v1", "core", "sched", "scheduler"]
    for depth in range(1, len(names) + 1):
        monkeypatch.setitem(sys.modules, ".".join(names[:depth]), ModuleType(names[depth - 1]))
    sys.modules[".".join(names)].Scheduler = Standin  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    made = importlib.import_module(MODULE).CadencedScheduler
    yield lambda interval, engines=1: Engine(made(interval, engines))
    sys.modules.pop(MODULE, None)


@pytest.fixture(params=["stand-in", "vLLM"])
def engine(request: pytest.FixtureRequest) -> Callable[[int], Engine]:
    if request.param == "stand-in":
        return request.getfixturevalue("standin")
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    return _real


@pytest.mark.parametrize("interval", [2, 3, 5])
def test_those_who_come_at_every_step_are_let_in_together_an_interval_apart(engine, interval: int) -> None:
    assert engine(interval).steps([1] * (2 * interval + 1)) == [1, *[*[0] * (interval - 1), interval] * 2]


def test_one_who_comes_long_after_the_last_is_let_in_at_once(engine) -> None:
    assert engine(4).steps([1, 0, 0, 0, 1, 1]) == [1, 0, 0, 0, 1, 0]


def test_a_server_at_rest_lets_in_at_once(engine) -> None:
    assert engine(12).steps([1, *[0] * 9, 1, 1]) == [1, *[0] * 9, 1, 0]


def test_who_waits_is_let_in_when_nothing_is_decoded_any_more(engine) -> None:
    assert engine(20).steps([1, 1, *[0] * 7]) == [1, *[0] * 5, 1, 0, 0]


def test_prompts_that_the_cache_holds_neither_wait_nor_let_others_wait(engine) -> None:
    one = engine(5)
    one.arrive(1, cached=True)
    assert one.steps([0] * LENGTH)[0] == 1
    one.steps([1, 0])
    let_in = list[int]()
    for _ in range(3):
        one.arrive(1, cached=True)
        let_in.append(one.step())
    assert let_in[:2] == [1, 1]
    assert one.steps([1]) == [1], "five steps after the last that computed a prompt"


def test_tokens_that_are_guessed_are_no_prompt(standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Standin, "guesses", 2)
    assert standin(4).steps([1] * 9) == [1, 0, 0, 0, 4, 0, 0, 0, 4]


def test_the_engines_own_throttle_holds_too(engine) -> None:
    one = engine(2)
    assert one.steps([1, 0, 0]) == [1, 0, 0]
    one.arrive(1)
    assert one.step(throttled=True) == 0
    assert one.step() == 1


def test_an_interval_of_one_is_refused(engine) -> None:
    with pytest.raises(ValueError, match="prefill-schedule-interval 2"):
        engine(1)


def test_engines_that_vllm_spaces_itself_are_left_to_it(standin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert standin(5, engines=2).steps([1] * 4) == [1] * 4
    monkeypatch.setattr(Standin, "local_prefill_interval", 5, raising=False)  # as vLLM has it from 0.33 on
    assert standin(5).steps([1] * 4) == [1] * 4
