"""SAM 2 with random weights: a tiny one for fast tests, and the published sizes for slow ones."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel

TINY_SIDE = 64


def tiny_config() -> Sam2VideoConfig:
    cells = TINY_SIDE // 4
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[TINY_SIDE, TINY_SIDE],
        blocks_per_stage=[1, 1, 3, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )
    return Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[cells, cells], [cells // 2, cells // 2], [cells // 4, cells // 4]],
            "fpn_hidden_size": 128,
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": TINY_SIDE, "mask_input_channels": 8},
        mask_decoder_config={
            "hidden_size": 128,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
        image_size=TINY_SIDE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[cells // 4, cells // 4],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
    )


def published_config() -> Sam2VideoConfig:
    """The sizes of facebook/sam2.1-hiera-tiny, which are the defaults of transformers."""
    return Sam2VideoConfig()


@torch.no_grad()
def write_checkpoint(folder: Path, config: Sam2VideoConfig, **extra: Any) -> str:
    """Save a model whose random weights are large enough that memory, pointers and prompts all move the masks."""
    torch.manual_seed(0)
    model = Sam2VideoModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "norm" not in name:
            fan_in = parameter[0].numel() if parameter.shape[0] > 1 else parameter.numel()
            parameter.normal_(std=max(fan_in, 1) ** -0.5)
        elif "bias" not in name and parameter.abs().max() == 0:
            parameter.normal_(std=0.3)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)  # the object is always there
    for key, value in extra.items():
        setattr(model.config, key, value)
    model.save_pretrained(folder)
    return str(folder)


def textured_clip(count: int, height: int = 50, width: int = 70) -> list[np.ndarray]:
    """A bright square that wanders over noise; frames RGB uint8."""
    rng = np.random.default_rng(0)
    backdrop = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    frames = []
    for index in range(count):
        frame = backdrop.copy()
        x, y = int(20 + 12 * np.sin(index / 5)), int(16 + 8 * np.cos(index / 7))
        frame[y : y + 14, x : x + 16] = rng.integers(150, 255, 3)
        frames.append(frame)
    return frames
