import json

import dataset_fixtures as make
import numpy as np
import pytest

from evals.datasets.evi_lens import EviLensMasks
from tools.errors import InputError, MediaError

TRUTH = make.block(20, 30, slice(4, 10), slice(6, 21))
QUESTIONS = [("who won in 1987", make.noise(20, 30), TRUTH), (" 曾 ", make.noise(20, 30, 1), ~TRUTH)]


@pytest.mark.parametrize("place", ["", "benchmark", "EviLens/benchmark"])
def test_the_published_layout_is_read(tmp_path, place):
    make.evi_lens(tmp_path / place, QUESTIONS)
    source = EviLensMasks(tmp_path)
    assert [(sample.id, sample.query) for sample in source] == [("batch_1:0", "who won in 1987"), ("batch_1:1", "曾")]
    assert np.array_equal(source[0].masks(0)[0], TRUTH)
    assert np.array_equal(source[1].masks(0)[0], ~TRUTH)
    assert source[0].media[0].shape == (20, 30, 3)
    assert source[0].group == "real"
    assert len(EviLensMasks(tmp_path, 1)) == 1


def test_what_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(InputError, match=r"segmentation\.jsonl is missing") as error:
        EviLensMasks(tmp_path)
    assert "download_images.py" in error.value.remedy
    path = make.evi_lens(tmp_path, QUESTIONS)
    (tmp_path / "images/searched/images/0.jpg").write_bytes(b"no picture")
    (tmp_path / "masks/real_seg__1.png").unlink()
    source = EviLensMasks(tmp_path)
    with pytest.raises(MediaError):
        source[0]
    with pytest.raises(InputError, match=r"real_seg__1\.png is missing"):
        source[1]
    for line in ("{", "[]", '{"id": "x"}'):
        path.write_text(line + "\n")
        with pytest.raises(InputError, match=r"segmentation\.jsonl"):
            EviLensMasks(tmp_path)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/secret.jpg", "images/../../../../secret.jpg"])
def test_a_name_does_not_lead_out_of_the_folder(tmp_path, name):
    path = make.evi_lens(tmp_path / "data", QUESTIONS)
    make.save(make.noise(20, 30), tmp_path / "secret.jpg")
    line = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps({**line, "image_path": name}))
    with pytest.raises(InputError, match="leads out of the data set"):
        EviLensMasks(tmp_path / "data")[0]
