"""Small data sets in the published layouts, as tests of data sets, tasks and benchmarks need them."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
from pycocotools import mask as coco


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


def rle(mask: np.ndarray) -> dict:
    """Compressed run lengths as JSON has them."""
    found = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


def refcoco(data: Path, name: str, pictures: list, split: str = "val", by: str = "unc") -> Path:
    """Write the refer API's layout; a picture is (array, [(texts, segmentations), ...]), a reference of each pair."""
    folder, refs, images, annotations, sentences = data / name, [], [], [], 0
    for number, (array, referred) in enumerate(pictures):
        file_name = f"COCO_train2014_{number:012d}.jpg"
        save(array, data / "images/mscoco/images/train2014" / file_name, quality=95)
        images.append({"id": number, "file_name": file_name, "height": array.shape[0], "width": array.shape[1]})
        for texts, segmentations in referred:
            ids = [len(annotations) + i for i in range(len(segmentations))]
            for one, segmentation in zip(ids, segmentations, strict=True):
                annotations.append({"id": one, "image_id": number, "category_id": 1, "segmentation": segmentation})
            numbers = range(sentences, sentences := sentences + len(texts))
            said = [{"sent_id": i, "sent": text, "raw": text.upper()} for i, text in zip(numbers, texts, strict=True)]
            ref = {"ref_id": len(refs), "image_id": number, "split": split, "sentences": said}
            refs.append(ref | {"file_name": f"COCO_train2014_{number:012d}_{len(refs)}.jpg"})
            refs[-1]["ann_id"] = (ids or [-1]) if name == "grefcoco" else ids[0]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    if name == "grefcoco":
        (folder / f"grefs({by}).json").write_text(json.dumps(refs))
    else:
        (folder / f"refs({by}).p").write_bytes(pickle.dumps(refs, protocol=2))
    return folder


def image_masks(pictures: Path, masks: Path, pairs: list) -> None:
    """Write pairs (array, truth) as 00.jpg and 00.png, …"""
    for number, (array, truth) in enumerate(pairs):
        save(array, pictures / f"{number:02d}.jpg", quality=95)
        save((truth * 255).astype(np.uint8), masks / f"{number:02d}.png")


def evi_lens(data: Path, questions: list, split: str = "segmentation") -> Path:
    """Write EviLens' layout; a question is (text, array, truth). The masks' transparency is noise, as published.

    Where boxes are asked for, `truth` is one, of 0 to 1000; a list of several is a task of another kind.
    """
    lines = []
    for number, (text, array, truth) in enumerate(questions):
        save(array, data / f"images/searched/images/{number}.jpg", quality=95)
        line = {"id": f"batch_1:{number}", "image_path": f"images/{number}.jpg", "description": text}
        line |= {"image_tag": "searched", "subcategory": "", "_source_file": "real_seg"}
        if split == "segmentation":
            alpha = noise(*truth.shape, number)[..., 0]
            save(np.dstack([truth * np.uint8(255)] * 3 + [alpha]), data / f"masks/real_seg__{number}.png")
            line |= {"task": split, "mask_path_benchmark": f"masks/real_seg__{number}.png"}
        else:
            several = isinstance(truth[0], list)
            line |= {"task": "spot_diff" if several else "grounding_bbox", "bbox_1000_xyxy": truth}
        lines.append(line)
    path = data / (f"{split}.jsonl" if split == "segmentation" else f"grounding/{split}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
