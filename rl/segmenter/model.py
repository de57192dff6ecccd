"""The small SAM 2: transformers' own classes, our sizes, weights from scratch.

`encode` and `decode` are `Sam2Model.forward` cut in two, so that one batch can be decoded with several kinds of
prompts.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from transformers import Sam2Config, Sam2Model

from rl.segmenter.settings import ModelSettings

PATCH = 16
"""Pixels per cell of the coarsest feature map that the mask decoder sees; masks come at a quarter of this."""


def build_config(settings: ModelSettings, *, window: float | None = None) -> Sam2Config:
    """Return the configuration; with `window` it says that the model looks at windows and tracks through clips."""
    size, cells = settings.image_size, settings.image_size // 4
    widths = list(settings.widths)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": widths[0],
        "num_attention_heads": settings.heads[0],
        "image_size": [size, size],
        "window_positional_embedding_background_size": [settings.windows[0], settings.windows[0]],
        "blocks_per_stage": list(settings.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": list(settings.heads),
        "window_size_per_stage": list(settings.windows),
        "global_attention_blocks": [],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[cells, cells], [cells // 2, cells // 2], [cells // 4, cells // 4]],
        "fpn_hidden_size": settings.decoder_width,
    }
    extra = {} if window is None else {"segscout_window": window, "segscout_propagation": "tracking"}
    return Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": settings.decoder_width, "image_size": size, "patch_size": PATCH},
        mask_decoder_config={
            "hidden_size": settings.decoder_width,
            "mlp_dim": settings.decoder_mlp,
            "num_attention_heads": settings.decoder_heads,
            "iou_head_hidden_dim": settings.decoder_width,
            "dynamic_multimask_via_stability": False,
        },
        **extra,
    )


def build_model(settings: ModelSettings, *, seed: int, window: float | None = None) -> Sam2Model:
    """Return a model with fresh weights, float32 on the CPU."""
    torch.manual_seed(seed)
    model = Sam2Model(build_config(settings, window=window))
    _initialise(model)
    return model


@torch.no_grad()
def _initialise(model: Sam2Model) -> None:
    """Scale weights by their fan-in.

    transformers draws everything with std 0.02, which in a 128-wide decoder of three-layer heads leaves mask logits of
    1e-3 and a long start; and it draws the points' positional code apart from the picture's, which SAM shares.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in = module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d):
            fan_in = module.in_channels  # kernel equals stride: each output pixel sees one input pixel
        else:
            continue
        nn.init.trunc_normal_(module.weight, std=fan_in**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for head in model.mask_decoder.output_hypernetworks_mlps:  # masks start near "unsure"
        head.proj_out.weight.mul_(0.1)
    for block in model.vision_encoder.backbone.blocks:  # residual branches start small
        for last in (block.attn.proj, block.mlp.proj_out):
            last.weight.mul_(0.3)
    for parameter in (model.vision_encoder.backbone.pos_embed, model.vision_encoder.backbone.pos_embed_window):
        nn.init.trunc_normal_(parameter, std=0.02)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    code = model.shared_image_embedding.positional_embedding.bfloat16().float()  # exactly what will be saved
    model.shared_image_embedding.positional_embedding.copy_(code)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(code)


def encode(model: Sam2Model, pixels: Tensor) -> list[Tensor]:
    """Return the feature maps for the decoder, fine to coarse, of normalised pixels (batch, 3, size, size)."""
    batch = pixels.shape[0]
    maps = list(model.get_image_features(pixels, return_dict=True).fpn_hidden_states)
    maps[-1] = maps[-1] + model.no_memory_embedding
    return [
        features.permute(1, 2, 0).reshape(batch, -1, *size)
        for features, size in zip(maps, model.backbone_feature_sizes, strict=True)
    ]


def decode(model: Sam2Model, features: list[Tensor], points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Predict all masks for one prompt per picture.

    `Sam2MaskDecoder.forward` returns either the single mask or the three for ambiguous prompts; training wants both
    from one pass. The single mask comes first.

    Args:
        model: the network.
        features: what `encode` returned.
        points: x, y in pixels of the crop, float32 (batch, count, 2).
        labels: int (batch, count): 1 inside, 0 outside, 2 and 3 the corners of a box.

    Returns:
        Logits (batch, 4, size / 4, size / 4), estimated IoU (batch, 4), object score logits (batch, 1).
    """
    with torch.autocast(features[0].device.type, enabled=False):  # coordinates need more than bfloat16's 8 bits
        sparse, dense = model.prompt_encoder(points[:, None].float(), labels[:, None], None, None)
        grid = model.get_image_wide_positional_embeddings().repeat(len(points), 1, 1, 1)
    decoder = model.mask_decoder
    own = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.repeat(len(points), 1, 1, 1), sparse], dim=2)
    queries, keys = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=features[2] + dense,
        image_positional_embeddings=grid,
        attention_similarity=None,
    )
    coarse = keys.transpose(2, 3).reshape(features[2].shape)
    middle = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(coarse) + features[1]))
    fine = decoder.activation(decoder.upscale_conv2(middle) + features[0])
    mask_tokens = queries[:, 0, 2 : 2 + decoder.num_mask_tokens].unbind(1)
    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([head(token) for head, token in zip(heads, mask_tokens, strict=True)], dim=1)
    logits = (weights @ fine.flatten(2)).unflatten(2, fine.shape[2:])
    return logits, decoder.iou_prediction_head(queries[:, 0, 1]), decoder.pred_obj_score_head(queries[:, 0, 0])


def save_model(model: Sam2Model, folder: Path) -> None:
    """Write config.json and bfloat16 model.safetensors; a kill at any moment leaves whole files, old or new."""
    copy = Sam2Model(model.config)
    copy.load_state_dict(model.state_dict())
    with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        copy.to(torch.bfloat16).save_pretrained(temporary)
        for path in Path(temporary).iterdir():
            os.replace(path, folder / path.name)


def count_parameters(model: Sam2Model) -> int:
    """Count the weights."""
    return sum(parameter.numel() for parameter in model.parameters())
