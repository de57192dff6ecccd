"""Small data sets in the published layouts, as tests of data sets, tasks and benchmarks need them."""

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def block(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    mask[rows, columns] = True
    return mask


def save(array: np.ndarray, path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array).save(path, **options)
    return path


def png(array: np.ndarray) -> dict:
    """A picture cell as `datasets` writes it."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, format="png")
    return {"bytes": buffer.getvalue(), "path": None}


def write_parquet(path: Path, rows: list[dict], group: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def ok_vos(data: Path, split: str, count: int = 20, tasks: int = 3) -> dict[int, np.ndarray]:
    """Write a video of `count` frames, 40x60; object 7 is seen in frames 3 to 12 and cut by the left edge in frame 5.

    Frame i is of grey 10 i, so that a test can tell which it is. Returns the true masks.
    Other objects have other values in the same mask files; frame 4 has no mask file.
    """
    folder, truths, rows = data / split, {}, []
    for frame in range(count):
        save(
            np.full((40, 60, 3), 10 * frame, np.uint8), folder / "JPEGImages" / "clip" / f"{frame:05d}.jpg", quality=95
        )
        values = np.zeros((40, 60), np.uint8)
        values[30:38, 50:58] = 254
        if 3 <= frame <= 12:
            left = 0 if frame == 5 else frame
            values[5 : 10 + frame, left : left + 12] = 255
        if frame == 12:
            values[38:40, 0:3] = 255
        truths[frame] = (values == 255) & (frame != 4)
        if frame != 4:
            save(values, folder / "Annotations" / "clip" / "7" / f"{frame:05d}.png")
    for number in range(tasks):
        question = f"It was late. Please find 'thing {number}, 'the' one' in the provided video."
        images = [f"{frame:05d}" for frame in reversed(range(count))]
        steps = ["who is it", "what is it"] if number else None
        row = {"question": question, "images": images, "ability": "one-hop", "video": "clip", "oid": 7, "steps": steps}
        rows.append({**row, "id": f"q{number}"})
    write_parquet(data / f"{split}.parquet", rows)
    return truths


def reason_seg(data: Path, split: str, name: str, shapes: list, texts: list[str], encoding: str = "utf-8") -> Path:
    """Write one picture of 60x80 with its annotation; shapes are (label, points)."""
    save(noise(60, 80), data / split / f"{name}.jpg")
    plain = {
        "text": texts,
        "is_sentence": True,
        "shapes": [{"label": label, "points": points, "shape_type": "polygon"} for label, points in shapes],
    }
    path = data / split / f"{name}.json"
    path.write_bytes(json.dumps(plain, ensure_ascii=False).encode(encoding))
    return path


def reason_seg_row(mask: np.ndarray, text: str, number: int) -> dict:
    """A row as Seg-Zero published ReasonSeg."""
    height, width = mask.shape
    picture = png(noise(height, width, number))
    sizes = {"img_height": height, "img_width": width}
    return {"image": picture, "text": text, "mask": mask.tolist(), "image_id": f"pic{number}", "ann_id": 0, **sizes}


def demonstration_row(number: int, **more) -> dict:
    row = {"problem": f"find {number}", "image": png(noise(12, 16, number)), "thinking": f"<think>{number}</think>"}
    return {**row, "solution": "<bbox>[1,2,3,4]</bbox>, <points>[[2,3]]</points>, <labels>[1]</labels>", **more}


def vision_reasoner_row(solution: str, problem: str = "the dog.", number: int = 0) -> dict:
    picture = png(noise(840, 840, number)[:, :, :1].repeat(3, 2))
    return {
        "id": f"r{number}", "problem": problem, "solution": solution, "image": picture,
        "img_height": 480, "img_width": 640,
    }  # fmt: skip
