import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.dialects.lenient_json import MAX_CHARS, read_lenient

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
values = st.dictionaries(st.text("abc_", min_size=1, max_size=4), plain, min_size=1, max_size=3)


@given(values)
def test_strict_json_keeps_its_exact_meaning(value: object) -> None:
    assert read_lenient(json.dumps(value)) == [value]


@given(
    st.dictionaries(st.text("abc_", min_size=1, max_size=4), st.integers() | st.text("ab c", max_size=8), min_size=1)
)
def test_json_in_prose_and_fences_is_found(value: dict[str, object]) -> None:
    small = {key: item % 10**9 if isinstance(item, int) else item for key, item in value.items()}
    assert read_lenient(f"Here it is:\n```json\n{json.dumps(small, indent=1)}\n```\nDone") == [small]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'it's', 'b': [1, 2,],}", {"a": "it's", "b": [1, 2]}),
        ('{"a": True, "b": None, "c": false}', {"a": True, "b": None, "c": False}),
        ('{a: 1, b: "x"}', {"a": 1, "b": "x"}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ("{“a”: “x”}", {"a": "x"}),
        ('{"a": (1, -2.5, +3, .5, 1e2)}', {"a": [1, -2.5, 3, 0.5, 100.0]}),
        (r'{"a": "\"q\" \\ \u00e9",}', {"a": '"q" \\ é'}),
    ],
)
def test_what_policies_really_write(text: str, value: object) -> None:
    assert read_lenient(text) == [value]


def test_several_values_one_after_another() -> None:
    assert read_lenient("[1], [2]\n{'a': 3} and so on") == [[1], [2], {"a": 3}]


@pytest.mark.parametrize(
    "text", ["", "words", "{", "[1, 2", '{"a"}', '{"a": }', "[" * 40 + ",]" * 40, "{" * (MAX_CHARS + 1)]
)
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_lenient(text)


@given(st.text("{}[]()\"'\\,:= \n01.-+eENnul", max_size=200))
def test_garbage_gives_values_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        read_lenient(text)
