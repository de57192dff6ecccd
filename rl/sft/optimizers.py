"""Two optimizers under one schedule: Muon (or AdamW) for the matrices inside the blocks, AdamW for all else."""

import math
from typing import Any

import torch
from torch import nn


class Optimizers:
    """Step, schedule and save the two optimizers of a policy."""

    def __init__(self, model: nn.Module, matrices: str, weight_decay: float) -> None:
        """Split the parameters; `matrices` is "muon" or "adamw"."""
        inner, outer = _split(model)
        fused = next(model.parameters()).is_cuda
        if matrices == "muon":
            first: torch.optim.Optimizer = torch.optim.Muon(
                inner, lr=1.0, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        else:
            first = torch.optim.AdamW(inner, lr=1.0, betas=(0.9, 0.95), weight_decay=weight_decay, fused=fused)
        second = torch.optim.AdamW(outer, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0, fused=fused)
        self._both = (first, second)

    def set_rate(self, peak: float, step: int, warmup: int, progress: float) -> float:
        """Warm up over `warmup` steps, then follow a cosine over `progress` (0 to 1) down to 2 % of the peak."""
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        rate = peak * min(1.0, (step + 1) / max(warmup, 1)) * cosine
        for optimizer in self._both:
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def step(self) -> None:
        """Apply the gradients and clear them."""
        for optimizer in self._both:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Return what `load` needs."""
        return [optimizer.state_dict() for optimizer in self._both]

    def load(self, states: list[dict[str, Any]]) -> None:
        """Go on from saved states."""
        for optimizer, state in zip(self._both, states, strict=True):
            optimizer.load_state_dict(state)


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    inner: list[nn.Parameter] = []
    outer: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inner if matrix else outer).append(parameter)
    return inner, outer
