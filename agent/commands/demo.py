"""`segscout demo`: the main job on an Emblems test clip, with nothing but this repository, and its score.

The clip and the world that it is about are drawn from a seed of the demo's own; the policy has seen neither.
"""

import asyncio
import hashlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from agent.agent import SegmentationAgent
from agent.commands.segment import report, save, summarise, tell_files, watch
from agent.display import EpisodeDisplay, print_step
from agent.folders import check_directory
from agent.reporting import console_for, hush_loading, write_json
from agent.result import Result
from evals.emblems.clips import Clip
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.scoring import Score, score_answer, truth_of
from evals.emblems.tasks import Ability, EmblemTask, draw_task
from evals.emblems.world import World, make_world
from tools.image_store import image_sha256
from tools.media import Media
from tools.settings import read_settings

SEED = 2031
FPS = 8.0
_ORDER: tuple[Ability, ...] = ("multi-hop", "one-hop", "relational", "in-video", "absent")
"""Clip N shows ability N, counted round."""


def run_demo(number: int, out: Path, *, as_json: bool) -> None:
    """Run clip `number`, show the steps and the score, and save; raises SegscoutError if anything breaks."""
    check_directory(out)
    console = console_for(as_json=as_json)
    hush_loading()
    world = demo_world()
    task = demo_task(number)
    agent = SegmentationAgent(search=EmblemSearch(world), device=read_settings().device)
    _introduce(task, number, world, console)
    with EpisodeDisplay(console) as display:
        result = asyncio.run(watch(agent, clip_media(task), task.query, display))
        files = save(result, out, display)
    score = score_result(task, result)
    summarise(result, console)
    _tell(score, console)
    tell_files(console, files)
    if as_json:
        scored = {"score": asdict(score) | {"j_and_f": score.j_and_f}}
        write_json(report(result, out, files) | {"clip": number, "ability": task.ability} | scored)


@lru_cache(maxsize=1)
def demo_world() -> World:
    """Return the world that all demo clips are about."""
    return make_world("test", SEED)


def demo_task(number: int) -> EmblemTask:
    """Draw demo clip `number`; the multi-hop ones always ask for the winner of a cup."""
    ability = _ORDER[number % len(_ORDER)]
    rng = np.random.default_rng((SEED, number))
    while True:
        task = draw_task(rng, demo_world(), ability, f"demo-{number}")
        if ability != "multi-hop" or (task.bridge and " won the " in task.bridge.description):
            return task


def clip_media(task: EmblemTask) -> Media:
    """Return a task's clip as open media."""
    clip = task.clip
    height, width = clip[0].shape[:2]
    return Media("video", clip, width, height, FPS, task.task_id, _fingerprint(clip))


def score_result(task: EmblemTask, result: Result) -> Score:
    """Score a result against the exact masks of its task: the union of its instances is held against the target."""
    boxes = [instance.box for instance in result.instances]
    return score_answer(task, truth_of(task)[0], result.ending, result.keyframe, boxes, result.union)


def _fingerprint(clip: Clip) -> str:
    digest = hashlib.sha256()
    for frame in range(len(clip)):
        digest.update(image_sha256(clip[frame]).encode())
    return digest.hexdigest()


def _introduce(task: EmblemTask, number: int, world: World, console: Console) -> None:
    told = (
        f"clip {number} ({task.ability}): {len(task.clip)} frames; {len(world.teams)} teams to look up, none ever seen"
    )
    print_step(console, "demo", told)
    print_step(console, "query", Text(task.query, style="bold"))


def _tell(score: Score, console: Console) -> None:
    verdict, style = ("right", "green") if score.success else ("wrong", "red")
    told = f"{verdict}: IoU {score.iou:.3f} on the keyframe, J&F {score.j_and_f:.3f} through the clip"
    print_step(console, "score", f"{told}, against the exact mask", style)
