"""Drop work of transformers' SAM 2 encoder (5.17 to 5.23) that nothing reads, while training.

`Sam2MultiScaleAttention.forward` computes a softmax over heads for nothing, and the neck builds a sine code per picture
that only memory attention uses. What is predicted stays the same, and saved weights know nothing of it.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Sam2Model


def make_lean(model: Sam2Model) -> None:
    """Replace the attention forward of every Hiera block and the neck's sine code, in place."""
    model.vision_encoder.neck.position_encoding.forward = _no_code
    for block in model.vision_encoder.backbone.blocks:
        block.attn.forward = MethodType(_forward, block.attn)


def _no_code(shape: torch.Size, device: torch.device, dtype: torch.dtype, mask: Tensor | None = None) -> Tensor:
    return torch.zeros((), device=device, dtype=dtype).expand(shape)


def _forward(self: Any, hidden_states: Tensor, **_: Any) -> Tensor:
    batch, height, width, _channels = hidden_states.shape
    qkv = self.qkv(hidden_states).reshape(batch, height * width, 3, self.num_attention_heads, -1)
    query, key, value = torch.unbind(qkv, 2)
    if self.query_stride:
        pooled = query.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        pooled = nn.functional.max_pool2d(pooled, self.query_stride, self.query_stride)
        height, width = pooled.shape[2:]
        query = pooled.permute(0, 2, 3, 1).reshape(batch, height * width, self.num_attention_heads, -1)
    mixed = nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=self.scale
    )
    return self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))  # type: ignore[no-any-return]
