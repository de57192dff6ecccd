"""Work on a Ray of this machine: the rows of the local run whatever dies, errors as they were raised, nothing left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import PIL.Image
import pytest
import ray
from chat_server import chat_server, said
from pycocotools.coco import COCO
from ray.exceptions import ActorDiedError

from agent.commands.label import run_label
from agent.commands.request import Request
from agent.labelling.files import find_files
from agent.labelling.job import LabelJob
from evals.runs.choosing import choose_engine
from evals.runs.evaluation import EvaluationWork
from evals.runs.local import LocalEngine
from evals.runs.ray import RayEngine
from evals.runs.ray_workers import Place
from evals.runs.spec import RunSpec
from evals.runs.work import PlainRow, Play, Work
from graphs.dialects.seg_research import answer_turn
from tools.errors import EvaluationError, InputError, SegscoutError

ROOT = Path(__file__).parents[2]
SPEC = RunSpec(benchmark="emblems", seed=5, n=24, policy="oracle", segmenter="exact")


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """A Ray that engines use as it is, so that it starts once."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@dataclass(frozen=True)
class Telling(EvaluationWork):
    """An evaluation that says in a file which worker begins which item."""

    told: Path

    async def open(self) -> Play:
        play = await super().open()

        async def telling(index: int) -> PlainRow:
            with self.told.open("a") as file:
                file.write(f"{os.getpid()} {index}\n")
            await asyncio.sleep(0.2)  # so that whoever is killed is at something
            return await play(index)

        return telling


@dataclass(frozen=True)
class Fragile(Work):
    """Work of a moment; some items end their worker, one raises."""

    deadly: tuple[int, ...] = ()
    wrong: int | None = None

    async def open(self) -> Play:
        async def play(index: int) -> PlainRow:
            await asyncio.sleep(0.05)
            if index in self.deadly:
                sys.exit(3)
            if index == self.wrong:
                raise InputError(f"{index} is wrong.", remedy="Mend it.")
            return {"index": index, "pid": os.getpid()}

        return play

    def failed(self, index: int, error: SegscoutError) -> PlainRow:
        return {"index": index, "pid": None, "message": str(error)}


async def rows_of(engine: RayEngine | LocalEngine, work: Work, items: Sequence[int]) -> dict[int, PlainRow]:
    async with asyncio.timeout(240):  # what is lost would be waited for without end
        rows = [row async for row in engine.run(work, items)]
    assert sorted(row["index"] for row in rows) == list(items)
    return {row["index"]: row for row in rows}


def untimed(row: PlainRow) -> PlainRow:
    return {**row, "seconds": 0, "details": {**row["details"], "seconds": 0, "node_seconds": 0}}


@pytest.mark.slow
async def test_rows_are_those_of_the_local_run_though_a_worker_is_killed(two_workers, tmp_path):
    told = tmp_path / "begun"
    rows: dict[int, PlainRow] = {}
    async for row in RayEngine(workers=2, concurrency=2).run(Telling(SPEC, told), range(24)):
        rows[row["index"]] = row
        if len(rows) == 8:
            under_way = [line.split() for line in told.read_text().splitlines() if int(line.split()[1]) not in rows]
            os.kill(int(under_way[-1][0]), signal.SIGKILL)
    begun = told.read_text().splitlines()
    assert len(begun) > len({line.split()[1] for line in begun}) == 24
    local = await rows_of(LocalEngine(), EvaluationWork(SPEC), range(24))
    assert {index: untimed(row) for index, row in rows.items()} == {i: untimed(row) for i, row in local.items()}


@pytest.mark.slow
async def test_only_the_item_that_ends_its_workers_fails(two_workers):
    rows = await rows_of(RayEngine(workers=2, concurrency=3), Fragile(deadly=(4,)), range(20))
    assert [index for index, row in rows.items() if row["pid"] is None] == [4]
    assert rows[4]["message"].startswith("evaluation: item 4 ended 3 workers.")


@pytest.mark.slow
async def test_what_the_work_raises_comes_as_it_was_raised(two_workers):
    with pytest.raises(InputError) as raised:
        await rows_of(RayEngine(), Fragile(wrong=3), range(20))
    assert (type(raised.value), raised.value.remedy) == (InputError, "Mend it.")
    assert str(raised.value) == "input: 3 is wrong. Mend it."
    with pytest.raises(InputError, match=r"benchmark 'nope'.*Choose one of") as raised:
        await rows_of(RayEngine(), EvaluationWork(RunSpec(benchmark="nope")), range(3))
    assert type(raised.value) is InputError
    with pytest.raises(InputError, match=r"no machine has 4096 GPUs.*add such a machine"):
        await rows_of(RayEngine(gpus_per_worker=4096), Fragile(), range(3))
    assert await rows_of(RayEngine(), Fragile(), []) == {}


