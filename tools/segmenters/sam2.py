"""SAM 2 for pictures, and the door to its two ways through a clip: trained memory, or tracking and re-prompting.

Knows prompts and masks; what a checkpoint is made of is in sam2_checkpoint.py, its memory in sam2_video.py.
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from torch.nn.functional import interpolate

from tools.devices import choose_device
from tools.errors import SegmenterError, boundary
from tools.image_store import Image, image_sha256
from tools.segmenters.base import Frames, Prompt, Segment
from tools.segmenters.prompts import (
    LabelledPoints,
    box_of,
    check_keyframe,
    check_prompts,
    group_by_count,
    labelled_points,
)
from tools.segmenters.sam2_checkpoint import Sam2Checkpoint
from tools.segmenters.sam2_video import propagate_by_memory
from tools.segmenters.tracking import propagate_by_tracking
from tools.segmenters.window import Window, whole_picture, window_for

CHUNK = 16
"""Objects decoded, or windows encoded, in one call; bounds memory when there are many."""

_RUN_REMEDY = "Try a smaller picture or another device, or the segmenter grabcut."


class Sam2Segmenter:
    """Any SAM 2 checkpoint behind the `Segmenter` protocol; pictures are encoded once for all their prompts."""

    name = "sam2"

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        window: float | None = None,
        propagation: Literal["memory", "tracking"] | None = None,
    ) -> None:
        """Load a hub id or local folder.

        `dtype` is the type computed in (weights stay float32); `window` and `propagation` override what the
        checkpoint's config.json says. Raises SegmenterError if it cannot be loaded.
        """
        self._checkpoint = Sam2Checkpoint(model)
        self._device = choose_device(device)
        self._dtype = dtype
        self.window = self._checkpoint.window if window is None else window
        self.propagation = propagation or self._checkpoint.propagation
        self._model: Any = self._checkpoint.image_model(self._device)
        self._video_model: Any = None
        self._loading = Lock()
        self._last: tuple[str, list[torch.Tensor]] | None = None

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that the model looks at."""
        return self._checkpoint.recipe.side

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt in one RGB picture, uint8 (height, width, 3); see `Segmenter.segment`."""
        check_prompts(prompts)
        if not prompts:
            return []
        with boundary(SegmenterError, "SAM 2 failed", remedy=_RUN_REMEDY), torch.inference_mode():
            if self.window is None:
                return self._segment_whole(image, prompts)
            return self._segment_windows(image, prompts, self.window)

    def segment_many(self, pairs: Sequence[tuple[Image, Prompt]]) -> list[Segment]:
        """Segment one prompt in each of many pictures, together where the checkpoint looks at windows of them.

        The same as `segment` picture by picture, but on a GPU many times faster. Raises what `segment` raises.
        """
        check_prompts([prompt for _, prompt in pairs])
        boxes = [prompt.box for _, prompt in pairs]
        if self.window is None or any(box is None for box in boxes):
            return [self.segment(image, [prompt])[0] for image, prompt in pairs]
        views = [window_for(box, self.window) for box in boxes if box is not None]
        with boundary(SegmenterError, "SAM 2 failed", remedy=_RUN_REMEDY), torch.inference_mode():
            return self._look([image for image, _ in pairs], [prompt for _, prompt in pairs], views)

    def segment_whole(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt, looking once at the whole picture whatever the checkpoint's window says.

        Coarser than `segment` on small objects, and many times faster for many prompts. Raises what `segment` raises.
        """
        check_prompts(prompts)
        with boundary(SegmenterError, "SAM 2 failed", remedy=_RUN_REMEDY), torch.inference_mode():
            return self._segment_whole(image, prompts)

    def feature_maps(self, image: Image) -> list[torch.Tensor]:
        """Return what the encoder sees in a whole picture: float32 (channels, height, width) a level, finest first.

        The picture that was segmented last is not encoded again. Raises SegmenterError if the model cannot run.
        """
        with boundary(SegmenterError, "SAM 2 failed", remedy=_RUN_REMEDY), torch.inference_mode():
            return [level[0] for level in self._embed_picture(image)]

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Segment each prompt of frame `keyframe` through the clip, both directions; see `Segmenter.propagate`."""
        check_prompts(prompts)
        check_keyframe(keyframe, len(frames))
        if self.propagation == "tracking":
            yield from propagate_by_tracking(self, frames, prompts, keyframe)
            return
        with self._loading:  # several episodes may come here at once, and one of them loads for all
            if self._video_model is None:
                self._video_model = self._checkpoint.video_model(self._device, self._model)
        recipe = self._checkpoint.recipe
        steps = propagate_by_memory(self._video_model, recipe, frames, prompts, keyframe, self._device, self._dtype)
        with boundary(SegmenterError, "SAM 2 failed on the clip", remedy=_RUN_REMEDY):
            yield from steps

    def _segment_whole(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Look at the whole picture, stretched to the model's square."""
        height, width = image.shape[:2]
        embeddings = self._embed_picture(image)
        scale = np.array([self.image_size / width, self.image_size / height], dtype=np.float32)
        points = [labelled_points(prompt) for prompt in prompts]
        points = [LabelledPoints(p.xy * scale, p.labels) for p in points]
        segments: dict[int, Segment] = {}
        for group in group_by_count(points):
            for some in _chunks(group):
                logits, scores = self._decode(embeddings, [[points[i] for i in some]])
                for place, index in enumerate(some):
                    # One at a time: full-size logits of many objects would not fit.
                    full = interpolate(logits[0, place][None, None], size=(height, width), mode="bilinear")
                    segments[index] = Segment((full[0, 0] > 0).cpu().numpy(), float(scores[0, place]))
        return [segments[index] for index in range(len(prompts))]

    def _segment_windows(self, image: Image, prompts: Sequence[Prompt], window: float) -> list[Segment]:
        """Look at one window per prompt; where only points are given, find the box in the whole picture first."""
        height, width = image.shape[:2]
        coarse = [index for index, prompt in enumerate(prompts) if prompt.box is None]
        prompts = list(prompts)
        found: dict[int, Segment] = {}
        if coarse:
            views = [whole_picture(height, width)] * len(coarse)
            found = dict(
                zip(coarse, self._look([image] * len(coarse), [prompts[i] for i in coarse], views), strict=True)
            )
            for index, segment in found.items():
                prompts[index] = Prompt(box_of(segment.mask), prompts[index].points, prompts[index].labels)
        fine = [(i, prompt, prompt.box) for i, prompt in enumerate(prompts) if prompt.box is not None]
        views = [window_for(box, window) for _, _, box in fine]
        looks = self._look([image] * len(fine), [prompt for _, prompt, _ in fine], views)
        found.update(zip((index for index, _, _ in fine), looks, strict=True))
        return [found[index] for index in range(len(prompts))]

    def _look(self, images: Sequence[Image], prompts: Sequence[Prompt], views: Sequence[Window]) -> list[Segment]:
        """Segment each prompt in its own window of its own picture."""
        side = self.image_size
        points = [labelled_points(prompt) for prompt in prompts]
        points = [LabelledPoints(v.to_crop(p.xy, side), p.labels) for p, v in zip(points, views, strict=True)]
        segments: dict[int, Segment] = {}
        for group in group_by_count(points):
            for some in _chunks(group):
                embeddings = self._embed([views[i].cut(images[i], side) for i in some])
                logits, scores = self._decode(embeddings, [[points[i]] for i in some])
                for place, index in enumerate(some):
                    height, width = images[index].shape[:2]
                    mask = views[index].paste(logits[place, 0].cpu().numpy(), height, width)
                    segments[index] = Segment(mask, float(scores[place, 0]))
        return [segments[index] for index in range(len(prompts))]

    def _embed_picture(self, image: Image) -> list[torch.Tensor]:
        """Return the embeddings of a whole picture, remembered until another picture comes."""
        key, last = image_sha256(image), self._last
        if last is None or last[0] != key:
            # Through a local name: another thread may remember another picture meanwhile.
            self._last = last = key, self._embed([image])
        return last[1]

    def _embed(self, images: Sequence[Image]) -> list[torch.Tensor]:
        """Return the feature maps of each level, (pictures, channels, height, width), finest first."""
        pixels = torch.stack([self._checkpoint.recipe.tensor(image) for image in images]).to(self._device)
        # Only the encoder, nearly all of the work, in the cheaper type: coordinates need more than bfloat16's 8 bits.
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            embeddings = self._model.get_image_embeddings(pixels)
        return [level.float() for level in embeddings]

    def _decode(
        self, embeddings: list[torch.Tensor], prompts: Sequence[Sequence[LabelledPoints]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mask logits (pictures, objects, h, w) at low resolution and scores (pictures, objects), float32.

        `prompts` holds the objects of each picture, all with the same number of points, in pixels of the square.
        """
        xy = torch.from_numpy(np.array([[p.xy for p in objects] for objects in prompts])).to(self._device)
        labels = torch.from_numpy(np.array([[p.labels for p in objects] for objects in prompts])).to(self._device)
        ambiguous = labels.shape[-1] == 1  # a single click may mean a part or the whole: ask for three masks
        output = self._model(
            image_embeddings=list(embeddings), input_points=xy, input_labels=labels, multimask_output=ambiguous
        )
        best = output.iou_scores.argmax(dim=-1, keepdim=True)
        height, width = output.pred_masks.shape[-2:]
        picked = best[..., None, None].expand(-1, -1, -1, height, width)
        logits = output.pred_masks.gather(2, picked)[:, :, 0]
        scores = output.iou_scores.gather(2, best)[:, :, 0]
        return logits.float(), scores.float().clamp(0, 1)


def _chunks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), CHUNK):
        yield indices[start : start + CHUNK]
