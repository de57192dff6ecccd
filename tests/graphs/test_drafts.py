"""Drafts proposes what came last after the same tokens, and keeps no more than it may."""

from hypothesis import given
from hypothesis import strategies as st

from graphs.policies.drafts import CONTEXT, Drafts

TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=25), max_size=4)


def followed(texts: list[list[int]], tail: list[int], length: int) -> tuple[int, ...]:
    """What came last after the last four tokens of a tail, or else after its last two, by looking everywhere."""
    for size in (4, 2):
        found = [
            tuple(text[end : end + length])
            for text in texts
            for end in range(size, len(text))
            if len(tail) >= size and text[end - size : end] == tail[-size:]
        ]
        if found:
            return found[-1]
    return ()


@given(TEXTS, st.lists(st.integers(0, 3), max_size=6), st.integers(1, 9))
def test_it_proposes_what_came_last(texts: list[list[int]], tail: list[int], length: int) -> None:
    drafts = Drafts(length)
    for text in texts:
        drafts.learn(text)
    assert drafts.guess(tail) == followed(texts, tail, length)


def test_the_oldest_is_forgotten_and_what_comes_again_is_not_old() -> None:
    drafts = Drafts(2, keep=3)  # one of a text of three
    drafts.learn([1, 2, 3])
    drafts.learn([4, 5, 6])
    drafts.learn([1, 2, 3])
    drafts.learn([7, 8, 9])
    drafts.learn([10, 11, 12])
    assert [bool(drafts.guess(tail)) for tail in ([4, 5], [1, 2], [7, 8], [10, 11])] == [False, True, True, True]


def test_context_is_all_that_a_guess_looks_at() -> None:
    drafts = Drafts()
    drafts.learn(range(20))
    assert drafts.guess([99, *range(8)][-CONTEXT:]) == tuple(range(8, 16)) == drafts.guess(range(8))


def test_of_a_long_text_the_end_is_kept_by_four_tokens_and_by_two() -> None:
    drafts = Drafts(2, keep=10)
    drafts.learn(range(50))
    assert drafts.guess([44, 45, 46, 47]) == (48, 49)
    assert drafts.guess([99, 99, 46, 47]) == (48, 49)
    assert drafts.guess([99, 99, 20, 21]) == ()
    assert len(drafts._next) == 10


def test_without_length_nothing_is_kept() -> None:
    drafts = Drafts(length=0)
    drafts.learn(range(50))
    assert drafts.guess(range(20)) == ()
    assert not drafts._next
