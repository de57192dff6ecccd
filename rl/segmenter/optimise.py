"""Optimiser, learning-rate schedule and moving average of the weights."""

import math

import torch
from torch import Tensor, nn

from rl.segmenter.settings import OptimiserSettings


def build_optimiser(model: nn.Module, settings: OptimiserSettings, *, fused: bool) -> torch.optim.AdamW:
    """Return AdamW; matrices and kernels decay, biases, norms and embeddings do not."""
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "embed" not in name and "token" not in name:
            decayed.append(parameter)
        else:
            plain.append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98), fused=fused)


def schedule(step: int, progress: float, warmup: int) -> float:
    """Return the learning rate's share in force: linear warm-up, then a cosine down to 1 % at progress 1."""
    return min(1.0, (step + 1) / max(1, warmup)) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class MovingAverage:
    """Exponential average of a model's weights, held in float32 beside it."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.weights = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model; early on the average is short, so that it forgets the random start."""
        decay = min(self._decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(self.weights, [p.detach() for p in model.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights and the average; call it again to undo."""
        for mean, parameter in zip(self.weights, model.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(kept)
