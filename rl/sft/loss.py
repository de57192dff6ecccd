"""The supervised loss: cross-entropy, with coordinates as soft targets over neighbouring numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """What a batch shows: the loss to minimise, and right and all predictions of words and of coordinates.

    A coordinate counts as right within 20 units (of 1000).
    """

    loss: Tensor
    right_words: Tensor
    words: Tensor
    near_numbers: Tensor
    numbers: Tensor


class CoordinateLoss:
    """Cross-entropy in which a coordinate's target is a narrow bell over its neighbours.

    A miss by one unit then costs little and a miss by hundreds much, so places are learned as places. `sigma` is in
    units of 1/1000 of the frame. A number is a coordinate if it follows one of the tokens `opens`; frame indices and
    years stay exact. So does zero: a box of zeros says that nothing is there, and a policy that had learned 0 as a
    place near 1 and 2 would hardly ever sample four of them.
    """

    def __init__(
        self, numbers: Sequence[int], opens: Sequence[int], vocabulary: int, sigma: float, device: torch.device
    ) -> None:
        """Take the token ids of 0, 1, 2, … in order, and those of the tokens that open a coordinate."""
        self.numbers = torch.tensor(numbers, device=device)
        self.value = torch.full((vocabulary,), -1, device=device)
        self.value[self.numbers] = torch.arange(len(numbers), device=device)
        self.opens = torch.tensor(opens, device=device)
        reach = max(1, round(3 * sigma))
        self.offsets = torch.arange(-reach, reach + 1, device=device)
        self.bell = torch.exp(-0.5 * (self.offsets / max(sigma, 1e-6)) ** 2)

    def __call__(self, logits: Tensor, targets: Tensor, previous: Tensor) -> Scores:
        """Score logits (n, vocabulary); targets int64 (n,), -1 ignored; previous int64 (n,), the token before each."""
        given = targets >= 0
        safe = targets.clamp(min=0)
        value = self.value[safe]
        coordinate = given & (value >= 0) & torch.isin(previous, self.opens)
        logp = F.log_softmax(logits.float(), dim=-1)
        exact = -logp.gather(1, safe[:, None])[:, 0]
        near = value[:, None] + self.offsets
        weight = self.bell * ((near >= 0) & (near < len(self.numbers)))
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
        soft = -(logp.gather(1, self.numbers[near.clamp(0, len(self.numbers) - 1)]) * weight).sum(1)
        loss = torch.where(coordinate & (value > 0), soft, exact) * given
        guess = logits.argmax(-1)
        words = given & ~coordinate
        return Scores(
            loss.sum() / given.sum().clamp(min=1),
            ((guess == safe) & words).sum(),
            words.sum(),
            (((self.value[guess] - value).abs() <= 20) & (self.value[guess] >= 0) & coordinate).sum(),
            coordinate.sum(),
        )
