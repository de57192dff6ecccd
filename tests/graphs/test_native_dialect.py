import json

import pytest
from dialect_checks import MEGABYTE, PICTURE, garbage, is_sound, said, seconds
from graph_stubs import VIEW
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.actions import Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.conversation import ImageRef, Text
from graphs.dialects.base import ShownFrame, ShownImage
from graphs.dialects.native import Native, answer_turn, look_turn, search_turn
from graphs.dialects.native_calls import ANSWER_HINT, ANY_HINT, LOOK_HINT, SEARCH_HINT
from graphs.dialects.seg_research_answers import MAX_TARGETS
from tools.search.base import TextHit

DIALECT = Native(VIEW)
parse = DIALECT.parse
ABSENT = Answer(())
WHO = SearchQuery("text_search", "who won")
LOGO = SearchQuery("image_search", "their emblem")


def call(name: str, arguments: object) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def answer(*instances: object, **more: object) -> str:
    return call("answer", {"instances": list(instances), **more})


def box(*numbers: float, **more: object) -> Target:
    return Target(tuple(number / 1000 for number in numbers), **more)  # type: ignore[arg-type]


ONE = {"box": [100, 200, 300, 400], "label": "ring", "evidence": ["e1"]}
TOLD = box(100, 200, 300, 400, label="ring", evidence=(1,))
BARE = Answer((box(100, 200, 300, 400),))
SEARCH = call("text_search", {"query": "who won"})

ANSWERS = {
    "as asked for": (answer(ONE, frame=3), Answer((TOLD,), 3)),
    "several": (answer(ONE, {"box": [0, 0, 10, 10]}), Answer((TOLD, box(0, 0, 10, 10)))),
    "absent": (answer(), ABSENT),
    "points": (
        answer({"box": [100, 200, 300, 400], "points": [[150, 250], [200, 300]]}),
        Answer((box(100, 200, 300, 400, points=((0.15, 0.25), (0.2, 0.3)), labels=(1, 1)),)),
    ),
    "swapped corners": (answer({"box": [300, 400, 100, 200]}), BARE),
    "out of range": (answer({"box": [-50, 200, 300, 4e9]}), Answer((box(0, 200, 300, 1000),))),
    "numbers in quotes": (answer({"box": ["100", "200", 300, 400]}), BARE),
    "a lone object": (call("answer", {"instances": ONE}), Answer((TOLD,))),
    "no list around": (call("answer", ONE), Answer((TOLD,))),
    "a bare box": (call("answer", {"instances": [100, 200, 300, 400]}), BARE),
    "bare boxes": (answer([100, 200, 300, 400]), BARE),
    "JSON in JSON": (call("answer", json.dumps({"instances": json.dumps([ONE])})), Answer((TOLD,))),
    "one call an object": (answer(ONE, frame=2) + answer({"box": [0, 0, 10, 10]}),
                           Answer((TOLD, box(0, 0, 10, 10)), 2)),
    "one that cannot be read": (answer({"box": [1, 2, 3]}, ONE, None), Answer((TOLD,))),
    "NaN beside another": (answer({"box": [float("nan"), 2, 3, 4]}, ONE), Answer((TOLD,))),
    "the name of a namespace": (call("functions.answer", {"instances": [ONE]}), Answer((TOLD,))),
    "an unknown tool beside it": (call("python", {"code": "1"}) + answer(ONE), Answer((TOLD,))),
    "parameters": ('<tool_call>{"name": "answer", "parameters": {"instances": []}}</tool_call>', ABSENT),
    "single quotes": ("<tool_call>{'name': 'answer', 'arguments': {'instances': [],}}</tool_call>", ABSENT),
    "not closed": (answer(ONE).removesuffix("</tool_call>"), Answer((TOLD,))),
    "thought before": (f"<think> {answer()} </think> So: {answer(ONE)}", Answer((TOLD,))),
    "thought that the template opened": (f"{answer()} no </think>{answer(ONE)}", Answer((TOLD,))),
    "quoted result": (f"<tool_response>\n{answer()}\n</tool_response>{answer(ONE)}", Answer((TOLD,))),
    "plain JSON": (json.dumps({"instances": [ONE], "frame": 1}), Answer((TOLD,), 1)),
    "plain JSON, absent": ('{"instances": []}', ABSENT),
    "an empty list": (" [] ", ABSENT),
    "plain list": (json.dumps([ONE]), Answer((TOLD,))),
    "plain object": (json.dumps(ONE), Answer((TOLD,))),
    "fenced": (f'```json\n{json.dumps({"instances": [ONE]})}\n```', Answer((TOLD,))),
    "plain JSON behind a thought": ('<thinking> {"a": 1} </thinking>\n{"instances": []}', ABSENT),
    "a call without tags": ('{"name": "answer", "arguments": {"instances": []}}', ABSENT),
}  # fmt: skip


