"""Load SAM 2 checkpoints through transformers, from the hub or a folder, and prepare pixels the way they expect.

Needs no torchvision: transformers' own image processor does, and does no more than this.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import interpolate
from transformers import AutoConfig, Sam2Model, Sam2VideoModel
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from tools.errors import SegmenterError, boundary
from tools.image_store import Image

_REMEDY = (
    "Give a folder with config.json and model.safetensors, or a hub id such as facebook/sam2.1-hiera-tiny "
    "(the first use downloads it; HF_HOME says where to); without any weights use the segmenter grabcut."
)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PixelRecipe:
    """How a checkpoint wants its pictures: square side in pixels, and mean and deviation of the 0..1 RGB values."""

    side: int
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD

    def tensor(self, image: Image) -> torch.Tensor:
        """Return the RGB picture (height, width, 3) stretched to the square and normalised, float32 (3, side, side).

        Resampled on the CPU in uint8 with antialiasing, as the published preprocessing is, so that every device
        sees the same pixels.
        """
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
        if pixels.shape[-2:] != (self.side, self.side):
            pixels = interpolate(pixels.contiguous(), size=(self.side, self.side), mode="bilinear", antialias=True)
        mean, std = torch.tensor(self.mean).view(3, 1, 1), torch.tensor(self.std).view(3, 1, 1)
        return (pixels[0].float() / 255 - mean) / std


class Sam2Checkpoint:
    """A SAM 2 checkpoint: its configuration now, its models when asked for.

    Reads two keys of ours from config.json: `segscout_window` (float, see tools/segmenters/window.py) and
    `segscout_propagation` ("memory" or "tracking").
    """

    def __init__(self, model: str) -> None:
        self.model = model
        folder = Path(model).expanduser()
        self.source = str(folder) if folder.is_dir() else model
        if not folder.is_dir() and (folder.is_absolute() or model.startswith((".", "~"))):
            raise SegmenterError(f"there is no SAM 2 checkpoint at {model}.", remedy=_REMEDY)
        with boundary(SegmenterError, f"cannot load SAM 2 from {model}", remedy=_REMEDY), _quiet():
            self.config: Any = AutoConfig.from_pretrained(self.source)
        if self.config.model_type not in ("sam2", "sam2_video"):
            raise SegmenterError(f"{model} is a {self.config.model_type} checkpoint, not SAM 2.", remedy=_REMEDY)
        with boundary(SegmenterError, f"cannot read the configuration of {model}", remedy=_REMEDY):
            self.recipe = self._recipe()
            window = getattr(self.config, "segscout_window", None)
            self.window = None if window is None else float(window)
            default = "memory" if self.config.model_type == "sam2_video" else "tracking"
            self.propagation = str(getattr(self.config, "segscout_propagation", None) or default)

    def image_model(self, device: torch.device) -> Any:
        """Load the `Sam2Model`, float32, in evaluation mode."""
        return self._load(Sam2Model, device)

    def video_model(self, device: torch.device, image_model: Any) -> Any:
        """Load the `Sam2VideoModel`; the picture encoder, by far its largest part, is shared with `image_model`."""
        video = self._load(Sam2VideoModel, device)
        video.vision_encoder = image_model.vision_encoder
        return video

    def _load(self, kind: Any, device: torch.device) -> Any:
        with boundary(SegmenterError, f"cannot load SAM 2 from {self.model}", remedy=_REMEDY), _quiet():
            loaded, info = kind.from_pretrained(
                self.source, config=self.config, dtype=torch.float32, output_loading_info=True
            )
            loaded = loaded.to(device).eval().requires_grad_(False)
        # transformers would go on with random numbers in place of what is missing.
        if info["missing_keys"]:
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise SegmenterError(f"{self.model} lacks weights of {kind.__name__}: {missing}, …", remedy=_REMEDY)
        return loaded

    def _recipe(self) -> PixelRecipe:
        size = self.config.prompt_encoder_config.image_size
        side = int(size if isinstance(size, int) else size[0])
        found = cached_file(
            self.source,
            "preprocessor_config.json",
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is None:
            return PixelRecipe(side)
        settings = json.loads(Path(found).read_text(encoding="utf-8"))
        return PixelRecipe(
            side,
            tuple(settings.get("image_mean") or _IMAGENET_MEAN),
            tuple(settings.get("image_std") or _IMAGENET_STD),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and notices off the terminal while loading; they say nothing actionable."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
