import json
import time

import pytest
from graph_stubs import DIALECT
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.actions import Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.dialects.neutral import neutralise
from graphs.dialects.seg_research import absent_turn, answer_turn, keyframe_turn, search_turn, targets_turn

parse = DIALECT.parse
ABSENT = Answer(())


def text(query: str) -> Search:
    return Search((SearchQuery("text_search", query),))


def boxed(*box: int, point: tuple[int, int] | None = None) -> Answer:
    points = ((point[0] / 1000, point[1] / 1000),) if point else ()
    return Answer((Target(tuple(v / 1000 for v in box), points, (1,) * len(points)),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turn", "action"),
    [
        ("<keyframe> [8] </keyframe>", LookCloser(8)),
        ("<keyframe> frame 8 </keyframe>", LookCloser(8)),
        ("<keyframe>frame_8</keyframe>", LookCloser(8)),
        ("<keyframe>Frame-8.</keyframe>", LookCloser(8)),
        ("<keyframe> 08 </keyframe>", LookCloser(8)),
        ("<keyframe> 8.0 </keyframe>", LookCloser(8)),
        ('<keyframe> {"frame_index": 8} </keyframe>', LookCloser(8)),
        ("< KEYFRAME >8</ keyframe >", LookCloser(8)),
        ("<keyframe> 8 ", LookCloser(8)),
        ("<keyframe> -1 </keyframe>", ABSENT),
        ("<keyframe> [-1] </keyframe>", ABSENT),
        ("<keyframe> 8 </search>", LookCloser(8)),
    ],
)
def test_keyframes_in_every_spelling(turn: str, action: object) -> None:
    assert parse(f"<thinking> look </thinking>\n{turn}") == action


@pytest.mark.parametrize("inside", ["", "none", "8.5", "3, 5", "-2", "8s", "the first", "1e3", "9" * 400])
def test_unclear_keyframes_are_malformed(inside: str) -> None:
    assert isinstance(parse(f"<keyframe> {inside} </keyframe>"), Malformed)


def test_a_keyframe_cut_in_its_number_is_not_believed() -> None:
    assert isinstance(parse("<keyframe> 1"), Malformed)


@pytest.mark.parametrize(
    ("inside", "action"),
    [
        ('{"name": "text_search", "query": "a b"}', text("a b")),
        ('{"query": "a b", "name": "text_search"}', text("a b")),
        ('\n```json\n{"name": "text_search",\n "query": "a b"}\n```\n', text("a b")),
        ("{'name': 'text_search', 'query': 'Bruno's guitar',}", text("Bruno's guitar")),
        ('{"name": "text_search", "query": "the film "Toy Story 5" release"}', text('the film "Toy Story 5" release')),
        ('{"name": "text_search", "arguments": {"query": "a b"}}', text("a b")),
        ('{"query": "a b"}', text("a b")),
        ("who won the cup", text("who won the cup")),
        ('{"name": "Image-Search", "query": "a b"}', Search((SearchQuery("image_search", "a b"),))),
        ('{"name": "text_search", "query": "is <answer> a tag"}', text("is <answer> a tag")),
        (
            '[{"name": "text_search", "query": "a"}, {"name": "image_search", "query": "b"}]',
            Search((SearchQuery("text_search", "a"), SearchQuery("image_search", "b"))),
        ),
        ('{"name": "text_search", "query": "a"}\n{"name": "text_search", "query": "a"}', text("a")),
    ],
)
def test_searches_in_every_spelling(inside: str, action: object) -> None:
    assert parse(f"<search> {inside} </search>") == action


@pytest.mark.parametrize(
    "inside",
    ["", "{}", '{"name": "calculator", "query": "1+1"}', '{"name": "text_search", "query": ""}',
     '{"name": "text_search"', '{"name": "text_search", "query": 5}', "[[[[",
     '{"name": "text_search", "query": "' + "a" * 501 + '"}'],
)  # fmt: skip
def test_unusable_searches_are_malformed(inside: str) -> None:
    action = parse(f"<search> {inside} </search>")
    assert isinstance(action, Malformed)
    assert "text_search" in action.hint


@pytest.mark.parametrize(
    ("inside", "action"),
    [
        ('{"bbox_2d": [1, 2, 30, 40], "point_2d": [5, 6]}', boxed(1, 2, 30, 40, point=(5, 6))),
        ('{"bbox_2d": [608, 559, 677, 770], "point_2_d": [643, 661]}', boxed(608, 559, 677, 770, point=(643, 661))),
        ('{"bbox_2d": [1, 2, 30, 40]}', boxed(1, 2, 30, 40)),
        ('{"bbox_2d": [1, 2, 30, 40], "point_2d": [5]}', boxed(1, 2, 30, 40)),
        ('{"bbox_2d": [1, 2, 30, 40], "point_2d": [0, 0]}', boxed(1, 2, 30, 40)),
        ('{"bbox_2d": [[1, 2], [30, 40]], "point_2d": [[5, 6]]}', boxed(1, 2, 30, 40, point=(5, 6))),
        ('{"bbox_2d": ["1", 2, 30, 40.0], "point_2d": (5, 6),}', boxed(1, 2, 30, 40, point=(5, 6))),
        ('{"bbox_2d": [30, 40, 1, 2], "point_2d": [5, 6]}', boxed(1, 2, 30, 40, point=(5, 6))),
        ('{"bbox_2d": [-9, 2, 30, 4000], "point_2d": [5, 2000]}', boxed(0, 2, 30, 1000, point=(5, 1000))),
        ('the box is {"bbox_2d": [1, 2,\n 30, 40]}.', boxed(1, 2, 30, 40)),
        ("{bbox_2d: [1, 2, 30, 40]}", boxed(1, 2, 30, 40)),
        ('{"bbox_2d": [0, 0, 0, 0], "point_2d": [0, 0]}', ABSENT),
        ('{"bbox_2d": [0, 0, 0, 0], "point_2d": [0] }', ABSENT),
        ('{"bbox_2d": [0, 0, 0, 0]}', ABSENT),
        ('{"bbox_2d": null, "point_2d": null}', ABSENT),
        ("[]", ABSENT),
        ("null", ABSENT),
        ("None", ABSENT),
        ("None of the frames contain the person who played Carolina in 'Sister Cities'.", ABSENT),
        ("There is no such object in the video.", ABSENT),
        ("The target is not present in any of the frames.", ABSENT),
        ("No frame shows it.", ABSENT),
    ],
)
def test_answers_in_every_spelling(inside: str, action: object) -> None:
    assert parse(f"<answer> {inside} </answer>") == action


@pytest.mark.parametrize(
    "inside",
    ["", "{}", "I cannot tell.", "The video does not give enough information.", "no idea", "frame 8",
     "Not sure, perhaps the man in frame 8", '{"bbox_2d": [1, 2, 3]}', '{"bbox_2d": [5, 5, 5, 9], "point_2d": [5, 6]}',
     '{"bbox_2d": [1500, 1500, 1700, 1800]}', '{"bbox_2d": [0, 0, 0, 0], "point_2d": [4, 5]}', '{"point_2d": [1]}',
     '{"bbox_2d": [NaN, 2, 3, Infinity]}', '{"bbox_2d": "left"}', "[" * 5000, '{"a":' * 5000, "1" * 5000],
)  # fmt: skip
def test_what_is_unclear_is_neither_found_nor_absent(inside: str) -> None:
    action = parse(f"<answer> {inside} </answer>")
    assert isinstance(action, Malformed)
    assert "bbox_2d" in action.hint


def test_a_point_alone_is_a_target() -> None:
    assert parse('<answer> {"point_2d": [500, 250]} </answer>') == Answer((Target(None, ((0.5, 0.25),), (1,)),))


def test_several_objects_and_a_named_frame() -> None:
    action = parse(
        '<answer> [{"bbox_2d": [1, 2, 3, 4], "frame": 7}, {"bbox_2d": [0, 0, 0, 0]}, '
        '{"bbox_2d": [5, 6, 7, 8], "label": "b"}] </answer>'
    )
    assert isinstance(action, Answer)
    assert [target.label for target in action.targets] == ["", "b"]
    assert action.frame == 7


def test_boxes_in_one_object_share_the_points_in_order() -> None:
    action = parse('<answer> {"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "point_2d": [[1, 2], [5, 6]]} </answer>')
    assert isinstance(action, Answer)
    assert [target.points for target in action.targets] == [((0.001, 0.002),), ((0.005, 0.006),)]


BOX = '<answer> {"bbox_2d": [1, 2, 3, 4]} </answer>'


@pytest.mark.parametrize(
    ("turn", "action"),
    [
        (f"<thinking> I could write {BOX} </thinking>\n<keyframe> 2 </keyframe>", LookCloser(2)),
        (f"<keyframe> 2 </keyframe>\n<thinking> or {BOX} </thinking>", LookCloser(2)),
        (f"plan, {BOX} </thinking>\n<keyframe> 2 </keyframe>", LookCloser(2)),
        (f"<think> {BOX} </think><keyframe> 2 </keyframe>", LookCloser(2)),
        ("<thinking> never closed <keyframe> 2 </keyframe>", LookCloser(2)),
        (f"<information>1. (Title: x) {BOX}</information><keyframe> 2 </keyframe>", LookCloser(2)),
        (f"<keyframe> 2 </keyframe> <information> {BOX}", LookCloser(2)),
        ("<keyframe> 1 </keyframe> <keyframe> 2 </keyframe>", LookCloser(2)),
        ('<search> {"query" </search> <search> {"query": "a"} </search>', text("a")),
        ("I will use <search> or so.\n<keyframe> 2 </keyframe>", LookCloser(2)),
        ("<keyframe> 2 </keyframe> as <answer> needs", LookCloser(2)),
        ('<search> {"query": "a"} </search><keyframe> 2 </keyframe>', LookCloser(2)),
    ],
)
def test_the_last_tag_outside_thinking_counts(turn: str, action: object) -> None:
    assert parse(turn) == action


def test_an_action_only_inside_thinking_is_malformed_and_says_so() -> None:
    action = parse(f"<thinking> {BOX} </thinking>")
    assert isinstance(action, Malformed)
    assert "</thinking>" in action.hint


coordinate = st.integers(0, 999)
words = st.text(max_size=60)


@given(words, coordinate, coordinate, st.integers(1, 400), st.integers(1, 400), coordinate, coordinate)
def test_answers_survive_the_round_trip(thinking: str, x: int, y: int, w: int, h: int, px: int, py: int) -> None:
    box = (x / 1000, y / 1000, min(x + w, 1000) / 1000, min(y + h, 1000) / 1000)
    action = parse(answer_turn(thinking, box, (px / 1000, py / 1000)))
    points = ((px / 1000, py / 1000),) if px or py else ()
    assert action == Answer((Target(box, points, (1,) * len(points)),))
    again = parse(targets_turn(thinking, [Target(box), Target(box)]))
    assert isinstance(again, Answer)
    assert [target.box for target in again.targets] == [box, box]


@given(words, words, st.integers(0, 10**6))
def test_other_turns_survive_the_round_trip(thinking: str, query: str, frame: int) -> None:
    assert parse(keyframe_turn(thinking, frame)) == LookCloser(frame)
    assert parse(absent_turn(thinking)) == ABSENT
    action = parse(search_turn(thinking, "image_search", query))
    if neutralise(query).strip():
        assert action == Search((SearchQuery("image_search", neutralise(query).strip()),))
    else:
        assert isinstance(action, Malformed)


def test_small_boxes_keep_a_pixel_when_spelled() -> None:
    spelled = answer_turn("", (1.0, 0.99999, 1.0, 1.0), (1.0, 1.0))
    assert json.loads(spelled.split("<answer>")[1].split("</answer>")[0])["bbox_2d"] == [999, 999, 1000, 1000]


shards = st.sampled_from(
    ["<thinking>", "</thinking>", "<search>", "</search>", "<keyframe>", "</keyframe>", "<answer>", "</answer>",
     "{", "}", "[", "]", '"', "'", ",", ":", "\\", "bbox_2d", "point_2d", "query", "name", "text_search",
     "-1", "0", "1e999", "None", " ", "\n", "<information>", "\ud800", "\u0000", "null", "9" * 30]
)  # fmt: skip


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(shards, max_size=40).map("".join)))
def test_any_text_parses_to_an_action(garbage: str) -> None:
    action = parse(garbage)
    assert isinstance(action, Search | LookCloser | Answer | Malformed)
    for target in action.targets if isinstance(action, Answer) else ():
        assert all(0 <= value <= 1 for value in target.box or ())
        assert all(0 <= value <= 1 for point in target.points for value in point)
    repr(action).encode()


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "unit",
    ["<", "<search>", "<thinking></thinking>", "</answer>", "< ", "<search><answer></keyframe>", "a", " ", "{",
     '[{"a":"', '\\"', '" ', "<answer>{", "1", ",", "<keyframe>-", "no ", "<answer>none of ", "</thinking><answer>{'"],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["{}", "<answer>{}</answer>", "<search>{}", "<keyframe>{}</keyframe>"])
def test_a_megabyte_of_garbage_takes_less_than_100_ms(unit: str, frame: str) -> None:
    for size in (MEGABYTE, 19_000):  # the second is just below the length that is refused unread
        garbage = frame.replace("{}", unit * (size // len(unit)))
        best = min(_seconds(garbage) for _ in range(2))
        assert best < 0.1


def _seconds(garbage: str) -> float:
    start = time.thread_time()
    parse(garbage)
    return time.thread_time() - start
