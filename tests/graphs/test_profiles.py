import json
import pickle
import shlex

import pytest

from graphs.dialects.base import View
from graphs.profiles import PROFILES, get_profile, make_dialect
from tools.errors import InputError


def test_sizes_are_those_that_the_checkpoints_expect() -> None:
    embedded = get_profile("embedded")
    assert embedded.view == View(frames=4, frame_size=224, keyframe_size=448, image_size=128)
    assert len(embedded.make_dialect().system(search=True)) < 80
    for name in ("seg-research-4b", "qwen3-vl"):
        profile = get_profile(name)
        assert profile.view == View(frames=6, frame_size=448, keyframe_size=864, image_size=256)
        assert "<tools>" in profile.make_dialect().system(search=True)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=str)
def test_every_size_is_a_multiple_of_the_image_cell(profile) -> None:  # type: ignore[no-untyped-def]
    view = profile.view
    cells = {"seg_research": (32,), "native": (28, 32)}.get(profile.dialect, (28,))  # Qwen3-VL's and Qwen2.5-VL's
    sides = (view.frame_size, view.keyframe_size, view.image_size)
    assert not [side for side in sides for cell in cells if side % cell]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=str)
def test_a_dialect_can_be_sent_to_another_process(profile) -> None:  # type: ignore[no-untyped-def]
    dialect = profile.make_dialect()
    turn = '<think>a</think><thinking>a</thinking><search>{"name": "text_search", "query": "b"}</search>'
    assert pickle.loads(pickle.dumps(dialect)).parse(turn) == dialect.parse(turn)


def test_unknown_names_list_the_known_ones() -> None:
    assert make_dialect("seg-research", get_profile("embedded").view).name == "seg_research"
    with pytest.raises(InputError, match="embedded"):
        get_profile("gpt")
    with pytest.raises(InputError, match="seg_research"):
        make_dialect("klingon", get_profile("embedded").view)


def test_every_public_checkpoint_has_the_line_that_serves_it() -> None:
    assert get_profile("embedded").serve == ""
    line = get_profile("vision-reasoner-7b").serve
    assert line.startswith("vllm serve Ricky06662/VisionReasoner-7B --max-model-len ")
    options = shlex.split(line)
    assert json.loads(options[options.index("--limit-mm-per-prompt") + 1]) == {"image": 16}
    native = shlex.split(get_profile("native").serve)
    assert native[2] == "MODEL"
    assert native[-3:] == ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    for profile in PROFILES.values():
        if profile.serve:
            context = int(shlex.split(profile.serve)[4])
            shown = profile.view.frames * (profile.view.frame_size // 32) ** 2
            assert profile.budget.tokens + shown < context <= 65_536
