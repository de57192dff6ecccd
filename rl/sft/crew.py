"""Several processes that train one model: average gradients, agree on the clock. One process alone needs none of it."""

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn


class Crew:
    """The processes of a run, started by torchrun or alone; rank 0 writes files and keeps the clock."""

    def __init__(self, device_type: str) -> None:
        """Join the run that torchrun's environment describes, if any."""
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device(device_type, local) if device_type == "cuda" else torch.device(device_type)
        if self.size > 1:
            if device_type == "cuda":
                torch.cuda.set_device(self.device)
            dist.init_process_group("cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo")

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one exchange."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(joined)
        joined /= self.size
        at = 0
        for gradient in gradients:
            gradient.copy_(joined[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def agree(self, value: float) -> float:
        """Return rank 0's value, so that all processes follow one clock."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(shared, 0)
        return float(shared)

    def leave(self) -> None:
        """Leave the run."""
        if self.size > 1:
            dist.destroy_process_group()
