"""The pictures of training rows, as the forward pass of a Qwen-VL model wants them."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from transformers import AutoImageProcessor

from graphs.policies.chatml import ChatML
from graphs.policies.vision import patchify
from rl.rows import TrainingRow
from rl.stream import check_images
from tools.errors import PolicyError, boundary
from tools.image_store import Image

Patches = Callable[[Image], Tensor]
"""Cut an RGB picture, uint8 (height, width, 3), into the patches of one model family, float32 (patches, values)."""


def load_patches(checkpoint: str) -> Patches:
    """Return how the model of a checkpoint (folder or hub id) cuts pictures; PolicyError if that cannot be read.

    Qwen3-VL scales to -1..1 in patches of 16 pixels, which `patchify` does fast; others go by their own processor.
    """
    with boundary(PolicyError, f"loading {checkpoint} failed", remedy="Check the folder or the hub id."):
        processor = AutoImageProcessor.from_pretrained(checkpoint)
    halves = [0.5, 0.5, 0.5]
    if list(processor.image_mean) == halves == list(processor.image_std) and processor.merge_size == 2:
        return lambda image: patchify(image, processor.patch_size)

    def cut(image: Image) -> Tensor:
        patches: Tensor = processor(images=[image], do_resize=False, return_tensors="pt")["pixel_values"]
        return patches

    return cut


def pixel_inputs(
    rows: Sequence[TrainingRow], chatml: ChatML, device: torch.device | str = "cpu", patches: Patches | None = None
) -> dict[str, Tensor]:
    """Return pixel_values, float32 (patches, values), and image_grid_thw (pictures, 3), in token order; {} without any.

    `patches` is how the model cuts pictures, by default as Qwen3-VL does. Raises StreamError for a row whose pictures
    and image tokens do not belong together.
    """
    for row in rows:
        check_images(row.stream, chatml)
    refs = [(ref, row.picture) for row in rows for ref in row.stream.images]
    if not refs:
        return {}
    patch = chatml.cell // 2
    cut = patches or (lambda image: patchify(image, patch))
    known: dict[str, Tensor] = {}
    for ref, picture in refs:  # the episodes of a group share their frames: each goes to the device once
        if ref.sha256 not in known:
            known[ref.sha256] = cut(picture(ref.sha256)).to(device)
    grid = [[1, ref.height // patch, ref.width // patch] for ref, _ in refs]
    return {
        "pixel_values": torch.cat([known[ref.sha256] for ref, _ in refs]),
        "image_grid_thw": torch.tensor(grid, device=device),
    }


def pictures_of(
    rows: Sequence[int], pixel_values: Tensor, image_grid_thw: Tensor, num_images: Sequence[int]
) -> tuple[Tensor, Tensor, list[int]]:
    """Return the patches, grids and numbers of pictures of some rows of a batch, in the order of `rows`."""
    patches = torch.split(pixel_values, image_grid_thw.prod(-1).tolist())
    first = [0, *accumulate(num_images)]
    wanted = [picture for row in rows for picture in range(first[row], first[row + 1])]
    return (
        torch.cat([pixel_values[:0], *(patches[picture] for picture in wanted)]),  # of rows without any, none
        image_grid_thw[wanted],
        [num_images[row] for row in rows],
    )
