"""Stage one, perception first: name and place every object before any trajectory is seen."""

import numpy as np

from evals.emblems.clips import Clip, make_clip
from evals.emblems.knowledge import emblem_picture
from evals.emblems.oracle import box_of, clearest_frame, inner_point
from evals.emblems.sprites import Emblem
from evals.emblems.tasks import shown_frames
from evals.emblems.world import ALL_EMBLEMS, World
from graphs.conversation import Turn
from graphs.dialects.base import View
from graphs.dialects.seg_research import answer_turn
from rl.sft.samples import Pictures, said
from tools.media import resize_square

_MIN_VISIBLE = 60
"""Objects with fewer visible pixels (of the 448-pixel frame) are not asked for."""


def draw_emblems(rng: np.random.Generator) -> list[Emblem]:
    """Draw 4 to 6 different emblems, often sharing attributes so that every attribute matters."""
    count = int(rng.integers(4, 7))
    first = ALL_EMBLEMS[int(rng.integers(len(ALL_EMBLEMS)))]
    chosen = [first]
    while len(chosen) < count:
        other = ALL_EMBLEMS[int(rng.integers(len(ALL_EMBLEMS)))]
        if rng.random() < 0.4:
            kept = rng.choice(3, 2, replace=False)
            values = [getattr(first if i in kept else other, a) for i, a in enumerate(("shape", "colour", "pattern"))]
            other = Emblem(*values)
        if other not in chosen:
            chosen.append(other)
    return [chosen[i] for i in rng.permutation(count)]


def picture_sample(rng: np.random.Generator, view: View) -> tuple[list[Turn], Pictures]:
    """One large picture: list every object with its box from left to right, then find two of them."""
    clip = make_clip(rng, draw_emblems(rng))
    frame = int(rng.integers(len(clip)))
    image, ids = clip.render(frame)
    pictures = Pictures()
    order = np.argsort(clip.centres([frame])[0][:, 0], kind="stable")
    seen = [int(k) for k in order if np.count_nonzero(ids == k) >= _MIN_VISIBLE]
    listing = "I see " + "; ".join(f"{clip.movers[k].emblem.phrase} {_spell_box(ids == k)}" for k in seen)
    turns = [
        said("system", "List the objects."),
        said("user", pictures.put(resize_square(image, view.keyframe_size))),
        said("assistant", listing),
    ]
    for k in rng.permutation(seen)[:2]:
        phrase = clip.movers[k].emblem.phrase
        turns += [said("user", f"The {phrase}?"), said("assistant", _answer(phrase, ids == k))]
    return turns, pictures


def clip_sample(rng: np.random.Generator, view: View) -> tuple[list[Turn], Pictures]:
    """Four small frames: list the objects from left to right, from top to bottom, and where each is clearest."""
    clip = make_clip(rng, draw_emblems(rng))
    frames = shown_frames(len(clip), view.frames)
    pictures = Pictures()
    parts: list[object] = []
    for number, frame in enumerate(frames):
        image = pictures.put(resize_square(clip[frame], view.frame_size))
        parts += [f"{chr(10) if number else ''}frame {frame} ", image]
    turns = [
        said("system", "List the objects."),
        said("user", *parts),  # type: ignore[arg-type]
        said("assistant", f"Left to right: {_listing(clip, frames[0], 0)}."),
        said("user", "Top to bottom?"),
        said("assistant", f"Top to bottom: {_listing(clip, frames[0], 1)}."),
    ]
    for k in rng.permutation(len(clip.movers))[:3]:
        phrase = clip.movers[k].emblem.phrase
        turns += [
            said("user", f"The {phrase}?"),
            said("assistant", f"The {phrase}, clearest in frame {clearest_frame(clip, frames, int(k))}."),
        ]
    return turns, pictures


def emblem_sample(rng: np.random.Generator, world: World, view: View) -> tuple[list[Turn], Pictures]:
    """The picture of one emblem, as image search brings it: say what it shows."""
    number, pictures = int(rng.integers(len(world.teams))), Pictures()
    image = pictures.put(emblem_picture(world, number, view.image_size))
    phrase = world.teams[number].emblem.phrase
    return [said("system", "List the objects."), said("user", image), said("assistant", f"A {phrase}.")], pictures


def _listing(clip: Clip, frame: int, axis: int) -> str:
    order = np.argsort(clip.centres([frame])[0][:, axis], kind="stable")
    return ", ".join(clip.movers[k].emblem.phrase for k in order)


def _spell_box(mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> str:
    return "[" + ", ".join(str(round(v * 1000)) for v in box_of(mask)) + "]"


def _answer(phrase: str, mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> str:
    return answer_turn(f"The {phrase}.", box_of(mask), inner_point(mask))
