"""Pictures as vLLM's own renderer makes them, made here: the item of another picture of that size is the mold.

An item is vLLM's msgpack of a picture's tensors, in base64. All but the pixels depends on the size alone, and the
pixels stand in it as they are: patches in the order of `graphs.policies.vision.patchify`, in the model's dtype. Read in
vllm/v1/serial_utils.py and mm_serde.py of 0.25.1.
"""

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from tools.image_store import Image

_DTYPES = {torch.bfloat16: np.uint16, torch.float16: np.uint16, torch.float32: np.uint32}
"""What models compute in, and an unsigned type as wide: numpy knows no bfloat16."""


_PIXELS = torch.arange(256).float()
_SCALED = (_PIXELS / 127.5 - 1.0, (_PIXELS - 127.5) / 127.5)
"""A pixel's 256 values as Hugging Face's processors compute them, with Pillow and with torchvision: in float32 every
second one differs in its last bit."""


@dataclass(frozen=True)
class Mold:
    """The bytes before and behind the pixels, and the 256 values that a pixel can have there."""

    head: bytes
    tail: bytes
    values: NDArray[np.unsignedinteger]
    patch: int
    merge: int

    def fill(self, image: Image) -> bytes:
        """Return the item of an RGB picture, uint8, of the mold's size, in base64."""
        patches = cut_patches(image, self.values, self.patch, self.merge)
        return b2a_base64(b"".join((self.head, patches.data, self.tail)), newline=False)


def find_mold(item: bytes, image: Image, patch: int, merge: int) -> Mold | None:
    """Return the mold of the item, in base64, that the server made of a picture; None if its pixels are not ours."""
    raw = a2b_base64(item)
    for scaled, (dtype, width) in product(_SCALED, _DTYPES.items()):
        values = scaled.to(dtype).view(torch.uint8).numpy().view(width)
        pixels = cut_patches(image, values, patch, merge).tobytes()
        at = raw.find(pixels)
        if at >= 0 and at == raw.rfind(pixels):
            return Mold(raw[:at], raw[at + len(pixels) :], values, patch, merge)
    return None


def probe(height: int, width: int) -> Image:
    """Return a picture of a size, uint8 (height, width, 3), that shows how any other is rendered.

    It holds every value, in an order that no other cut keeps.
    """
    values = np.arange(height * width * 3) % 256
    return np.random.default_rng(0).permutation(values).astype(np.uint8).reshape(height, width, 3)


def cut_patches(
    image: Image, values: NDArray[np.unsignedinteger], patch: int, merge: int
) -> NDArray[np.unsignedinteger]:
    """Cut as `patchify` does, seven times as fast: (patches * 3, 2, patch * patch), in the 256 `values` of a pixel."""
    rows, columns = image.shape[0] // (patch * merge), image.shape[1] // (patch * merge)
    blocks = image.reshape(rows, merge, patch, columns, merge, patch, 3).transpose(0, 3, 1, 4, 6, 2, 5)
    still = values.take(np.ascontiguousarray(blocks)).reshape(-1, 1, patch * patch)
    return np.repeat(still, 2, axis=1)
