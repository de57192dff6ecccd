"""Measure open-vocabulary segmentation on street photographs: CamVid's 11 classes, with a CLIP and a policy of choice.

For measuring only: nothing that ships is trained on CamVid.
`python -m evals.camvid_semantic CAMVID --clip openai/clip-vit-base-patch32 --policy http://localhost:8000/v1` prints
one JSON object; without `--policy` there is no reasoning. CAMVID is what `evals.camvid` reads.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.metrics.semantic import count_classes, score_semantic
from graphs.openvocab import OpenVocabularyContext, Vocabulary, segment_vocabulary
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows
from graphs.openvocab.dialects import JsonReasoning
from graphs.policies.loading import load_policy
from tools.embedders import load_embedder
from tools.errors import InputError, MediaError
from tools.image_store import Image
from tools.segmenters import load_segmenter

VOCABULARY = Vocabulary.of(
    ["sky", "building", "pole, column pole", "road", "pavement, sidewalk", "tree", "sign, traffic sign, sign symbol",
     "fence", "car", "pedestrian, person", "bicyclist, cyclist"],
    stuff=["sky", "building", "road", "pavement", "tree", "fence"],
)  # fmt: skip
_REMEDY = "Give the folder with images/*.jpg and labels/*.png (SegNet's packaging of CamVid, 480 by 360)."


def camvid_pictures(folder: Path) -> Iterator[tuple[Image, NDArray[np.int32]]]:
    """Yield each picture, RGB uint8 (h, w, 3), with the place of each pixel's class in `VOCABULARY`, -1 unlabelled.

    Raises InputError where the folder is not CamVid, MediaError for a picture that cannot be read.
    """
    names = sorted(path.stem for path in folder.glob("labels/*.png"))
    if not names:
        raise InputError(f"there are no CamVid labels in {folder}.", remedy=_REMEDY)
    for name in names:
        picture = cv2.imread(str(folder / "images" / f"{name}.jpg"), cv2.IMREAD_COLOR_RGB)
        labels = cv2.imread(str(folder / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        if picture is None or labels is None or labels.shape != picture.shape[:2]:
            raise MediaError(f"the picture or labels {name} in {folder} cannot be read.", remedy=_REMEDY)
        yield np.asarray(picture, np.uint8), _places(labels)


def _places(labels: NDArray[Any]) -> NDArray[np.int32]:
    places = labels.astype(np.int32)
    places[places >= len(VOCABULARY)] = -1
    return places


async def measure(
    context: OpenVocabularyContext, pictures: Iterable[tuple[Image, NDArray[np.int32]]]
) -> dict[str, object]:
    """Label all pictures; return scores, how many runs broke, and which names were like no class."""
    counts, broken = [], 0
    unaligned: set[str] = set()
    for image, truth in pictures:
        result = await segment_vocabulary(image, context)
        labels = result.maps.labels if result.maps else np.full_like(truth, -1)
        counts.append(count_classes(labels, truth, len(VOCABULARY), ignore=-1))
        broken += result.ending.broken
        unaligned |= set(result.unaligned)
    scored = score_semantic(counts).summary()
    return {"n": len(counts), **scored, "broken": broken, "unaligned": sorted(unaligned)}


def main(arguments: list[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Open-vocabulary segmentation of CamVid.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clip", required=True, help="folder or hub id of a CLIP or SigLIP checkpoint")
    parser.add_argument("--sam2", help="folder or hub id of a SAM 2 checkpoint; by default the one that ships")
    parser.add_argument("--policy", help="address of an OpenAI-compatible endpoint")
    parser.add_argument("--embedder", default="hashing", help="what aligns names: hashing, minilm, e5")
    options = parser.parse_args(arguments)
    from tools.classifiers.clip import ClipEncoder

    encoder = ClipEncoder(options.clip)
    context = OpenVocabularyContext(
        vocabulary=VOCABULARY,
        aligner=ClassAligner(VOCABULARY, load_embedder(options.embedder)),
        segmenter=load_segmenter("sam2", options.sam2),
        encoder=encoder,
        rows=PhraseRows(encoder),
        policy=load_policy(options.policy) if options.policy else None,
        dialect=JsonReasoning(),
    )
    report = asyncio.run(measure(context, camvid_pictures(options.folder)))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
