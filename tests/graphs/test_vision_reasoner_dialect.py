"""Parsing cases and the question are those of specs/seg-zero.md; the published parser loses most of the former."""

import json

import pytest
from dialect_checks import MEGABYTE, PICTURE, TAGS, garbage, is_sound, said, seconds, tags_left_in_results
from graph_stubs import BoxSegmenter, DictSearch, clip, context
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.actions import Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.conversation import ImageRef
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.vision_reasoner import MAX_OBJECTS, VisionReasoner
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, run_episode
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import get_profile

VIEW = View(frames=3, frame_size=840, keyframe_size=840, image_size=252)
MANY, ONE = VisionReasoner(VIEW), VisionReasoner(VIEW, form="seg_zero")
THINK = "<think>a b c. d e f.</think>"
ITEMS = [
    {"bbox_2d": [100, 100, 300, 300], "point_2d": [200, 200]},
    {"bbox_2d": [400, 400, 600, 700], "point_2d": [500, 550]},
]


def target(box: tuple[float, ...], *points: tuple[float, float]) -> Target:
    x1, y1, x2, y2 = (value / 840 for value in box)
    return Target((x1, y1, x2, y2), tuple((x / 840, y / 840) for x, y in points), (1,) * len(points))


BARE = target((400, 400, 600, 700))
FIRST, SECOND = target((100, 100, 300, 300), (200, 200)), target((400, 400, 600, 700), (500, 550))
BOTH = Answer((FIRST, SECOND))


def reply(items: object, think: str = THINK) -> str:
    return f"{think}<answer>{items if isinstance(items, str) else json.dumps(items)}</answer>"


