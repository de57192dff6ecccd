"""The loss: coordinates are learned as places, everything else exactly."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rl.sft.loss import CoordinateLoss

VOCABULARY, SIGMA = 1100, 3.0
NUMBERS = list(range(50, 1051))
OPEN, COMMA, FRAME = 1, 2, 3
LOSS = CoordinateLoss(NUMBERS, [OPEN, COMMA], VOCABULARY, SIGMA, torch.device("cpu"))


def peak(token: int, height: float = 12.0) -> Tensor:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, token] = height
    return logits


def loss_of(logits: Tensor, target: int, previous: int) -> float:
    return float(LOSS(logits, torch.tensor([target]), torch.tensor([previous])).loss)


def test_a_coordinate_costs_least_at_the_truth_and_more_the_farther_off() -> None:
    for value in (1, 2, 500, 999, 1000):
        for previous in (OPEN, COMMA):
            right = loss_of(peak(50 + value), 50 + value, previous)
            misses = [v for v in (value + 1, value + 4, value + 9) if v <= 1000] or [value - 1, value - 4, value - 9]
            costs = [right, *(loss_of(peak(50 + v), 50 + value, previous) for v in misses)]
            assert costs == sorted(costs)
            # Beyond the bell's reach all misses cost alike.
            far = [loss_of(peak(50 + v), 50 + value, previous) for v in ((value + 200) % 1001, (value + 400) % 1001)]
            assert abs(far[0] - far[1]) < 1e-4
            assert far[0] > right


def test_the_best_distribution_is_the_bell() -> None:
    logits = torch.zeros(1, VOCABULARY, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(400):
        optimizer.zero_grad()
        LOSS(logits, torch.tensor([50 + 300]), torch.tensor([OPEN])).loss.backward()
        optimizer.step()
    share = logits.softmax(-1)[0, 50:1051]
    offsets = torch.arange(-9, 10)
    bell = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    assert int(share.argmax()) == 300
    assert torch.allclose(share[300 + offsets], (bell / bell.sum()).float(), atol=0.01)


def test_at_the_ends_of_the_scale_the_bell_is_cut_not_wrapped() -> None:
    for value, near in ((1, range(51 - 1, 61)), (1000, range(1041, 1051))):
        logits = torch.zeros(1, VOCABULARY, requires_grad=True)
        LOSS(logits, torch.tensor([50 + value]), torch.tensor([OPEN])).loss.backward()
        pulled = (logits.grad[0] < 0).nonzero().flatten()
        assert pulled.tolist() == list(near)
        assert float(logits.grad.sum()) < 1e-6  # weights sum to one


def test_zero_is_exact_since_a_box_of_zeros_is_a_word() -> None:
    logits = torch.zeros(1, VOCABULARY, requires_grad=True)
    LOSS(logits, torch.tensor([50]), torch.tensor([OPEN])).loss.backward()
    assert (logits.grad[0] < 0).nonzero().flatten().tolist() == [50]


def test_frame_indices_and_words_are_exact() -> None:
    for target, previous in ((50 + 10, FRAME), (7, OPEN), (50 + 31, 500)):
        logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
        assert loss_of(logits, target, previous) == float(F.cross_entropy(logits, torch.tensor([target])))
    near, far = loss_of(peak(50 + 11), 50 + 10, FRAME), loss_of(peak(50 + 90), 50 + 10, FRAME)
    assert near == far


def test_ignored_targets_change_nothing_and_counts_are_right() -> None:
    targets = torch.tensor([7, 50 + 100, 50 + 100, 50 + 100, -1, 50 + 4])
    previous = torch.tensor([0, OPEN, COMMA, OPEN, OPEN, FRAME])
    logits = torch.cat([peak(7), peak(50 + 119), peak(50 + 121), peak(9), peak(50), peak(50 + 4)])
    scores = LOSS(logits, targets, previous)
    assert (int(scores.words), int(scores.right_words)) == (2, 2)
    assert (int(scores.numbers), int(scores.near_numbers)) == (3, 1)
    alone = LOSS(logits[[0, 1, 2, 3, 5]], targets[[0, 1, 2, 3, 5]], previous[[0, 1, 2, 3, 5]])
    assert torch.allclose(scores.loss, alone.loss)
    nothing = LOSS(logits[:1], torch.tensor([-1]), torch.tensor([0]))
    assert float(nothing.loss) == 0
