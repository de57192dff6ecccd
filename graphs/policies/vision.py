"""Encode pictures with the vision part of a Qwen3-VL model, each picture once."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphs.conversation import ImageRef
from tools.image_store import Image, ImageStore


def patchify(image: Image, patch: int = 16, merge: int = 2) -> Tensor:
    """Cut an RGB picture, uint8 (height, width, 3), into Qwen3-VL patches, float32 (patches, 3 * 2 * patch * patch).

    Values are scaled to -1..1; patches come in blocks of merge x merge, the still picture doubled in time.
    """
    height, width = image.shape[0] // patch, image.shape[1] // patch
    own = np.array(image, order="C")  # a copy: torch takes no array that must not be written
    scaled = torch.from_numpy(own).permute(2, 0, 1).float() / 127.5 - 1.0
    blocks = scaled.view(3, height // merge, merge, patch, width // merge, merge, patch)
    patches = blocks.permute(1, 4, 2, 5, 0, 3, 6).reshape(height * width, 3, 1, patch, patch)
    return patches.expand(-1, -1, 2, -1, -1).reshape(height * width, -1)


class PictureEncoder:
    """Embeddings of pictures by sha256, the least recently used dropped beyond `keep`."""

    def __init__(self, model: Any, *, keep: int = 256, batch: int = 256) -> None:
        vision = model.config.vision_config
        self._visual = model.model.visual
        self._patch, self._merge = int(vision.patch_size), int(vision.spatial_merge_size)
        self._keep, self._batch = keep, batch
        self._known: OrderedDict[str, tuple[Tensor, list[Tensor]]] = OrderedDict()

    @property
    def cell(self) -> int:
        """Side in pixels of the square that one image token covers."""
        return self._patch * self._merge

    def tokens(self, ref: ImageRef) -> tuple[int, int]:
        """Return rows and columns of a picture's tokens."""
        return ref.height // self.cell, ref.width // self.cell

    def forget(self) -> None:
        """Drop everything, after the weights have changed."""
        self._known.clear()

    def encode(self, refs: Sequence[tuple[ImageRef, ImageStore]]) -> tuple[Tensor, list[Tensor]]:
        """Return the embeddings of pictures in order, (tokens, width), and those of each deep layer."""
        new = {ref.sha256: (ref, store) for ref, store in refs if ref.sha256 not in self._known}
        waiting = list(new.values())
        for start in range(0, len(waiting), self._batch):
            self._run(waiting[start : start + self._batch])
        found = [self._known[ref.sha256] for ref, _ in refs]
        for ref, _ in refs:
            self._known.move_to_end(ref.sha256)
        while len(self._known) > self._keep:
            self._known.popitem(last=False)
        layers = zip(*(deep for _, deep in found), strict=True)
        return torch.cat([flat for flat, _ in found]), [torch.cat(layer) for layer in layers]

    def _run(self, refs: Sequence[tuple[ImageRef, ImageStore]]) -> None:
        patches = [patchify(store.get(ref.sha256), self._patch, self._merge) for ref, store in refs]
        grid = [[1, ref.height // self._patch, ref.width // self._patch] for ref, _ in refs]
        device, dtype = self._visual.device, self._visual.dtype
        output = self._visual(torch.cat(patches).to(device, dtype), grid_thw=torch.tensor(grid, device=device))
        sizes = [rows * columns for rows, columns in (self.tokens(ref) for ref, _ in refs)]
        flat = torch.split(output.pooler_output, sizes)
        deep = list(zip(*(torch.split(layer, sizes) for layer in output.deepstack_features), strict=True))
        for number, (ref, _) in enumerate(refs):
            self._known[ref.sha256] = (flat[number], list(deep[number]) if deep else [])
