"""The embedded policy: Qwen3-VL's architecture at ten million parameters, and a fast forward pass to train it.

The fast pass computes what transformers computes (a test holds them together to 1e-4) but treats the pictures of one
size as one dense batch, the patch embedding as a matrix product, and keeps every shape fixed so that it compiles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration


@dataclass(frozen=True, kw_only=True)
class PolicySize:
    """The sizes of the policy's two towers."""

    hidden: int = 256
    layers: int = 7
    heads: int = 4
    key_value_heads: int = 2
    feed_forward: int = 672
    vision_hidden: int = 192
    vision_layers: int = 6
    vision_heads: int = 3
    vision_feed_forward: int = 576
    deepstack: tuple[int, ...] = (2,)


def make_policy(size: PolicySize, tokens: dict[str, int], vocabulary: int, seed: int) -> Any:
    """Make a policy with random weights; `tokens` maps the special tokens to their ids."""
    torch.manual_seed(seed)
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": size.hidden,
            "intermediate_size": size.feed_forward,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.key_value_heads,
            "head_dim": size.hidden // size.heads,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
            "pad_token_id": tokens["<|endoftext|>"],
            "bos_token_id": None,
            "eos_token_id": tokens["<|im_end|>"],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [12, 10, 10],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_hidden,
            "intermediate_size": size.vision_feed_forward,
            "num_heads": size.vision_heads,
            "out_hidden_size": size.hidden,
            "num_position_embeddings": 28 * 28,
            "deepstack_visual_indexes": list(size.deepstack),
        },
        image_token_id=tokens["<|image_pad|>"],
        video_token_id=tokens["<|video_pad|>"],
        vision_start_token_id=tokens["<|vision_start|>"],
        vision_end_token_id=tokens["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokens["<|im_end|>"]
    model.generation_config.pad_token_id = tokens["<|endoftext|>"]
    return model


@dataclass(frozen=True)
class Grid:
    """What depends on the side of a square picture alone: position embedding weights and rotary angles."""

    rows: Tensor
    weights: Tensor
    cos: Tensor
    sin: Tensor


class FastPolicy:
    """Run a policy's own modules on dense batches of fixed shapes."""

    def __init__(self, model: Any, *, compiled: bool = False) -> None:
        self.model = model
        self.visual = model.model.visual
        self.text = model.model.language_model
        self._grids: dict[tuple[int, str], Grid] = {}
        wrap: Callable[[Any], Any] = torch.compile if compiled else lambda f: f
        self._vision_block = wrap(_vision_block)
        self._text_layer = wrap(_text_layer)
        self._merge = wrap(_merge)

    def encode_pictures(self, images: Tensor) -> list[Tensor]:
        """Encode square pictures, uint8 (n, side, side, 3), to embeddings: final first, then each deep layer.

        Each is (n * tokens, hidden), tokens in reading order within a picture.
        """
        vision = self.visual.config
        count, side = images.shape[0], images.shape[1]
        grid = self._grid(side // vision.patch_size, images.device)
        weight = self.visual.patch_embed.proj.weight.sum(2).flatten(1)
        patches = _patches(images, vision.patch_size, vision.spatial_merge_size)
        hidden = F.linear(patches.to(weight.dtype), weight, self.visual.patch_embed.proj.bias)
        hidden = hidden + (self.visual.pos_embed(grid.rows) * grid.weights[:, :, None]).sum(1)
        deep: list[Tensor] = []
        for number, block in enumerate(self.visual.blocks):
            hidden = self._vision_block(block, hidden, grid.cos, grid.sin)
            if number in vision.deepstack_visual_indexes:
                merger = self.visual.deepstack_merger_list[list(vision.deepstack_visual_indexes).index(number)]
                deep.append(self._merge(merger, hidden))
        assert hidden.shape[0] == count
        return [self._merge(self.visual.merger, hidden), *deep]

    def hidden(self, ids: Tensor, positions: Tensor, place: Tensor, pictures: list[Tensor]) -> Tensor:
        """Run the language model.

        ids int64 (batch, length); positions int64 (3, batch, length); pictures as from `encode_pictures`, of all
        sizes, joined; place int64 (picture tokens,): where in the flattened ids each of their rows stands,
        batch * length for a row that stands nowhere. Returns the final hidden states (batch, length, hidden).
        Padding belongs on the right.
        """
        # Rows are copied to their places, not looked up from the tokens: a look-up's gradient would add up all text
        # tokens in one row, one after another.
        embedded = self.text.embed_tokens(ids)
        hidden = _with_spare_row(embedded).index_copy(0, place, pictures[0].to(embedded.dtype))[:-1].view_as(embedded)
        cos, sin = self.text.rotary_emb(hidden, positions)
        for number, layer in enumerate(self.text.layers):
            hidden = self._text_layer(layer, hidden, cos, sin)
            if number + 1 < len(pictures):
                deep = pictures[number + 1].to(hidden.dtype)
                hidden = _with_spare_row(hidden).index_add(0, place, deep)[:-1].view_as(hidden)
        return self.text.norm(hidden)  # type: ignore[no-any-return]

    def _grid(self, side: int, device: torch.device) -> Grid:
        key = (side, str(device))
        if key not in self._grids:
            self._grids[key] = _make_grid(self.visual, side, device)
        return self._grids[key]


def _with_spare_row(hidden: Tensor) -> Tensor:
    flat = hidden.flatten(0, 1)
    return torch.cat([flat, flat.new_zeros(1, flat.shape[1])])


def _patches(images: Tensor, patch: int, merge: int) -> Tensor:
    count, side = images.shape[0], images.shape[1] // (patch * merge)
    scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    blocks = scaled.view(count, 3, side, merge, patch, side, merge, patch)
    return blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(count, (side * merge) ** 2, 3 * patch * patch)


def _make_grid(visual: Any, side: int, device: torch.device) -> Grid:
    merge, full = visual.config.spatial_merge_size, visual.num_grid_per_side
    block = torch.arange(side, device=device).view(side // merge, merge)
    rows = block[:, None, :, None].expand(-1, side // merge, -1, merge).reshape(-1)
    columns = block[None, :, None, :].expand(side // merge, -1, merge, -1).reshape(-1)
    place = torch.linspace(0, full - 1, side, device=device)
    low = place.floor().long()
    high, part = (low + 1).clamp(max=full - 1), place - low
    corners = [(low, 1 - part), (high, part)]
    pairs = [(r[rows] * full + c[columns], wr[rows] * wc[columns]) for r, wr in corners for c, wc in corners]
    frequencies = visual.rotary_pos_emb.inv_freq.to(device).float()
    angles = torch.cat([rows[:, None] * frequencies, columns[:, None] * frequencies], dim=-1)
    angles = torch.cat([angles, angles], dim=-1)
    return Grid(
        torch.stack([index for index, _ in pairs], 1), torch.stack([w for _, w in pairs], 1), angles.cos(), angles.sin()
    )


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.chunk(2, dim=-1)
    return (x.float() * cos + torch.cat([-two, one], dim=-1).float() * sin).to(x.dtype)


def _vision_block(block: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    attention = block.attn
    count, length, width = hidden.shape
    projected = attention.qkv(block.norm1(hidden)).view(count, length, 3, attention.num_heads, -1)
    query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(_rotate(query, cos, sin), _rotate(key, cos, sin), value)
    hidden = hidden + attention.proj(mixed.transpose(1, 2).reshape(count, length, width))
    return hidden + block.mlp(block.norm2(hidden))  # type: ignore[no-any-return]


def _merge(merger: Any, hidden: Tensor) -> Tensor:
    return merger(hidden.reshape(-1, hidden.shape[-1]))  # type: ignore[no-any-return]


def _text_layer(layer: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    # Padding on the right and no mask: plain causal attention, which the fast kernels know.
    return layer.forward(hidden, position_embeddings=(cos, sin), attention_mask=None)  # type: ignore[no-any-return]
