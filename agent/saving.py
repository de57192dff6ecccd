"""Save a result so that nothing is ever half-written: everything is made beside the folder, then put in its place."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import PIL.Image

from agent.coco import label_of, to_coco
from agent.folders import check_directory
from agent.overlay import COLOURS, Mark, draw_overlay, short_label
from agent.result import Result
from agent.trace import trace_lines
from agent.video_file import write_video
from tools.errors import InputError, MediaError, boundary
from tools.image_store import Image
from tools.segmenters.prompts import box_of

OVERLAY, VIDEO, MASKS, TRACE, RESULT = "overlay.png", "overlay.mp4", "masks.json", "trace.jsonl", "result.json"
_FILES = (OVERLAY, VIDEO, MASKS, TRACE, RESULT)
Progress = Callable[[int, int], None]


def save_result(result: Result, directory: Path, progress: Progress | None = None) -> list[Path]:
    """Write all files of a result to `directory` and return them; see `Result.save`.

    In a folder that is there already, an earlier result gives way and other files stay. `result.json` goes first and
    comes last, so that where it is, the rest belongs to it.
    """
    check_directory(directory)
    remedy = f"Check the path and the room on the disk, or save elsewhere than {directory}."
    with boundary(InputError, f"cannot write to {directory}", remedy=remedy):
        directory.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            _write_all(result, made, progress)
            _put_in_place(made, directory)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return [directory / name for name in _FILES if (directory / name).exists()]


def _write_all(result: Result, folder: Path, progress: Progress | None) -> None:
    picture = overlay_of(result, result.keyframe or 0)
    with boundary(MediaError, f"cannot write {OVERLAY}", remedy="Check the room on the disk."):
        PIL.Image.fromarray(picture).save(folder / OVERLAY)
    if result.media.kind == "video" and result.found:
        write_video(_overlays(result, progress), folder / VIDEO, fps=result.media.fps)
    _write_json(folder / MASKS, [json.dumps(to_coco(result), ensure_ascii=False)])
    _write_json(folder / TRACE, (f"{line}\n" for line in trace_lines(result)))
    plain = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
    _write_json(folder / RESULT, [plain, "\n"])


def _write_json(path: Path, parts: Iterable[str]) -> None:
    """Write JSON in UTF-8; half a character, as sources may send it, becomes an escape, which JSON has as well."""
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(parts)


def _put_in_place(made: Path, directory: Path) -> None:
    made.chmod(0o755)  # mkdtemp makes it private
    if not directory.exists():
        os.replace(made, directory)
        return
    (directory / RESULT).unlink(missing_ok=True)
    for name in _FILES:
        if (made / name).exists():
            os.replace(made / name, directory / name)
        else:
            (directory / name).unlink(missing_ok=True)


def _overlays(result: Result, progress: Progress | None) -> Iterator[Image]:
    total = len(result.media.frames)
    for frame in range(total):
        yield overlay_of(result, frame)
        if progress is not None:
            progress(frame + 1, total)


def overlay_of(result: Result, frame: int) -> Image:
    """Return one frame, RGB uint8 in the original size, with every instance marked as it stands there."""
    with boundary(MediaError, f"cannot read frame {frame}", remedy="Check that the video is complete."):
        image = result.media.frames[frame]
    marks = []
    for number, instance in enumerate(result.instances):
        mask = instance.masks.get(frame)
        answered = instance.box if frame == result.keyframe else None
        box = box_of(mask) if mask is not None and mask.any() else answered
        # Several without a label of their own would all carry the query: numbers tell them apart and hide less.
        label = label_of(instance, result) if instance.label or len(result.instances) == 1 else str(number + 1)
        marks.append(Mark(mask, box, short_label(label), COLOURS[number % len(COLOURS)]))
    return draw_overlay(image, marks)