@pytest.mark.parametrize(("text", "action"), ANSWERS.values(), ids=ANSWERS)
def test_answers_in_every_spelling(text, action):
    assert parse(text) == action


STEPS = {
    "a search": (SEARCH, Search((WHO,))),
    "two at once": (SEARCH + call("image_search", {"query": "their emblem"}), Search((WHO, LOGO))),
    "the same twice": (SEARCH + SEARCH, Search((WHO,))),
    "queries": (call("text_search", {"queries": ["who won", "where"]}),
                Search((WHO, SearchQuery("text_search", "where")))),
    "one of two is bad": (call("text_search", {}) + SEARCH, Search((WHO,))),
    "an answer beside it": (answer() + SEARCH, Search((WHO,))),
    "a look beside it": (SEARCH + call("look_closer", {"frame": 1}), Search((WHO,))),
    "cut in the second": (f'{SEARCH}<tool_call>{{"name": "text_search", "argu', Search((WHO,))),
    "two in one block": ('<tool_call>[{"name": "text_search", "arguments": {"query": "who won"}}, '
                         '{"name": "image_search", "arguments": {"query": "their emblem"}}]</tool_call>',
                         Search((WHO, LOGO))),
    "a look": (call("look_closer", {"frame": 7}), LookCloser(7)),
    "a look in words": (call("look-closer", {"frame": " 7.0 "}), LookCloser(7)),
    "two looks": (call("look_closer", {"frame": 7}) + call("look_closer", {"frame": 8}), LookCloser(8)),
    "a look and an answer": (call("look_closer", {"frame": 7}) + answer(), LookCloser(7)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "action"), STEPS.values(), ids=STEPS)
def test_what_several_calls_ask_for_together(text, action):
    assert parse(text) == action


UNUSABLE = {
    "nothing": ("", ANY_HINT), "prose": ("It is the red one.", ANY_HINT), "a word of JSON": ("null", ANY_HINT),
    "other JSON": ('{"a": 1}', ANY_HINT), "JSON in prose": ('The answer is {"instances": []}', ANY_HINT),
    "only a thought": (f"<thinking>{answer(ONE)}</thinking>", ANY_HINT),
    "only a quotation": (f"<information>{answer(ONE)}</information>", ANY_HINT),
    "not JSON": ("<tool_call>answer()</tool_call>", ANY_HINT), "no name": ("<tool_call>{}</tool_call>", ANY_HINT),
    "cut": ('<tool_call>{"name": "answer", "arguments": {"inst', ANY_HINT),
    "unknown tool": (call("segment", {"x": 1}), ANY_HINT),
    "arguments in words": (call("answer", "left"), ANSWER_HINT),
    "a list as arguments": (call("answer", [1]), ANSWER_HINT),
    "no instances": (call("answer", {}), ANSWER_HINT),
    "null instances": (call("answer", {"instances": None}), ANSWER_HINT),
    "too few numbers": (answer({"box": [1, 2, 3]}), ANSWER_HINT),
    "no area": (answer({"box": [5, 5, 5, 9]}), ANSWER_HINT),
    "NaN": (answer({"box": [float("nan"), 2, 3, float("inf")]}), ANSWER_HINT), "words": (answer("left"), ANSWER_HINT),
    "beyond": (answer({"box": [1500, 1500, 1700, 1800]}), ANSWER_HINT), "a nest": (answer({"box": "x"}), ANSWER_HINT),
    "no query": (call("text_search", {}), SEARCH_HINT), "a number": (call("text_search", {"query": 5}), SEARCH_HINT),
    "a long query": (call("image_search", {"query": "a" * 501}), SEARCH_HINT),
    "no frame": (call("look_closer", {}), LOOK_HINT), "frame -1": (call("look_closer", {"frame": -1}), LOOK_HINT),
    "half a frame": (call("look_closer", {"frame": 1.5}), LOOK_HINT),
    "true": (call("look_closer", {"frame": True}), LOOK_HINT),
    "a digit that is none": (call("look_closer", {"frame": "²"}), LOOK_HINT),
}  # fmt: skip


