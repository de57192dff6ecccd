"""CLIP and SigLIP from transformers as an encoder of masks: each mask is a crop whose surroundings are faded out.

Any checkpoint that transformers knows as a dual encoder, from a folder or the hub; needs no torchvision.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import cached_file

from tools.classifiers.base import ClassifierError, Rows, unit
from tools.devices import choose_device
from tools.errors import boundary
from tools.image_store import Image
from tools.segmenters.base import Mask
from tools.segmenters.prompts import box_of

_REMEDY = "Give a folder or a hub id of a CLIP or SigLIP checkpoint, such as openai/clip-vit-base-patch32."
_CHUNK = 64
_MOST_SCALE = 100.0
"""Published CLIP caps its learnt scale here."""


class ClipEncoder:
    """Encode masks as crops, and texts, with one dual encoder.

    A crop is the square around the mask's box, `margin` times its longer side wide; pixels outside the mask are blended
    towards the checkpoint's mean colour by `fade` (0: kept, 1: gone). Raises ClassifierError if it cannot be loaded.
    """

    def __init__(self, model: str, *, device: str | None = None, margin: float = 1.2, fade: float = 0.7) -> None:
        self.name = model
        self._device = choose_device(device)
        self._margin, self._fade = margin, fade
        with boundary(ClassifierError, f"cannot load {model}", remedy=_REMEDY):
            self._model: Any = AutoModel.from_pretrained(model, dtype=torch.float32).eval().to(self._device)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            settings = json.loads(Path(cached_file(model, "preprocessor_config.json")).read_text(encoding="utf-8"))
        kind = self._model.config.model_type
        if not hasattr(self._model, "get_text_features"):
            raise ClassifierError(f"{model} is a {kind} checkpoint, which has no text tower.", remedy=_REMEDY)
        self._sigmoid = kind.startswith("siglip")
        vision, text = self._model.config.vision_config, self._model.config.text_config
        self._side = int(vision.image_size)
        self._tokens = int(text.max_position_embeddings)
        self._mean, self._std = (
            torch.tensor(settings[key], device=self._device).view(3, 1, 1) for key in ("image_mean", "image_std")
        )
        self._fill = np.asarray(settings["image_mean"], np.float32) * 255
        self.scale = min(float(self._model.logit_scale.detach().exp()), _MOST_SCALE)

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """Encode texts: float32 (len(texts), dimension) of length 1; too long ones are cut."""
        rows = []
        with boundary(ClassifierError, f"{self.name} failed on text", remedy=_REMEDY), torch.inference_mode():
            for start in range(0, len(texts), _CHUNK):
                tokens = self._tokenizer(
                    list(texts[start : start + _CHUNK]),
                    # SigLIP was trained on texts of full length only.
                    padding="max_length" if self._sigmoid else True,
                    truncation=True,
                    max_length=self._tokens,
                    return_tensors="pt",
                ).to(self._device)
                rows.append(_vectors(self._model.get_text_features(**tokens)))
        return unit(np.concatenate(rows)) if rows else np.zeros((0, 1), np.float32)

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        """Encode boolean masks (height, width) of an RGB picture: float32 (len(masks), dimension) of length 1."""
        rows = []
        with boundary(ClassifierError, f"{self.name} failed on a picture", remedy=_REMEDY), torch.inference_mode():
            for start in range(0, len(masks), _CHUNK):
                crops = [self._crop(image, mask) for mask in masks[start : start + _CHUNK]]
                pixels = torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float() / 255
                rows.append(_vectors(self._model.get_image_features(pixel_values=(pixels - self._mean) / self._std)))
        return unit(np.concatenate(rows)) if rows else np.zeros((0, 1), np.float32)

    def _crop(self, image: Image, mask: Mask) -> Image:
        """Return the faded square around a mask, RGB uint8 (side, side, 3); an empty mask shows the whole picture."""
        height, width = mask.shape
        x1, y1, x2, y2 = box_of(mask) or (0.0, 0.0, float(width), float(height))
        half = max(x2 - x1, y2 - y1) * self._margin / 2
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        rows = slice(max(0, round(cy - half)), min(height, max(round(cy + half), round(cy - half) + 1)))
        columns = slice(max(0, round(cx - half)), min(width, max(round(cx + half), round(cx - half) + 1)))
        window = image[rows, columns].astype(np.float32)
        keep = np.where(mask[rows, columns], 1.0, 1.0 - self._fade)[..., None] if mask.any() else 1.0
        shown = np.asarray(self._fill + (window - self._fill) * keep + 0.5, np.uint8)
        return np.asarray(
            cv2.resize(_square(shown, self._fill), (self._side, self._side), interpolation=cv2.INTER_AREA)
        )


def _square(picture: Image, fill: "np.ndarray[Any, np.dtype[np.float32]]") -> Image:
    """Pad a picture to a square with one colour, so that nothing is stretched."""
    height, width = picture.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), fill.astype(np.uint8), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    return square


def _vectors(output: Any) -> Rows:
    """Return the pooled features; transformers wraps them since version 5."""
    pooled = output if isinstance(output, torch.Tensor) else output.pooler_output
    rows: Rows = pooled.float().cpu().numpy()
    return rows
