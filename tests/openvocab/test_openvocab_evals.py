"""What measures open-vocabulary segmentation: counts by hand, street photographs, and frames of Emblems."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from shared_data import SHARED, needs_shared
from vocabulary_stubs import ToyEmbedder

from evals.camvid_semantic import VOCABULARY, camvid_pictures, measure
from evals.emblems.semantic import VOCABULARY as EMBLEMS
from evals.emblems.semantic import draw_frames, make_context
from evals.emblems.semantic import measure as measure_emblems
from graphs.openvocab import OpenVocabularyContext, Settings
from graphs.openvocab.aligner import ClassAligner
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights, load_policy
from tools.classifiers.base import Rows
from tools.image_store import Image, image_sha256
from tools.segmenters import EMBEDDED
from tools.segmenters.automatic import Proposals
from tools.segmenters.base import Mask, Prompt, Segment

CAMVID = SHARED / "data/camvid"


class Truth:
    """Cuts and names what is true; `constant` names everything one class."""

    name = "truth"
    scale = 50.0

    def __init__(self, truths: dict[str, np.ndarray], constant: int | None = None) -> None:
        self.truths, self.constant = truths, constant

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        truth = self.truths[image_sha256(image)]
        return [Segment(truth == place, 1.0) for place in np.unique(truth) if place >= 0]

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """A class is one of its names, which all stand in the texts of its own."""
        rows = np.zeros((len(texts), len(VOCABULARY)), np.float32)
        for row, text in zip(rows, texts, strict=True):
            known = [(len(n), place) for place, c in enumerate(VOCABULARY.classes) for n in c.names if n in text]
            row[max(known)[1]] = 1
        return rows

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        truth = self.truths[image_sha256(image)]
        places = [int(truth[mask][0]) if self.constant is None else self.constant for mask in masks]
        return np.eye(len(VOCABULARY), dtype=np.float32)[[max(place, 0) for place in places]]


@pytest.mark.slow
@needs_shared("data/camvid")
def test_on_street_photographs_the_truth_scores_one_and_a_constant_the_chance_level() -> None:
    pictures = list(camvid_pictures(CAMVID))
    assert len(pictures) == 101
    truths = {image_sha256(image): truth for image, truth in pictures}
    road = VOCABULARY.places["road"]
    scores = []
    for constant in (None, road):
        oracle = Truth(truths, constant)
        context = OpenVocabularyContext(
            vocabulary=VOCABULARY,
            aligner=ClassAligner(VOCABULARY, ToyEmbedder()),
            segmenter=oracle,  # type: ignore[arg-type]
            encoder=oracle,
            settings=Settings(proposals=Proposals(points=1, pixels=1, share=1.0)),
        )
        scores.append(asyncio.run(measure(context, pictures)))
    assert scores[0]["miou"] == scores[0]["miou_occurring"] == scores[0]["pixel_accuracy"] == 1.0
    labelled = sum(int((truth >= 0).sum()) for _, truth in pictures)
    share = sum(int((truth == road).sum()) for _, truth in pictures) / labelled
    assert scores[1]["miou"] == pytest.approx(share / 11, abs=1e-4)
    assert scores[1]["broken"] == 0


def test_frames_of_emblems_hold_what_their_labels_say() -> None:
    frames = list(draw_frames(2, 5))
    again = next(draw_frames(1, 5))
    np.testing.assert_array_equal(frames[0].image, again.image)
    for frame in frames:
        for place in np.unique(frame.truth)[1:]:
            colour = EMBLEMS.classes[place].name.split()[1]
            red, _, blue = np.median(frame.image[frame.truth == place].reshape(-1, 3), axis=0)
            if colour in ("red", "orange"):
                assert red > blue
            if colour == "blue":
                assert blue > red


@pytest.mark.slow
@pytest.mark.skipif(not (has_weights(EMBEDDED_FOLDER) and has_weights(EMBEDDED)), reason="no shipped weights")
def test_with_the_shipped_models_reasoning_helps_and_its_boxes_are_nearly_exact() -> None:
    context = make_context(load_policy("embedded"), 11, 90, empty=2)
    report = asyncio.run(measure_emblems(context, list(draw_frames(3, 11)), boxes=True))
    miou = {name: scores["miou"] for name, scores in report.items() if isinstance(scores, dict) and "miou" in scores}
    assert report["broken"] == 0
    assert report["listing"]["recall"] > 0.9  # type: ignore[index]
    assert miou["policy_boxes"] > 0.8
    assert miou["hard_gating"] > miou["without_reasoning"]
