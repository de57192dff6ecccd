"""Coordinates are shifted, and nothing else is: not frame indices, not observations, not the zeros of "absent"."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from graphs.policies.loading import EMBEDDED_FOLDER
from rl.sft.samples import Sample, jitter_coordinates
from rl.sft.tokenizer import NUMBERS, coordinate_openers, token_id

pytestmark = pytest.mark.skipif(not (EMBEDDED_FOLDER / "tokenizer.json").exists(), reason="no shipped tokenizer")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(EMBEDDED_FOLDER / "tokenizer.json"))


def sample_of(tokenizer: Tokenizer, text: str, *, trained: bool = True) -> Sample:
    ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
    return Sample(ids, np.full(len(ids), trained), np.zeros((3, len(ids)), np.int64), ())


def jittered(tokenizer: Tokenizer, sample: Sample, seed: int, reach: int = 1) -> str:
    numbers = np.array([token_id(tokenizer, number) for number in NUMBERS])
    rng = np.random.default_rng(seed)
    changed = jitter_coordinates(sample, rng, numbers, coordinate_openers(tokenizer), reach)
    return tokenizer.decode(changed.ids.tolist(), skip_special_tokens=False)


ANSWER = 'clearest in frame 5 of 2031. </thinking>\n<answer> {"bbox_2d": [621, 408, 799, 587], "point_2d": [709, 497]}'


def numbers_of(text: str) -> list[int]:
    return [int(word) for word in "".join(c if c.isdigit() else " " for c in text).split() if word not in ("2", "2d")]


def test_coordinates_move_by_at_most_the_reach_and_all_else_stays(tokenizer: Tokenizer) -> None:
    seen: set[int] = set()
    for seed in range(40):
        text = jittered(tokenizer, sample_of(tokenizer, ANSWER), seed)
        before, after = numbers_of(ANSWER), numbers_of(text)
        assert after[:2] == [5, 2031]
        assert all(abs(a - b) <= 1 for a, b in zip(after, before, strict=True))
        seen.add(after[-1])
    assert seen == {496, 497, 498}


def test_the_zeros_of_absent_stay(tokenizer: Tokenizer) -> None:
    absent = '<answer> {"bbox_2d": [0, 0, 0, 0], "point_2d": [0, 0]} </answer>'
    assert all(jittered(tokenizer, sample_of(tokenizer, absent), seed) == absent for seed in range(20))


def test_what_is_not_trained_on_stays(tokenizer: Tokenizer) -> None:
    sample = sample_of(tokenizer, ANSWER, trained=False)
    assert all(jittered(tokenizer, sample, seed) == ANSWER for seed in range(10))


def test_the_edges_of_the_frame_are_not_left(tokenizer: Tokenizer) -> None:
    edge = '<answer> {"bbox_2d": [1, 1, 1000, 1000], "point_2d": [999, 1]}'
    for seed in range(30):
        assert all(1 <= n <= 1000 for n in numbers_of(jittered(tokenizer, sample_of(tokenizer, edge), seed, 3)))