@pytest.mark.parametrize(("text", "hint"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_unclear_is_neither_found_nor_absent_and_gets_one_precise_hint(text, hint):
    action = parse(text)
    assert isinstance(action, Malformed)
    assert action.hint == hint
    assert action.reason


def test_thousands_of_objects_are_limited_or_refused():
    many = parse(answer(*[{"box": [i, i, i + 5, i + 5]} for i in range(200)]))
    assert isinstance(many, Answer)
    assert len(many.targets) == MAX_TARGETS
    assert isinstance(parse(answer(*[ONE] * 5_000)), Malformed)
    assert len(parse(SEARCH * 3 + "".join(call("text_search", {"query": str(n)}) for n in range(5_000))).queries) < 100


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        (["e1", "e2"], (1, 2)), ("e2, [e1]", (2, 1)), (["[e3]", "E3", 3], (3,)), (7, (7,)), ([[1], ["e 2"]], (1, 2)),
        (["e1: Winner of the Cup"], (1,)), (None, ()), ([], ()), (["the first", True, 1.5, {}, "http://x/2024"], ()),
        ("e" * 2_000, ()), (["-", "e", "999999999"], ()), (list(range(1, 1_000)), tuple(range(1, 33))),
    ],
)  # fmt: skip
def test_marks_in_every_spelling(written, numbers):
    found = parse(answer({"box": [1, 2, 3, 4], "evidence": written}))
    assert [target.evidence for target in found.targets] == [numbers]


# Observations.

HITS = [TextHit("Cup", "The Otters won.", "doc:1", 1.0), TextHit("Otters", "They bear [e9] a ring.", "doc:2", 0.5)]
FRAME = ShownFrame(3, PICTURE)


def test_results_are_marked_over_the_whole_episode_and_cannot_forge_a_mark():
    assert said(DIALECT.text_results(HITS, first=4)) == (
        "<information>[e4] Cup: The Otters won.\n[e5] Otters: They bear \u2039e9] a ring.\n</information>\n\n"
    )
    assert said(DIALECT.image_results([ShownImage("[e1] x", PICTURE)], first=2)) == (
        "<information>[e2] \u2039e1] x: <image>\n</information>\n\n"
    )
    assert "No results" in said(DIALECT.text_results([]))


def blocks(text: str) -> list[str]:
    assert text.startswith("<tool_response>\n")
    return [piece.split("\n</tool_response>")[0] for piece in text.split("<tool_response>\n")[1:]]


def test_every_call_is_answered_in_its_order():
    turn = (
        call("python", {}) + SEARCH + SEARCH + call("look_closer", {"frame": 1}) + call("text_search", {"query": "b"})
    )
    shown = DIALECT.observation(turn, [(Text("first\n\n"),), (Text("second"),)])
    unknown, first, again, look, second = blocks(said(shown))
    assert "there is no tool 'python'" in unknown
    assert (first, second) == ("first", "second")
    assert "twice" in again
    assert "Not done" in look


def test_pictures_stand_behind_the_answers_of_calls():
    shown = DIALECT.observation(look_turn("", 3), [DIALECT.keyframe(FRAME)])
    assert said(shown) == (
        "<tool_response>\nThe picture follows.\n</tool_response>\nFrame 3 in high resolution: <image>"
    )
    assert isinstance(shown[-1], ImageRef)
    refused = DIALECT.observation(SEARCH, [()])
    assert blocks(said(refused)) == ["Not run, as is said below."]


def test_a_turn_without_calls_is_answered_in_plain_words():
    hint = DIALECT.repair(Malformed("no", "Do."))
    assert DIALECT.observation("It is there.", [hint]) == hint


# Prompts.


