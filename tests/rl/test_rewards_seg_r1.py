import numpy as np
import pytest

from evals.metrics.structure import structure_measure
from rl.rewards.base import Cut, FrameTruth, ObjectTruth, Play, PlayTurn, Truth, total
from rl.rewards.seg_r1 import SegR1, SegR1Points
from rl.rewards.seg_r1_text import Prompts, has_thought, read_prompts

TRUTH = Truth({0: FrameTruth((ObjectTruth((200, 200, 669, 599), (400, 400)),))})
BOX, POINTS, LABELS = "<bbox>[1,2,30,40]</bbox>", "<points>[[5, 6], [7,8]]</points>", "<labels>[1,0]</labels>"
REPLY = f"<think>a</think> {BOX}, {POINTS}, {LABELS}"

OBJECT = np.zeros((768, 768), bool)
OBJECT[200:600, 200:670] = True
HALF = OBJECT & (np.arange(768) < 400)[:, None]
EMPTY, FULL, DOT = np.zeros_like(OBJECT), np.ones_like(OBJECT), np.zeros_like(OBJECT)
DOT[:4, :4] = True


def play(*masks: np.ndarray, reply: str = REPLY, true: tuple[np.ndarray, ...] = (OBJECT,)) -> Play:
    return Play((PlayTurn("policy", reply),), TRUTH, cut=Cut(masks, true))


def score(*masks: np.ndarray, as_released: bool = False) -> float:
    """What the mask earns, without the format."""
    reward = SegR1(as_released=as_released)
    return total(reward, reward.components(play(*masks))) - 1


@pytest.mark.parametrize(
    ("mask", "released", "right"),
    [(OBJECT, 0.904, 1.0), (HALF, 0.602, 0.558), (EMPTY, 0.3, 0.3 * 0.341), (DOT, 0.3, 0.102)],
)
def test_golden_values_with_the_defect_and_without(mask: np.ndarray, released: float, right: float) -> None:
    assert score(mask, as_released=True) == pytest.approx(released, abs=6e-4)
    assert score(mask) == pytest.approx(right, abs=6e-4)


def test_the_released_reward_reads_the_truth_as_empty() -> None:
    # Its own preparation takes what is above 128 in a truth that is 0 and 1 by then.
    read = OBJECT.astype(np.uint8) > 128
    for mask in (OBJECT, HALF, FULL):
        found = SegR1(as_released=True).components(play(mask))["structure"]
        assert found == pytest.approx(structure_measure(mask, read)) == pytest.approx(1 - mask.mean())


def test_objects_are_taken_together() -> None:
    parts = (HALF, OBJECT & ~HALF)
    assert SegR1().components(play(*parts)) == SegR1().components(play(OBJECT))
    two = SegR1().components(Play((PlayTurn("policy", REPLY),), TRUTH, cut=Cut((OBJECT,), parts)))
    assert two["iou"] == 1


@pytest.mark.parametrize(
    ("reply", "form", "mask"),
    [
        (REPLY, 1, 1),
        (f"{LABELS}{BOX} junk {POINTS}<think></think>", 1, 1),
        (f"{BOX}{POINTS}{LABELS}", 0, 1),
        (f"<think>a</think>{BOX}", 0, 0),
        (f"<think>a</think>{POINTS}{LABELS}", 0, 0),
        (f"<think>a</think>{BOX}{POINTS}<labels>[1]</labels>", 0, 0),
        ("", 0, 0),
    ],
)
def test_form(reply: str, form: float, mask: float) -> None:
    found = SegR1().components(play(OBJECT, reply=reply))
    assert (found["format"], found["iou"]) == (form, mask)


def test_without_masks_there_is_only_the_format() -> None:
    for cut in (None, Cut((), ())):
        found = SegR1().components(Play((PlayTurn("policy", REPLY),), TRUTH, cut=cut))
        assert found == {"format": 1, "iou": 0, "structure": 0}
    assert SegR1().components(play(EMPTY, true=(EMPTY,)))["iou"] == 0


@pytest.mark.parametrize(
    "body",
    ["[1.0,2,3,4]", "[-1,2,3,4]", "[]", "(1,2,3,4)", "[[1,2,3,4]]", "[01,2,3,4]", "[1,2,3]", "[1,2,3,4", "__import__"],
)
def test_what_is_no_box(body: str) -> None:
    assert read_prompts(f"<bbox>{body}</bbox>").boxes == ()


def test_what_is_read() -> None:
    two = "<bbox>[9,9,1,1]</bbox><bbox>[1,2,3,4]</bbox><points>x</points><points>[[1,2]]</points><labels>[7]</labels>"
    assert read_prompts(two) == Prompts(((9, 9, 1, 1), (1, 2, 3, 4)), ((1, 2),), (7,))
    assert not has_thought("</think><think>")


@pytest.mark.parametrize(
    "piece", ["<labels>[" + "1" * 50, "<points>[[1 2] ", "<bbox>", "</bbox>", "[", "<think>", "<bbox>[1,"]
)
def test_long_hostile_replies_are_read_in_linear_time(piece: str) -> None:
    SegR1().components(play(OBJECT, reply=piece * (1_000_000 // len(piece)) + "</labels></points></bbox>"))


@pytest.mark.parametrize(
    ("reply", "worth"),
    [(f"{POINTS}{LABELS}", 2), (REPLY, 2), (BOX, 0), (POINTS, 0), (f"{POINTS}<labels>[1]</labels>", 0)],
)
def test_the_first_stage_asks_for_points_alone(reply: str, worth: float) -> None:
    reward = SegR1Points()
    assert total(reward, reward.components(play(OBJECT, reply=reply))) == pytest.approx(worth)
