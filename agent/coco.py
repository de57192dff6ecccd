"""The masks of a result as a COCO file, which pycocotools and most annotation tools read as it is."""

from typing import Any, cast

from pycocotools import mask as coco

from agent.result import Instance, Result
from graphs.episode import Evidence
from graphs.masks import RLE

SCHEMA = "segscout.masks/1"


def to_coco(result: Result) -> dict[str, Any]:
    """Return all masks in COCO's object format.

    There is an image per frame that has masks, whose id is the frame's index, and an annotation per frame and instance
    with run lengths (`size` is [height, width]) and the mask's tight box, [x, y, width, height] in pixels. If instances
    cite what they rest on, `evidence` lists all of it, and that of an annotation its places in that list.
    """
    names = list(dict.fromkeys(label_of(instance, result) for instance in result.instances))
    frames = sorted({frame for instance in result.instances for frame in instance.masks})
    media = result.media
    citing = any(instance.evidence for instance in result.instances)
    annotations: list[dict[str, Any]] = []
    for number, instance in enumerate(result.instances):
        category = names.index(label_of(instance, result)) + 1
        for frame in instance.masks:
            # Ids start at 1: COCO's evaluation takes id 0 for "no match".
            ids = {"id": len(annotations) + 1, "image_id": frame, "category_id": category, "instance_id": number}
            cited = {"evidence": result.cited(instance)} if citing else {}
            annotations.append(ids | _measures(instance.masks.rle(frame)) | {"iscrowd": 0} | cited)
    return {
        "info": {"schema": SCHEMA, "query": result.query, "segscout": result.versions.segscout},
        "images": [
            {"id": frame, "file_name": media.name, "frame": frame, "width": media.width, "height": media.height}
            for frame in frames
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        "annotations": annotations,
        **({"evidence": [_source(one) for one in result.evidence]} if citing else {}),
    }


def label_of(instance: Instance, result: Result) -> str:
    """Return what to call an instance: its label, else what was asked for."""
    return instance.label or result.query


def _source(one: Evidence) -> dict[str, str]:
    return {"claim": one.claim, "title": one.title, "source": one.source}


def _measures(rle: RLE) -> dict[str, Any]:
    encoded = {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
    box = [float(value) for value in cast(Any, coco.toBbox(encoded))]
    return {"segmentation": dict(rle), "bbox": box, "area": int(coco.area(encoded))}