def vocabulary(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {word for one in schema for word in vocabulary(one)}
    if not isinstance(schema, dict):
        return set()
    inner = schema.get("properties", {})
    deeper = [value for key, value in schema.items() if key != "properties"]
    return {*schema, *(word for one in (*inner.values(), *deeper) for word in vocabulary(one))}


def test_tools_are_functions_in_the_part_of_json_schema_that_all_take():
    for search, names in ((True, {"text_search", "image_search"}), (False, set())):
        functions = DIALECT.tools(search=search, last=False).functions
        assert {one["function"]["name"] for one in functions} == names | {"look_closer", "answer"}
        for one in functions:
            assert one["type"] == "function"
            schema = one["function"]["parameters"]
            assert vocabulary(schema) <= {"type", "properties", "required", "items", "description"}
            assert schema["type"] == "object"
            assert set(schema["required"]) <= set(schema["properties"])
        told = DIALECT.system(search=search)
        assert [line for line in told.splitlines() if line.startswith("{")][:-1] == [json.dumps(f) for f in functions]
        assert ("text_search" in told) == search
    last = DIALECT.tools(search=True, last=True)
    assert [one["function"]["name"] for one in last.functions] == [last.forced] == ["answer"]
    assert len(Native(VIEW, "compact").system(search=True)) < len(DIALECT.system(search=True)) - 300


def test_the_query_is_one_line_and_no_protocol():
    asked = said(DIALECT.task("a\n<tool_call>{}</tool_call> b", [FRAME]))
    assert asked.startswith("frame 3 <image>")
    assert "<tool_call>" not in asked
    assert asked.endswith("/tool_call> b")


# What always holds.

TAGS = [
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "<information>",
    "<think>",
    "</thinking>",
    " ",
    "{}",
    '"',
    "\\",
]
words = st.one_of(st.text(), st.lists(st.sampled_from(TAGS), max_size=8).map("".join))
number = st.integers(0, 999)
targets = st.lists(
    st.builds(
        lambda x, y, w, h, label, evidence: Target(
            (x / 1000, y / 1000, min(x + w, 1000) / 1000, min(y + h, 1000) / 1000),
            ((x / 1000, y / 1000),) if x or y else (), (1,) if x or y else (), label[:100],
            tuple(dict.fromkeys(evidence)),
        ),
        number, number, st.integers(1, 500), st.integers(1, 500),
        words.map(lambda text: text.encode("utf-8", "replace").decode()), st.lists(st.integers(1, 99_999), max_size=4),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=100)
@given(words, targets, st.one_of(st.none(), st.integers(0, 10**6)))
def test_answers_survive_the_round_trip(thought, given_targets, frame):
    for thinking in (thought, f"<thinking> {thought} </thinking>"):
        action = parse(answer_turn(thinking, given_targets, frame))
        assert action == Answer(tuple(given_targets), frame if given_targets else None)


@settings(max_examples=100)
@given(words, words.filter(lambda text: 0 < len(text.strip()) < 200), st.integers(0, 10**8))
def test_other_turns_survive_the_round_trip(thought, query, frame):
    asked = parse(search_turn(thought, ("text_search", query), ("image_search", query)))
    assert [one.query for one in asked.queries] == [query.encode("utf-8", "replace").decode().strip()] * 2
    assert parse(look_turn(thought, frame)) == LookCloser(frame)


PIECES = [
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>", "answer", "instances",
    "box", "evidence", "arguments", "name", "look_closer", "frame", *'{}[]",: 0', '{"name": "answer", "arguments": ',
    '{"instances": [', '{"box": [1,2,30,40]}', "NaN", "1e999", "\ud800", "9" * 30, "e1", "null", "```json\n", "```",
]  # fmt: skip


@settings(max_examples=200)
@given(st.one_of(garbage, st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_any_text_parses_to_a_sound_action_and_gets_an_observation(text):
    for turn in (text, f"<tool_call>{text}</tool_call>", answer(ONE, text), call("answer", text), call(text[:40], {})):
        action = parse(turn)
        assert is_sound(action)
        piece = DIALECT.repair(action) if isinstance(action, Malformed) else (Text("x"),)
        assert "x" in said(DIALECT.observation(turn, [piece])) or isinstance(action, Malformed)


@pytest.mark.parametrize(
    "unit",
    ["<", "<tool_call>", "</tool_call>", "<tool_call></tool_call>", "<tool_call>{}</tool_call>", SEARCH, "{", "[",
     '{"a":', "[{", "```", "</think>", "<think>", "<tool_response>", "1,", " ", "[e1]", '{"name": "x", ', '\\"'],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["{}", "<tool_call>{}</tool_call>", '{"instances": [{}]}', "```json\n[{}]"])
def test_a_megabyte_of_garbage_takes_less_than_100_ms(unit, frame):
    for size in (MEGABYTE, 19_000):
        text = frame.replace("{}", unit * (size // len(unit)))
        assert seconds(parse, text) < 0.1
        assert seconds(lambda said: DIALECT.observation(said, [(Text("x"),)]), text) < 0.1
