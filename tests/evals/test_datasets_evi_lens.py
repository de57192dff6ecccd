import json

import dataset_fixtures as make
import numpy as np
import pytest

from evals.datasets.evi_lens import EviLens
from tools.errors import InputError, MediaError

TRUTH = make.block(20, 30, slice(4, 10), slice(6, 21))
QUESTIONS = [("who won in 1987", make.noise(20, 30), TRUTH), (" 曾 ", make.noise(20, 30, 1), ~TRUTH)]


@pytest.mark.parametrize("place", ["", "benchmark", "EviLens/benchmark"])
def test_the_published_layout_is_read(tmp_path, place):
    make.evi_lens(tmp_path / place, QUESTIONS)
    source = EviLens(tmp_path)
    assert [(sample.id, sample.query) for sample in source] == [("batch_1:0", "who won in 1987"), ("batch_1:1", "曾")]
    assert np.array_equal(source[0].masks(0)[0], TRUTH)
    assert np.array_equal(source[1].masks(0)[0], ~TRUTH)
    assert source[0].media[0].shape == (20, 30, 3)
    assert source[0].group == "real"
    assert len(EviLens(tmp_path, n=1)) == 1


def test_what_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(InputError, match=r"segmentation\.jsonl is missing") as error:
        EviLens(tmp_path)
    assert "download_images.py" in error.value.remedy
    path = make.evi_lens(tmp_path, QUESTIONS)
    (tmp_path / "images/searched/images/0.jpg").write_bytes(b"no picture")
    (tmp_path / "masks/real_seg__1.png").unlink()
    source = EviLens(tmp_path)
    with pytest.raises(MediaError):
        source[0]
    with pytest.raises(InputError, match=r"real_seg__1\.png is missing"):
        source[1]
    for line in ("{", "[]", '{"id": "x"}'):
        path.write_text(line + "\n")
        with pytest.raises(InputError, match=r"segmentation\.jsonl"):
            EviLens(tmp_path)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/secret.jpg", "images/../../../../secret.jpg"])
def test_a_name_does_not_lead_out_of_the_folder(tmp_path, name):
    path = make.evi_lens(tmp_path / "data", QUESTIONS)
    make.save(make.noise(20, 30), tmp_path / "secret.jpg")
    line = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps({**line, "image_path": name}))
    with pytest.raises(InputError, match="leads out of the data set"):
        EviLens(tmp_path / "data")[0]


def test_boxes_are_scaled_and_differences_left_out(tmp_path):
    box, picture = [100, 250, 300.5, 750], make.noise(20, 30)
    questions = [("the clock", picture, box), ("all 2 differences", picture, [box, box])]
    questions += [("no box", picture, broken) for broken in ([1, 2], [300, 0, 100, 9], [0, 0, 9, 1001])]
    make.evi_lens(tmp_path, questions, "localization")
    source = EviLens(tmp_path, "localization")
    assert len(source) == 4
    assert source[0].boxes[0] == pytest.approx((3, 5, 9.015, 15))
    assert np.array_equal(source[0].masks(0)[0], make.block(20, 30, slice(5, 15), slice(3, 9)))
    for index in (1, 2, 3):
        with pytest.raises(InputError, match=f"the box of batch_1:{index + 1} is none"):
            source[index]
    with pytest.raises(InputError, match=r"recognition\.jsonl is missing"):
        EviLens(tmp_path, "recognition")
