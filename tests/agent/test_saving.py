"""What is saved, read back by others' means; and that nothing is ever half-written."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from agent_stubs import FPS, FRAMES, HEIGHT, WIDTH, agent, frames, script, square
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from agent import Result
from graphs.dialects.seg_research import absent_turn
from tools.errors import InputError, SegscoutError
from tools.media import Media, open_media


@pytest.fixture(scope="module")
def result() -> Result:
    return agent().segment(open_media(frames(), fps=FPS), "the emblem of the Otters")


@pytest.fixture(scope="module")
def saved(result, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "deep" / "down"
    files = result.save(folder)
    assert sorted(path.name for path in files) == sorted(path.name for path in folder.iterdir())
    assert [path.name for path in folder.parent.iterdir()] == ["down"]
    return folder


def test_masks_are_a_coco_file(saved):
    coco = COCO(str(saved / "masks.json"))
    assert [image["width"] for image in coco.loadImgs(coco.getImgIds())] == [WIDTH] * FRAMES
    assert coco.loadCats(coco.getCatIds())[0]["name"] == "the emblem of the Otters"
    annotations = coco.loadAnns(coco.getAnnIds())
    assert [annotation["image_id"] for annotation in annotations] == list(range(FRAMES))
    x1, y1, x2, y2 = square(2)
    for annotation in annotations:
        mask = coco.annToMask(annotation)
        assert mask.shape == (HEIGHT, WIDTH)
        assert annotation["area"] == mask.sum() == 400
        assert annotation["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert coco_masks.area(annotation["segmentation"]) == 400


def test_the_video_keeps_size_frames_and_speed(saved):
    with av.open(str(saved / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert float(stream.average_rate) == FPS
        assert stream.codec_context.name in ("h264", "mpeg4")
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == FRAMES
    assert not np.allclose(decoded[2][18:24, 30:36], frames()[2][18:24, 30:36], atol=12)


def test_the_picture_is_the_keyframe_with_the_mask_over_it(saved):
    picture = np.asarray(PIL.Image.open(saved / "overlay.png"))
    before = frames()[2]
    assert picture.shape == before.shape
    changed = (picture != before).any(axis=2)
    x1, y1, x2, y2 = square(2)
    assert changed[y1:y2, x1:x2].mean() > 0.9
    assert not changed[y2 + 4 :].any()
    assert not changed[y2 - 1, : x1 - 4].any()  # beside the mask, below the label


def test_the_trace_holds_every_turn_and_event_in_order(saved, result):
    lines = [json.loads(line) for line in (saved / "trace.jsonl").read_text().splitlines()]
    assert lines[0]["schema"] == "segscout.trace/1"
    assert lines[-1]["kind"] == "end"
    assert [line["index"] for line in lines if line["kind"] == "turn"] == list(range(len(result.conversation)))
    assert [line["event"]["kind"] for line in lines if line["kind"] == "event"] == [
        step.event.kind for step in result.steps
    ]
    said = [i for i, line in enumerate(lines) if line.get("role") == "assistant"]
    assert all(lines[i + 1]["event"]["kind"] == "turn" for i in said)
    assert "red square" in json.dumps(lines[said[1] - 1])  # the observation stands before the turn that read it


def test_the_result_file_is_to_dict(saved, result):
    assert json.loads((saved / "result.json").read_text()) == json.loads(json.dumps(result.to_dict()))


def test_saving_again_replaces_ours_and_leaves_the_rest(result, tmp_path):
    result.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    absent = agent([absent_turn("No.")]).segment(frames(), "a whale")
    absent.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"notes.txt", "overlay.png", "masks.json", "trace.jsonl", "result.json"}
    assert json.loads((tmp_path / "result.json").read_text())["absent"] is True


def test_odd_sides_and_several_instances(tmp_path):
    clip = [frame[:49, :79] for frame in frames()]
    several = agent([script()[2].replace('{"bbox_2d"', '[{"bbox_2d"').replace("} </answer>", '}, {"bbox_2d": [10, 10, 300, 300], "point_2d": [20, 20]}] </answer>')])  # noqa: E501  # fmt: skip
    result = several.segment(clip, "both")
    assert len(result.instances) == 2
    result.save(tmp_path / "odd")
    with av.open(str(tmp_path / "odd" / "overlay.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (80, 50)
    assert len(COCO(str(tmp_path / "odd" / "masks.json")).getAnnIds()) == 2 * FRAMES


class Vanishing:
    """Frames of which the last cannot be read any more."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int, /) -> np.ndarray:
        if index == len(self) - 1:
            raise OSError("the disk is gone")
        return self._pictures[index]


def test_a_failure_half_way_leaves_the_folder_as_it_was(result, tmp_path):
    media = Media("video", Vanishing(frames()), WIDTH, HEIGHT, FPS, "clip", "0")
    broken = replace(result, media=media)
    with pytest.raises(SegscoutError, match="cannot read frame 5"):
        broken.save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    result.save(tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    with pytest.raises(SegscoutError):
        broken.save(tmp_path / "old")
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_a_file_in_the_way_is_an_input_error(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        result.save(tmp_path / "file" / "below")
