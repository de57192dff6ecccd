"""A checkpoint holds plain data: whatever else somebody puts there is refused and never made."""

import datetime
import pathlib
from decimal import Decimal
from typing import Any

import numpy as np
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_POS_ARGS, JsonPlusSerializer
from langgraph.types import Interrupt

from graphs.actions import Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.checkpoints import PlainSerializer
from graphs.events import (
    Answered,
    Choice,
    FoundHit,
    Question,
    SearchFinished,
    TurnSampled,
    as_plain_event,
    from_plain_event,
)
from graphs.policies.base import Sampling
from tools.errors import CheckpointError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    serializer = PlainSerializer()
    assert serializer.loads_typed(serializer.dumps_typed(value)) == value


def test_a_question_comes_back():
    serializer = PlainSerializer()
    asked = [Interrupt({"query": "which?"}, id="1")]
    assert serializer.loads_typed(serializer.dumps_typed(asked)) == asked


@pytest.mark.parametrize(
    "value",
    [
        Sampling(), pathlib.Path("/etc/passwd"), Decimal(1), datetime.datetime(2030, 1, 1), {1, 2}, np.zeros(3),
        {"deep": [{"in": Sampling()}]}, [Interrupt(Sampling(), id="1")], b"bytes",
    ],
)  # fmt: skip
def test_anything_else_is_refused(value):
    packed = JsonPlusSerializer().dumps_typed(value)
    with pytest.raises(CheckpointError) as caught:
        PlainSerializer().loads_typed(packed)
    assert caught.value.remedy


def test_a_poisoned_checkpoint_runs_nothing(tmp_path):
    made = tmp_path / "made"
    call = ormsgpack.packb(["os", "mkdir", [str(made)]])
    poison = ormsgpack.packb({"query": ormsgpack.Ext(EXT_CONSTRUCTOR_POS_ARGS, call)})
    for kind, data in [
        ("msgpack", poison),
        ("pickle", b"cos\nsystem\n."),
        ("json", b'{"lc": 2}'),
        ("msgpack", b"\xc1"),
    ]:
        with pytest.raises(CheckpointError):
            PlainSerializer().loads_typed((kind, data))
    assert not made.exists()


@pytest.mark.parametrize(
    "event",
    [
        TurnSampled("plan", 0, "x", action, "stop", 1, 2, 0.5)
        for action in (
            Search((SearchQuery("text_search", "q"),)), LookCloser(3), Malformed("a", "b"), Answer(()),
            Answer((Target((0.1, 0.2, 0.3, 0.4), ((0.2, 0.3),), (1,), "l"), Target(None, ((0.5, 0.5),), (1,))), 2),
        )
    ]
    + [
        SearchFinished("image_search", "q", "run", (FoundHit("t", "s", "n"),), 0.1),
        Answered(False, 2, ((1.0, 2.0, 3.0, 4.0), None)),
        Question("q", (Choice(1, 0, ((1.0, 2.0, 3.0, 4.0),), "l", 2), Choice(2, None, (), "", 3)), 5),
    ],
)  # fmt: skip
def test_events_come_back_from_a_checkpoint(event):
    serializer = PlainSerializer()
    assert from_plain_event(serializer.loads_typed(serializer.dumps_typed(as_plain_event(event)))) == event


@pytest.mark.parametrize(
    "plain", [{}, {"kind": "os.system"}, {"kind": "turn", "action": {"type": "x"}}, {"kind": "node"}]
)
def test_what_is_no_event_is_refused(plain: dict[str, Any]):
    with pytest.raises(CheckpointError):
        from_plain_event(plain)