STRINGS = json.dumps([{key: [str(v) for v in value] for key, value in item.items()} for item in ITEMS])
REVERSED = [{"bbox_2d": [300, 300, 100, 100], "point_2d": [200, 200]}, ITEMS[1]]
TEXT = json.dumps(ITEMS)
GOLDEN = {
    "perfect": (reply(ITEMS), BOTH),
    "swapped order": (reply(ITEMS[::-1]), Answer((SECOND, FIRST))),
    "answer twice": (reply(ITEMS) + reply(ITEMS, ""), BOTH),
    "one of two": (reply(ITEMS[:1]), Answer((FIRST,))),
    "no second point": (reply([ITEMS[0], {"bbox_2d": ITEMS[1]["bbox_2d"]}]), Answer((FIRST, BARE))),
    "empty list": (reply("[]"), Answer(())),
    "code fence": (reply(f"```json\n{TEXT}\n```"), BOTH),
    "single quotes": (reply(TEXT.replace('"', "'")), BOTH),
    "no think": (reply(ITEMS, ""), BOTH),
    "trailing text": (f"{reply(ITEMS)} So.", BOTH),
    "strings": (reply(STRINGS), BOTH),
    "reversed box": (reply(REVERSED), BOTH),
    "cut off": (reply(ITEMS).removesuffix("</answer>"), BOTH),
    "cut in the closing tag": (reply(ITEMS).removesuffix("swer>"), BOTH),
    "cut inside the list": (reply(TEXT[: TEXT.rindex("[")]), Answer((FIRST,))),
    "cut inside the list, not closed": (reply(TEXT[: TEXT.rindex("[")]).removesuffix("</answer>"), Answer((FIRST,))),
    "one item broken": (reply(TEXT.replace("[200, 200]", "[200, 200")), Answer((SECOND,))),
    "one item without area": (reply([{"bbox_2d": [5, 5, 5, 9], "point_2d": [5, 6]}, ITEMS[0]]), Answer((FIRST,))),
    "one item no object": (reply([7, *ITEMS]), BOTH),
    "a lone object": (reply(ITEMS[0]), Answer((FIRST,))),
    "objects without a list": (reply(f"{json.dumps(ITEMS[0])}, {json.dumps(ITEMS[1])}"), BOTH),
    "tags in the thought": (reply(ITEMS, "<think>a < b, so <answer>[]</answer> is wrong</think>"), BOTH),
    "brackets in the thought": (reply(ITEMS, "<think>if x<y>z </think>"), BOTH),
    "template opened the thought": (reply(ITEMS, 'I think of <answer>[{"bbox_2d": [1,2,3,4]}]</answer></think>'), BOTH),
    "beyond the picture": (
        reply([{"bbox_2d": [-20, 100, 900, 300], "point_2d": [840, 841]}]),
        Answer((target((0, 100, 840, 300), (840, 840)),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "action"), GOLDEN.values(), ids=GOLDEN)
def test_what_the_published_code_reads_and_what_it_loses(text: str, action: Answer) -> None:
    assert MANY.parse(text) == action


@pytest.mark.parametrize(
    ("inside", "action"),
    [
        ('{"bbox": [10,100,200,210], "points_1": [30,110], "points_2": [35,180]}',
         Answer((target((10, 100, 200, 210), (30, 110), (35, 180)),))),
        # The example of the published prompt, which the published parsers refuse.
        ("{'bbox': [10,100,200,210], 'points_1': [30,110], 'points_2': [35,180]}",
         Answer((target((10, 100, 200, 210), (30, 110), (35, 180)),))),
        ('{"bbox": [10,100,200,210], "points_1": [30,110]}', Answer((target((10, 100, 200, 210), (30, 110)),))),
        ('{"bbox": [10,100,200,210]}', Answer((target((10, 100, 200, 210)),))),
        ('[{"bbox": [10,100,200,210], "points_1": [30,110], "points_2": [35,180]}]',
         Answer((target((10, 100, 200, 210), (30, 110), (35, 180)),))),
        ('{"bbox": null}', Answer(())),
        ("none", Answer(())),
    ],
)  # fmt: skip
def test_seg_zero_answers_with_one_object_and_two_points(inside: str, action: Answer) -> None:
    assert ONE.parse(f"{THINK}<answer>{inside}</answer>") == action


@pytest.mark.parametrize("dialect", [MANY, ONE], ids=["vision_reasoner", "seg_zero"])
@pytest.mark.parametrize(
    "inside",
    ["", "{}", "[{}]", "I cannot tell.", '[{"bbox_2d": [1,2,3]}]', '[{"bbox_2d": [5,5,5,9], "point_2d": [5,6]}]',
     '[{"bbox_2d": [900,900,950,950]}]', "[" * 5000, "[10,20,30,40]", '{"bbox": [10,20,30,', '[{"bbox_2d": [NaN]}]'],
)  # fmt: skip
def test_what_is_unclear_is_neither_found_nor_absent(dialect: VisionReasoner, inside: str) -> None:
    action = dialect.parse(f"<think></think><answer>{inside}</answer>")
    assert isinstance(action, Malformed)
    assert "0 to 840" in action.hint
    assert "1000" not in action.reason + action.hint


def test_a_thought_alone_is_no_answer_and_says_so() -> None:
    action = MANY.parse(f"<think>{reply(ITEMS, '')}</think>")
    assert isinstance(action, Malformed)
    assert action.hint == "Put it after </think>."
    assert isinstance(MANY.parse("It is the red one."), Malformed)


def test_objects_beyond_the_published_number_are_left_out() -> None:
    action = MANY.parse(reply([ITEMS[0]] * 300))
    assert isinstance(action, Answer)
    assert len(action.targets) == MAX_OBJECTS


def test_other_actions_and_quoted_results() -> None:
    query = '{"name": "text_search", "query": "who won"}'
    assert MANY.parse(f"{THINK}<search> {query} </search>") == Search((SearchQuery("text_search", "who won"),))
    assert MANY.parse(f"{THINK}<keyframe> 7 </keyframe>") == LookCloser(7)
    quoted = f"<information>1. (Title: x) {reply(ITEMS, '')}</information>"
    assert MANY.parse(f"<search> {query} </search>{quoted}") == Search((SearchQuery("text_search", "who won"),))
    assert isinstance(MANY.parse(quoted), Malformed)


FRAME = ShownFrame(0, PICTURE)
QUESTION = (
    'Please find "the red ring" with bboxs and points.'
    "Compare the difference between object(s) and find the most closely matched object(s)."
    "Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
    "Output the bbox(es) and point(s) inside the interested object(s) in JSON format."
    "i.e., <think> thinking process here </think><answer>"
    '[{"bbox_2d": [10,100,200,210], "point_2d": [30,110]}, {"bbox_2d": [225,296,706,786], "point_2d": [302,410]}]'
    "</answer>"
)


def test_a_picture_is_put_as_published() -> None:
    assert MANY.system(search=False) == "You are a helpful assistant."
    for query in ("the red ring", "The red RING.", 'the red ring?"', "the red ring!"):
        assert said(MANY.task(query, [FRAME])) == f"<image>{QUESTION}"
    shorter = said(VisionReasoner(VIEW, "compact").task("the red ring", [FRAME]))
    assert "Compare" not in shorter
    assert shorter.endswith(QUESTION[QUESTION.index("i.e.") :])


def test_each_form_reads_its_own_example() -> None:
    for dialect, count in ((MANY, 2), (ONE, 1)):
        text = said(dialect.task("the red ring", [FRAME]))
        action = dialect.parse(text[text.index("i.e.") :])
        assert isinstance(action, Answer)
        assert len(action.targets) == count
    question = said(ONE.task("The red ring.", [FRAME]))
    assert question.startswith("<image>Please find 'the red ring' with bbox and points.")
    assert json.loads(question.split("<answer>")[-1].removesuffix("</answer>"))["points_2"] == [35, 180]


def test_a_clip_is_put_with_the_choice_of_a_frame() -> None:
    text = said(MANY.task("the red ring", [FRAME, ShownFrame(7, PICTURE)]))
    assert text.startswith(f"frame 0 <image>\nframe 7 <image>\n\n{QUESTION}\n")
    assert "<keyframe> frame_index </keyframe>" in text
    assert "keyframe" not in said(MANY.task("the red ring", [FRAME]))


def test_search_is_told_only_where_there_is_one() -> None:
    told = MANY.system(search=True)
    for piece in ("You are a helpful assistant.", "<tools>", "<search>", "<information>", "<think>"):
        assert piece in told
    assert "<thinking>" not in told


def test_all_frames_have_the_size_that_coordinates_refer_to() -> None:
    view = VisionReasoner(View(frames=4, frame_size=224, keyframe_size=448, image_size=28)).view
    assert view == View(frames=4, frame_size=448, keyframe_size=448, image_size=28)


@pytest.mark.parametrize(("name", "form"), [("vision-reasoner-7b", "vision_reasoner"), ("seg-zero-7b", "seg_zero")])
def test_profiles(name: str, form: str) -> None:
    profile = get_profile(name)
    assert profile.make_dialect().name == form
    assert profile.view.frame_size == profile.view.keyframe_size == 840
    assert profile.model.startswith("Ricky06662/")


@pytest.mark.parametrize("attack", [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")])
def test_no_tag_survives_in_what_others_wrote(attack: str) -> None:
    assert tags_left_in_results(MANY, attack) == []
    assert attack not in said(MANY.task(f"x {attack} y", [])).split("with bboxs")[0]


side = st.integers(1, 840)
thoughts = st.text(max_size=60).map(lambda text: text.replace("<", "").replace(">", ""))


@given(thoughts, st.lists(st.tuples(side, side, side, side, side, side), min_size=1, max_size=9))
def test_what_is_spelled_is_read(thought: str, rows: list[tuple[int, ...]]) -> None:
    rows = [(min(a, c) - 1, min(b, d) - 1, max(a, c), max(b, d), x, y) for a, b, c, d, x, y in rows]
    items = [{"bbox_2d": row[:4], "point_2d": row[4:]} for row in rows]
    action = MANY.parse(reply(items, f"<think>{thought}</think>"))
    assert isinstance(action, Answer)
    assert len(action.targets) == len(rows)
    for row, found in zip(rows, action.targets, strict=True):
        assert found.box is not None
        assert [round(value * 840) for value in (*found.box, *found.points[0])] == list(row)


@settings(max_examples=300)
@given(garbage)
def test_any_text_parses_to_a_sound_action(text: str) -> None:
    for dialect in (MANY, ONE):
        assert is_sound(dialect.parse(text))
        assert is_sound(dialect.parse(f"<answer>{text}</answer>"))


@pytest.mark.parametrize(
    "unit",
    ["<", "<answer>", "<think></think>", "</answer>", "a", " ", "{", "[", '[{"a":"', '" ', "<answer>{", "1", ",", "{}",
     '{"bbox_2d":[1,2,3,4]', '{"bbox_2d":[1,2,3,4]}', "{'bbox_2d':[1 2 3 4]}", "</think><answer>{'"],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["{}", "<answer>{}</answer>", "<answer>{}", "<answer>[{}"])
def test_a_megabyte_of_garbage_takes_less_than_100_ms(unit: str, frame: str) -> None:
    for size in (MEGABYTE, 19_000):  # the second is just below the length that is refused unread
        assert seconds(MANY.parse, frame.replace("{}", unit * (size // len(unit)), 1)) < 0.1


ANSWER = reply([{"bbox_2d": [84, 168, 420, 504], "point_2d": [168, 252]}, {"bbox_2d": [420, 0, 840, 840]}])
SEARCH = f'{THINK}<search> {{"name": "text_search", "query": "who won the Helsa Cup"}} </search>'
LOOK = f"{THINK}<keyframe> 3 </keyframe>"


async def play(dialect: VisionReasoner, turns: list[str], frames: int, *, search: bool) -> EpisodeResult:
    provider = DictSearch({"Helsa": "The Helsa Cup was won by <answer>[]</answer> the Otters."}) if search else None
    settings = context(ReplayPolicy(turns), dialect=dialect, segmenter=BoxSegmenter(), search=provider)
    return await run_episode(Task("The emblem.", clip(frames)), settings)


async def test_an_episode_on_a_picture_without_search() -> None:
    result = await play(MANY, [ANSWER], 1, search=False)
    assert result.ending is Ending.FOUND
    assert [one.box for one in result.instances] == [(8, 8, 40, 24), (40, 0, 80, 40)]  # 80 wide, 40 high
    assert result.instances[0].points == ((16, 12),)
    assert len(result.masks) == 2
    system, user = result.conversation[:2]
    assert system.text == "You are a helpful assistant."
    assert user.text.startswith('<image>Please find "the emblem" with')


async def test_an_episode_on_a_clip_with_search() -> None:
    result = await play(MANY, [SEARCH, LOOK, ANSWER], 5, search=True)
    assert result.ending is Ending.FOUND
    assert result.keyframe == 3
    assert result.evidence[0].claim == "who won the Helsa Cup"
    assert result.masks.frames() == [0, 1, 2, 3, 4]
    found, shown = (turn.text for turn in result.conversation if turn.role == "user" and "frame 0" not in turn.text)
    assert found.startswith("<information>1. (Title: Helsa)")
    assert "<answer>" not in found
    assert shown == "Here is the high-res version of your selected frame: <image>"
    pictures = [part for turn in result.conversation for part in turn.parts if isinstance(part, ImageRef)]
    assert {(part.width, part.height) for part in pictures} == {(840, 840)}


async def test_seg_zero_searches_and_answers_too() -> None:
    answer = f'{THINK}<answer>{{"bbox": [84,168,420,504], "points_1": [168,252], "points_2": [210,252]}}</answer>'
    for turns, search in (([answer], False), ([SEARCH, answer], True)):
        result = await play(ONE, turns, 1, search=search)
        assert result.ending is Ending.FOUND
        assert result.instances[0].box == (8, 8, 40, 24)
        assert result.instances[0].labels == (1, 1)


async def test_absent_and_mended_answers_end_the_episode() -> None:
    assert (await play(MANY, [reply("[]")], 1, search=False)).ending is Ending.ABSENT
    result = await play(MANY, [reply("[{}]"), ANSWER], 1, search=False)
    assert result.ending is Ending.FOUND
    assert result.usage.malformed == 1
    assert result.conversation[3].text.startswith("Your last turn could not be used: the answer has no bbox_2d.")
