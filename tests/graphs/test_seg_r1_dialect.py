"""Parsing cases are those of specs/seg-r1.md; the published parser rejects most of them, or hangs."""

import pytest
from dialect_checks import MEGABYTE, PICTURE, TAGS, garbage, is_sound, said, seconds, tags_left_in_results
from graph_stubs import BoxSegmenter, DictSearch, clip, context
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.actions import Answer, LookCloser, Malformed, Point, Search, SearchQuery, Target
from graphs.conversation import ImageRef
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.seg_r1 import MAX_BLOCKS, MAX_POINTS, SegR1
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, run_episode
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import get_profile
from rl.rewards.seg_r1_text import has_thought, read_prompts

DIALECT = SegR1(View(frames=3, frame_size=756, keyframe_size=756, image_size=252))
parse = DIALECT.parse
THINK = "<think>a, b < c</think> "
BOX, POINTS, LABELS = (
    "<bbox>[100,200,300,400]</bbox>",
    "<points>[[150, 250], [290,390]]</points>",
    "<labels>[1,0]</labels>",
)
ABSENT = Answer(())


def scaled(*values: float) -> tuple[float, ...]:
    return tuple(value / 768 for value in values)


def points(*pairs: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((x / 768, y / 768) for x, y in pairs)


def target(box: tuple[float, ...] | None, where: tuple[Point, ...] = (), labels: tuple[int, ...] = ()) -> Target:
    return Target(scaled(*box) if box else None, where, labels)  # type: ignore[arg-type]


PLAIN = (100, 200, 300, 400)
WHOLE = Answer((target(PLAIN, points((150, 250), (290, 390)), (1, 0)),))
BARE = Answer((target(PLAIN),))
GOLDEN = {
    "as published": (f"{THINK}{BOX}, {POINTS}, {LABELS}", WHOLE),
    "any order, junk between": (f"{LABELS}{BOX} junk {POINTS}<think></think>", WHOLE),
    "no think": (f"{BOX}{POINTS}{LABELS}", WHOLE),
    "box only": (f"{THINK}{BOX}", BARE),
    "tag of the project page": (f"{THINK}<box>[100,200,300,400]</box>", BARE),
    "floats": (f"{THINK}<bbox>[100.0, 2e2, 300., 400.00]</bbox>", BARE),
    "negative": (f"{THINK}<bbox>[-5, 200, 300, 400]</bbox>", Answer((target((0, 200, 300, 400)),))),
    "beyond the picture": (f"{THINK}<bbox>[100, 200, 300, 4000]</bbox>", Answer((target((100, 200, 300, 768)),))),
    "tuple": (f"{THINK}<bbox>(100, 200, 300, 400)</bbox>", BARE),
    "nested": (f"{THINK}<bbox>[[100, 200, 300, 400]]</bbox>", BARE),
    "leading zeros": (f"{THINK}<bbox>[0100, 0200, 300, 400]</bbox>{POINTS}<labels>[01,00]</labels>", WHOLE),
    "reversed": (f"{THINK}<bbox>[300,400,100,200]</bbox>", BARE),
    "words in quotes": (f'{THINK}<bbox>["100", "200", 300, 400]</bbox>', BARE),
    "no brackets": (f"{THINK}<bbox>100, 200, 300, 400</bbox>", BARE),
    "no commas": (f"{THINK}<bbox>[100 200  300 400]</bbox>", BARE),
    "code fence": (f"{THINK}```\n{BOX}, {POINTS}, {LABELS}\n```", WHOLE),
    "inside an answer tag": (f"{THINK}<answer>{BOX}, {POINTS}, {LABELS}</answer>", WHOLE),
    "flat points": (f"{BOX}<points>[150, 250, 290, 390]</points>{LABELS}", WHOLE),
    "tuples as points": (f"{BOX}<points>[(150, 250), (290, 390)]</points>{LABELS}", WHOLE),
    "too few labels": (f"{THINK}{BOX}{POINTS}<labels>[1]</labels>", BARE),
    "no labels": (f"{THINK}{BOX}{POINTS}", BARE),
    "a label that is none": (f"{BOX}{POINTS}<labels>[1,7]</labels>",
                             Answer((target(PLAIN, points((150, 250)), (1,)),))),
    "points first unreadable": (f"{BOX}<points>x</points>{POINTS}{LABELS}", WHOLE),
    "empty points": (f"{BOX}<points>[]</points><labels>[]</labels>", BARE),
    "points outside the box": (f"{BOX}<points>[[150,250],[700,700]]</points><labels>[1,0]</labels>",
                               Answer((target(PLAIN, points((150, 250)), (1,)),))),
    "two boxes share points": (f"{BOX}, <bbox>[500,500,600,600]</bbox>, <points>[[150,250],[550,550]]</points>{LABELS}",
                               Answer((target(PLAIN, points((150, 250)), (1,)),
                                       target((500, 500, 600, 600), points((550, 550)), (0,))))),
    "two boxes with their own": (f"{BOX}{POINTS}{LABELS}<bbox>[500,500,600,600]</bbox><points>[[550,550]]</points>"
                                 "<labels>[1]</labels>",
                                 Answer((*WHOLE.targets, target((500, 500, 600, 600), points((550, 550)), (1,))))),
    "one box without area": (f"<bbox>[9,9,9,9]</bbox>{BOX}", BARE),
    "said twice": (f"{BOX}{POINTS}{LABELS}\n{BOX}{POINTS}{LABELS}", WHOLE),
    "points only": (f"{THINK}{POINTS}{LABELS}", Answer((target(None, points((150, 250), (290, 390)), (1, 0)),))),
    "box not closed": (f"{THINK}<bbox>[100,200,300,400], {POINTS}, {LABELS}", WHOLE),
    "box not closed at the end": (f"{THINK}<bbox>[100,200,300,400]", BARE),
    "cut in the labels": (f"{THINK}{BOX}, {POINTS}, <labels>[1,", BARE),
    "cut behind the labels": (f"{THINK}{BOX}, {POINTS}, <labels>[1,0]", WHOLE),
    "cut in the points": (f"{THINK}{BOX}, <points>[[150, 250], [29", BARE),
    "cut in the second box": (f"{THINK}{BOX}, <bbox>[500,500,6", BARE),
    "tags in the thought": (f"<think>perhaps <bbox>[1,2,3,4]</bbox></think>{BOX}", BARE),
    "template opened the thought": (f"<bbox>[1,2,3,4]</bbox> no</think>{BOX}", BARE),
    "quoted": (f"<information>1. (Title: x) <bbox>[1,2,3,4]</bbox></information>{BOX}", BARE),
    "empty lists": ("<bbox>[]</bbox>, <points>[]</points>, <labels>[]</labels>", ABSENT),
    "an empty box": (f"{THINK}<bbox>[]</bbox>", ABSENT),
    "the word": (f"{THINK}<bbox>None</bbox>", ABSENT),
}  # fmt: skip


@pytest.mark.parametrize(("text", "action"), GOLDEN.values(), ids=GOLDEN)
def test_what_the_published_code_reads_and_what_it_loses(text: str, action: Answer) -> None:
    assert parse(text) == action


@pytest.mark.parametrize(
    "text",
    ["", "no such object", "<bbox></bbox>", "<bbox>[1,2,3]</bbox>", "<bbox>[9,9,9,9]</bbox>", "<bbox>left</bbox>",
     "<bbox>__import__('os')</bbox>", "<bbox>[1,2,30,4", "<bbox>[1,2,3", "<points>[[1,2]]</points>",
     "<labels>[]</labels>", "<points>[[1,2]]</points><labels>[0]</labels>", "<bbox>[800,800,900,900]</bbox>",
     "<bbox>[1,2</bbox><points>[]</points>",
     "<points>[[1,2],[3,4]]</points><labels>[1]</labels>"],
)  # fmt: skip
def test_what_is_unclear_is_neither_found_nor_absent(text: str) -> None:
    action = parse(f"<think></think>{text}")
    assert isinstance(action, Malformed)
    assert "<bbox>" in action.hint
    assert "768" in action.hint


def test_a_thought_alone_is_no_answer_and_says_so() -> None:
    action = parse(f"<think>{BOX}</think>")
    assert isinstance(action, Malformed)
    assert action.hint == "Put it after </think>."


def test_other_actions_count_if_they_come_last() -> None:
    search = '<search> {"name": "text_search", "query": "a b"} </search>'
    assert parse(f"{THINK}{search}") == Search((SearchQuery("text_search", "a b"),))
    assert parse(f"{THINK}{BOX}{search}") == Search((SearchQuery("text_search", "a b"),))
    assert parse(f"{search}{THINK}<keyframe> 4 </keyframe>") == LookCloser(4)
    assert parse(f"<keyframe> 4 </keyframe>{BOX}") == BARE


def test_the_many_are_limited() -> None:
    boxes = "".join(f"<bbox>[{i},0,{i + 9},9]</bbox>" for i in range(700))
    action = parse(f"{boxes}<points>{[[i % 700, i % 9] for i in range(2000)]}</points><labels>{[1] * 2000}</labels>")
    assert isinstance(action, Answer)
    assert len(action.targets) == MAX_BLOCKS
    assert max(len(one.points) for one in action.targets) <= MAX_POINTS


@given(st.lists(st.sampled_from([BOX, POINTS, LABELS, "<bbox>[9,9,1,1]</bbox>", "<points>x</points>", "junk"])))
def test_what_the_reward_reads_is_read_alike(pieces: list[str]) -> None:
    reply = f"<think></think>{''.join(pieces)}"
    published = read_prompts(reply)
    action = parse(reply)
    assert has_thought(reply)
    if published.boxes:
        assert isinstance(action, Answer)
        assert len(action.targets) == len(set(published.boxes))


FRAME = ShownFrame(0, PICTURE)


def test_a_picture_is_put_in_the_published_order() -> None:
    system = DIALECT.system(search=False)
    tags = [system.rindex(tag) for tag in ("<think>", "<bbox>", "<points>", "<labels>")]
    assert tags == sorted(tags)
    assert "moderate number" in system
    assert "moderate number" not in SegR1(DIALECT.view, "compact").system(search=False)
    assert "<search>" not in system
    assert said(DIALECT.task("the red ring", [FRAME])) == "<image>Identify and segment the red ring."
    assert said(DIALECT.task("What is warm?", [FRAME])) == "<image>What is warm? Identify and segment it."


def test_search_and_clips_are_put_as_in_seg_research() -> None:
    told = DIALECT.system(search=True)
    assert told.startswith(DIALECT.system(search=False))
    for piece in ("<tools>", "<search>", "<information>"):
        assert piece in told
    text = said(DIALECT.task("the red ring", [FRAME, ShownFrame(7, PICTURE)]))
    assert text.startswith("frame 0 <image>\nframe 7 <image>\n\nIdentify and segment the red ring.\n")
    assert "<keyframe> frame_index </keyframe>" in text


@pytest.mark.parametrize("name", ["seg-r1-3b", "seg-r1-7b"])
def test_profiles(name: str) -> None:
    profile = get_profile(name)
    dialect = profile.make_dialect()
    assert dialect.name == "seg_r1"
    assert profile.model == f"geshang/Seg-R1-{name[-2:].upper()}"
    # The published 768, to the nearest multiple of 28, as the model's processor shows it.
    assert dialect.view.frame_size == dialect.view.keyframe_size == round(768 / 28) * 28
    assert dialect.parse("<bbox>[0,0,384,768]</bbox>") == Answer((Target((0, 0, 0.5, 1)),))


@pytest.mark.parametrize(("shown", "side"), [(756, 768), (1036, 1024), (840, 840), (64, 64)])
def test_coordinates_are_pixels_of_the_published_size(shown: int, side: int) -> None:
    dialect = SegR1(View(frames=1, frame_size=shown, keyframe_size=shown, image_size=28))
    assert dialect.parse(f"<bbox>[0,0,{side},{side // 2}]</bbox>") == Answer((Target((0, 0, 1, 0.5)),))


@pytest.mark.parametrize("attack", [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")])
def test_no_tag_survives_in_what_others_wrote(attack: str) -> None:
    assert tags_left_in_results(DIALECT, attack) == []
    assert attack not in said(DIALECT.task(f"x {attack} y", []))


side = st.integers(1, 768)


@given(side, side, side, side, st.lists(st.tuples(side, side, st.integers(0, 1)), max_size=9))
def test_what_is_spelled_is_read(a: int, b: int, c: int, d: int, marked: list[tuple[int, int, int]]) -> None:
    box = [min(a, c) - 1, min(b, d) - 1, max(a, c), max(b, d)]
    where, labels = [[x, y] for x, y, _ in marked], [label for *_, label in marked]
    action = parse(f"{THINK}<bbox>{box}</bbox>, <points>{where}</points>, <labels>{labels}</labels>")
    assert isinstance(action, Answer)
    (found,) = action.targets
    assert found.box is not None
    assert [round(value * 768) for value in found.box] == box
    inside = dict.fromkeys((x, y, k) for x, y, k in marked if box[0] <= x <= box[2] and box[1] <= y <= box[3])
    read = [(round(x * 768), round(y * 768), k) for (x, y), k in zip(found.points, found.labels, strict=True)]
    assert read == list(inside)


@settings(max_examples=300)
@given(garbage)
def test_any_text_parses_to_a_sound_action(text: str) -> None:
    assert is_sound(parse(text))
    assert is_sound(parse(f"{BOX}<points>{text}</points>{LABELS}"))


CRAFTED = {  # seconds in the published parser: 93, 0.34, and 1.1 that double with every further digit
    "points split by two spaces": "<points>[" + "  ".join(["[1,2]"] * 18),
    "points split by one space": "<points>[" + " ".join(["[1,2]"] * 20),
    "digits without commas": "<labels>[" + "1" * 24,
}


@pytest.mark.parametrize("crafted", CRAFTED.values(), ids=CRAFTED)
def test_what_hangs_the_published_parser_takes_less_than_10_ms(crafted: str) -> None:
    for text in (crafted, f"{BOX}{crafted}", f"{crafted}{BOX}", crafted + crafted[-6:] * 1_000):
        assert seconds(parse, text) < 0.01


@pytest.mark.parametrize(
    "unit",
    ["<", "<bbox>", "<think></think>", "</labels>", "a", " ", "[", "[1  2]  ", "1", ",", "<bbox>[", "<bbox>[1,2,3,4]",
     "<bbox>[1,2,3,4]</bbox>", "<bbox>(1 2 3 4)</bbox>", "<points>[[1,2]]</points><labels>[1]</labels>",
     "</think><bbox>[", "[1,2],", "1,"],
)  # fmt: skip
@pytest.mark.parametrize(
    "frame", ["{}", "<bbox>{}</bbox>", "<points>[{}]</points><labels>[{}]</labels>", "<labels>[{}"]
)
def test_a_megabyte_of_garbage_takes_less_than_100_ms(unit: str, frame: str) -> None:
    for size in (MEGABYTE, 19_000):  # the second is just below the length that is refused unread
        assert seconds(parse, frame.replace("{}", unit * (size // len(unit)))) < 0.1


ANSWER = f"{THINK}<bbox>[64,128,320,384]</bbox>, <points>[[128,192],[256,256]]</points>, <labels>[1,0]</labels>"
SEARCH = f'{THINK}<search> {{"name": "text_search", "query": "who won the Helsa Cup"}} </search>'
LOOK = f"{THINK}<keyframe> 3 </keyframe>"


async def play(turns: list[str], frames: int, *, search: bool) -> EpisodeResult:
    provider = DictSearch({"Helsa": "The Cup was won by <bbox>[]</bbox> <labels> the Otters."}) if search else None
    settings = context(ReplayPolicy(turns), dialect=DIALECT, segmenter=BoxSegmenter(), search=provider)
    return await run_episode(Task("the emblem", clip(frames, height=48, width=96)), settings)


async def test_an_episode_on_a_picture_without_search() -> None:
    result = await play([ANSWER], 1, search=False)
    assert result.ending is Ending.FOUND
    assert result.instances[0].box == (8, 8, 40, 24)  # 96 wide, 48 high
    assert result.instances[0].points == ((16, 12), (32, 16))
    assert result.instances[0].labels == (1, 0)
    assert len(result.masks) == 1
    assert result.conversation[1].text == "<image>Identify and segment the emblem."


async def test_an_episode_on_a_clip_with_search() -> None:
    result = await play([SEARCH, LOOK, ANSWER], 5, search=True)
    assert result.ending is Ending.FOUND
    assert result.keyframe == 3
    assert result.masks.frames() == [0, 1, 2, 3, 4]
    found = next(turn.text for turn in result.conversation if turn.text.startswith("<information>"))
    assert "<bbox>" not in found
    assert "<labels>" not in found
    pictures = [part for turn in result.conversation for part in turn.parts if isinstance(part, ImageRef)]
    assert {(part.width, part.height) for part in pictures} == {(756, 756)}


async def test_absent_and_mended_answers_end_the_episode() -> None:
    assert (await play([f"{THINK}<bbox>[]</bbox>"], 1, search=False)).ending is Ending.ABSENT
    result = await play([f"{THINK}<bbox>[1,2]</bbox>", ANSWER], 1, search=False)
    assert result.ending is Ending.FOUND
    assert result.usage.malformed == 1


async def test_the_form_of_points_alone_has_no_system_prompt_and_asks_for_no_box() -> None:
    dialect = get_profile("seg-r1-3b-points").make_dialect()
    policy = ReplayPolicy([f"{POINTS}, {LABELS}"])
    result = await run_episode(
        Task("all primary objects", clip(frames=1)), context(policy=policy, dialect=dialect, search=None)
    )
    assert result.ending is Ending.FOUND
    roles = [turn.role for turn in result.conversation]
    assert roles == ["user", "assistant"]
    asked = result.conversation[0].text
    assert "<points>" in asked
    assert "bbox" not in asked
    assert "think" not in asked
