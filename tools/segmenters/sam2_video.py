"""SAM 2's trained memory through a clip, in both directions from the keyframe, in bounded memory.

transformers' session keeps every frame and every output, and its processor has traps (overwritten inputs, emptied
caller lists, unprompted conditioning frames). So the session here decodes frames when the model asks for them, is
prompted directly for all objects at once, runs on the keyframe first, and forgets what attention cannot reach again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import interpolate
from transformers import Sam2VideoInferenceSession

from tools.segmenters.base import Frames, Prompt, Segment
from tools.segmenters.prompts import labelled_points
from tools.segmenters.sam2_checkpoint import PixelRecipe


class ClipSession(Sam2VideoInferenceSession):  # type: ignore[misc]
    """An inference session over `Frames` that decodes on demand and holds no frames."""

    def __init__(self, frames: Frames, recipe: PixelRecipe, device: torch.device) -> None:
        height, width = frames[0].shape[:2]
        super().__init__(video_height=height, video_width=width, inference_device=device, inference_state_device=device)
        self._frames, self._recipe = frames, recipe
        self.dtype = torch.float32

    @property
    def num_frames(self) -> int:
        """Length of the clip; the model normalises time by it, as if it held the whole video."""
        return len(self._frames)

    def get_frame(self, frame_idx: int) -> torch.Tensor:
        """Return the pixels of one frame, (3, side, side), on the inference device."""
        return self._recipe.tensor(self._frames[frame_idx]).to(self.inference_device)

    def prompt(self, prompts: Sequence[Prompt], keyframe: int) -> None:
        """Prompt every object on frame `keyframe`, in one go."""
        side = self._recipe.side
        scale = torch.tensor([side / self.video_width, side / self.video_height])
        for number, prompt in enumerate(prompts):
            points = labelled_points(prompt)
            inputs = {
                "point_coords": (torch.from_numpy(points.xy) * scale)[None, None],
                "point_labels": torch.from_numpy(points.labels)[None, None],
            }
            self.add_point_inputs(self.obj_id_to_idx(number), keyframe, inputs)
        self.obj_with_new_inputs = list(range(len(prompts)))

    def forget(self, frame: int, keyframe: int, config: Any, *, reverse: bool) -> None:
        """Drop what memory attention cannot reach any more once `frame` is done.

        It reaches back `num_maskmem` - 1 frames for features and `max_object_pointers_in_encoder` - 1 for object
        pointers. The backward pass starts at the keyframe and also looks at what the forward pass left there.
        """
        memory, pointers = config.num_maskmem - 1, config.max_object_pointers_in_encoder - 1
        for index, outputs in self.output_dict_per_obj.items():
            self.frames_tracked_per_obj[index].clear()
            for output in outputs["cond_frame_outputs"].values():
                output.pop("high_res_masks", None)
            tracked = outputs["non_cond_frame_outputs"]
            for place in list(tracked):
                age = place - frame + 1 if reverse else frame + 1 - place
                if not reverse and keyframe > 0:
                    age = min(age, place - keyframe + 1)
                tracked[place].pop("high_res_masks", None)
                tracked[place].pop("pred_masks", None)
                if age > memory:
                    tracked[place].pop("maskmem_features", None)
                    tracked[place].pop("maskmem_pos_enc", None)
                if age > max(memory, pointers):
                    del tracked[place]


def propagate_by_memory(
    model: Any,
    recipe: PixelRecipe,
    frames: Frames,
    prompts: Sequence[Prompt],
    keyframe: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[int, list[Segment]]]:
    """Yield (frame index, one Segment per prompt): the keyframe, then forward to the end, then backward to 0.

    `model` is a `Sam2VideoModel` with float32 weights; `dtype` is what it computes in. Scores are the probability
    that the object is in the frame at all; where it is not, the mask is empty.
    """
    if not prompts:
        yield from ((index, []) for index in range(len(frames)))
        return
    session = ClipSession(frames, recipe, device)
    session.prompt(prompts, keyframe)
    order = [(index, False) for index in range(keyframe, len(frames))]
    order += [(index, True) for index in reversed(range(keyframe))]
    for index, reverse in order:
        # The prompted frame in float32: coordinates need more than bfloat16's 8 bits.
        cheaper = dtype != torch.float32 and index != keyframe
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=cheaper):
            output = model(session, frame_idx=index, reverse=reverse)
            segments = _segments(output, session.video_height, session.video_width)
            session.forget(index, keyframe, model.config, reverse=reverse)
        yield index, segments


def _segments(output: Any, height: int, width: int) -> list[Segment]:
    """Return each object's mask at the clip's size, one upsampled at a time."""
    scores = output.object_score_logits.float().sigmoid().flatten().tolist()
    segments = []
    for logits, score in zip(output.pred_masks, scores, strict=True):
        full = interpolate(logits[None].float(), size=(height, width), mode="bilinear")
        segments.append(Segment((full[0, 0] > 0).cpu().numpy(), score))
    return segments