@pytest.mark.slow
def test_a_folder_is_labelled_by_two_workers(two_workers, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media").mkdir()
    pixels = np.full((50, 80, 3), 90, np.uint8)
    pixels[10:30, 16:36] = (200, 30, 30)
    picture, brighter = PIL.Image.fromarray(pixels), PIL.Image.fromarray(pixels + 9)
    for name in ("a.png", "b.png", "c d.png"):
        picture.save(tmp_path / "media" / name)
    picture.save(tmp_path / "media" / "clip.gif", save_all=True, append_images=[brighter])
    (tmp_path / "media" / "broken.png").write_text("")
    with chat_server() as server:
        server.answers = [said(answer_turn("There.", (0.2, 0.2, 0.45, 0.6), (0.325, 0.4)))]
        request = Request(policy=server.url, profile="embedded", segmenter="grabcut")
        job = LabelJob(Path("media"), find_files(Path("media")), ["the square"], Path("coco.json"))
        run_label(job, request, RayEngine(workers=2), as_json=True)
        assert len(server.requests) == 4
    summary = json.loads(capsys.readouterr().out)
    assert (summary["found"], summary["engine"]) == (4, "ray")
    assert [one["file"] for one in summary["failures"]] == ["broken.png"]
    coco = COCO("coco.json")
    assert len(coco.getImgIds()) == 3 + 2
    cut = [coco.annToMask(one).astype(bool) for one in coco.loadAnns(coco.getAnnIds())]
    truth = pixels[..., 0] == 200
    assert all((mask & truth).sum() / (mask | truth).sum() > 0.8 for mask in cut)


PROGRAM = """
import asyncio, sys
from pathlib import Path
from evals.runs.journal import Journal
from evals.runs.ray import RayEngine

class Slow:
    async def open(self):
        async def play(index):
            await asyncio.sleep(0.1)
            return {"index": index}
        return play

async def run():
    with Journal(Path(sys.argv[1]), {}) as journal:
        async for row in RayEngine(workers=2).run(Slow(), range(1000)):
            journal.append(row)

asyncio.run(run())
"""


@pytest.mark.slow
def test_a_program_outlives_a_worker_and_leaves_no_process_when_it_is_interrupted(tmp_path):
    mark, rows = f"SEGSCOUT_TEST_RUN={uuid4().hex}", tmp_path / "rows.jsonl"
    environment = os.environ | dict([mark.split("=")])
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(rows)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=hear_interrupts,
    )  # fmt: skip
    wait_for(rows, 10, started)
    workers = [pid for pid, line in marked(mark) if line.startswith("ray::Worker")]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    wait_for(rows, rows.read_bytes().count(b"\n") + 10, started)
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does
    started.communicate(timeout=60)
    assert started.returncode not in (0, None)
    assert marked(mark) == []
    kept = [json.loads(line)["index"] for line in rows.read_text().splitlines()[1:]]
    assert len(kept) == len(set(kept)) >= 18


def hear_interrupts() -> None:
    """Shells let what they run in the background ignore SIGINT, and its children with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(rows: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not rows.exists() or rows.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def marked(mark: str) -> list[tuple[int, str]]:
    """Processes that were started by the one that had `mark` in its environment, with their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
        except (OSError, ProcessLookupError):
            continue  # it ended, or is not ours
    return found


class Call:
    """A method of an actor that never comes up."""

    def remote(self, work: object) -> "asyncio.Future[None]":
        died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        died.set_exception(ActorDiedError())
        return died


class Stillborn:
    open = Call()


async def test_workers_that_die_while_they_load_are_not_replaced_for_ever(monkeypatch):
    begun: list[Stillborn] = []

    def start() -> Stillborn:
        begun.append(Stillborn())
        return begun[-1]

    killed: list[Stillborn] = []
    monkeypatch.setattr(ray, "kill", killed.append)
    with pytest.raises(EvaluationError, match=r"3 workers died while they loaded.*fewer workers"):
        await Place(start, None).worker()
    assert len(begun) == 3
    assert killed == begun


async def test_a_ray_that_cannot_be_had_is_told_and_let_go(monkeypatch):
    ended: list[bool] = []

    def init(**_: object) -> None:
        raise ConnectionError("not here.")

    stub = SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: ended.append(True))
    monkeypatch.setitem(sys.modules, "ray", stub)
    with pytest.raises(InputError, match=r"no Ray to be had at auto: ConnectionError: not here.*RAY_AUTH_MODE"):
        await rows_of(RayEngine(address="auto"), Fragile(), range(2))
    with pytest.raises(InputError, match=r"no Ray to be had at 127.0.0.1:1: ConnectionRefusedError"):
        await rows_of(RayEngine(address="127.0.0.1:1"), Fragile(), range(2))
    assert ended == [True, True]


@pytest.mark.parametrize("numbers", [(0, 1, None, None), (2, 0, None, None), (2, 1, None, 1.5), (2, 1, None, -1.0)])
def test_numbers_that_make_no_sense_are_refused(numbers):
    workers, concurrency, address, gpus = numbers
    with pytest.raises(InputError):
        choose_engine("ray", concurrency, workers, address, gpus)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"Ray is not installed. .*'\.\[ray\]'"):
        choose_engine("ray", 1, None, None, None)
    with pytest.raises(InputError, match="belong to Ray"):
        choose_engine("local", 1, None, "auto", None)
    assert choose_engine("local", 3, None, None, None) == LocalEngine(3)
