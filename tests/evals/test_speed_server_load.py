"""The server under load as the benchmark puts it, only less of it; and that the benchmark would notice a mix-up."""

import numpy as np
import pytest

from evals.speed.server_load import MOST, check, draw, measure
from evals.speed.stub_endpoint import find_red, play
from graphs.actions import Answer, LookCloser
from graphs.dialects.base import View
from graphs.dialects.seg_research import SegResearch
from graphs.masks import encode_rle
from tools.errors import InputError


def told(number: int) -> dict:
    """What an answer to a request holds if all is well."""
    mask = draw(number)[1]
    return {"reasoning": f"I am asked for number {number}.\n", "segmentation": {"masks": [{"rle": encode_rle(mask)}]}}


def test_no_two_requests_can_be_taken_for_each_other():
    masks = {(mask.shape, mask.tobytes()) for mask in (draw(number)[1] for number in range(MOST))}
    assert len(masks) == MOST


def test_every_kind_of_mix_up_shows():
    mask = draw(7)[1]
    assert check(told(7), 7, mask) == ""
    assert check(told(7), 70, mask) == "question"
    assert check({**told(7), "segmentation": told(47)["segmentation"]}, 7, mask) == "size"
    assert check({**told(7), "segmentation": told(8)["segmentation"]}, 7, mask) == "mask"
    assert check({**told(7), "segmentation": {"masks": []}}, 7, mask) == "0 masks"


def test_the_policy_answers_from_the_picture_it_is_shown():
    dialect = SegResearch(View(frames=4, frame_size=224, keyframe_size=448, image_size=128), "compact")
    picture, mask = draw(13)
    rows, columns = np.nonzero(mask)
    assert find_red(picture) == pytest.approx(
        (
            columns.min() / mask.shape[1],
            rows.min() / mask.shape[0],
            (columns.max() + 1) / mask.shape[1],
            (rows.max() + 1) / mask.shape[0],
        )
    )
    assert find_red(np.zeros((4, 4, 3), np.uint8)) is None
    asked = [{"role": "user", "content": [{"type": "text", "text": "number 13"}]}]
    assert isinstance(dialect.parse(play(asked)), LookCloser)
    assert not isinstance(dialect.parse(play(asked)), Answer)


@pytest.mark.parametrize("requests", [0, MOST + 1])
async def test_more_than_can_be_told_apart_is_refused(requests):
    with pytest.raises(InputError, match="told apart"):
        await measure(requests, 10, 0.0)


@pytest.mark.slow
async def test_none_is_lost_and_none_mixed_up():
    report = await measure(60, 20, 0.05)
    assert (report["lost"], report["mixed_up"], report["reasons"]) == (0, 0, {})
    assert report["resident_mib"]["after 60"] > 0
    assert 0 < report["p50_seconds"] <= report["p99_seconds"] <= report["seconds"]
