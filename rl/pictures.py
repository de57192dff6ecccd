"""The pictures of training rows, as the forward pass of a Qwen3-VL model wants them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from graphs.policies.chatml import ChatML
from graphs.policies.vision import patchify
from rl.rows import TrainingRow
from rl.stream import check_images


def pixel_inputs(rows: Sequence[TrainingRow], chatml: ChatML, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return pixel_values, float32 (patches, values), and image_grid_thw (pictures, 3), in token order; {} without any.

    Raises StreamError for a row whose pictures and image tokens do not belong together.
    """
    for row in rows:
        check_images(row.stream, chatml)
    refs = [(ref, row.picture) for row in rows for ref in row.stream.images]
    if not refs:
        return {}
    patch = chatml.cell // 2
    known: dict[str, Tensor] = {}
    for ref, picture in refs:  # the episodes of a group share their frames: each goes to the device once
        if ref.sha256 not in known:
            known[ref.sha256] = patchify(picture(ref.sha256), patch).to(device)
    grid = [[1, ref.height // patch, ref.width // patch] for ref, _ in refs]
    return {
        "pixel_values": torch.cat([known[ref.sha256] for ref, _ in refs]),
        "image_grid_thw": torch.tensor(grid, device=device),
    }
