"""SAM 2 on pictures and clips: our adapter against transformers' own calls, with random weights."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sam2_models import TINY_SIDE, published_config, textured_clip, write_checkpoint
from torch.nn.functional import interpolate
from transformers import Sam2Model, Sam2VideoInferenceSession, Sam2VideoModel
from transformers.models.sam2_video.processing_sam2_video import Sam2VideoProcessor

from tools.errors import InputError, SegmenterError
from tools.segmenters import EMBEDDED, load_segmenter, sam2_video
from tools.segmenters.base import Prompt
from tools.segmenters.sam2 import Sam2Segmenter
from tools.segmenters.sam2_checkpoint import PixelRecipe

BOX = Prompt((18, 10, 40, 30))
CLICK = Prompt(None, ((20.0, 20.0),), (1,))
BOTH = Prompt((5, 5, 60, 45), ((10.0, 10.0), (20.0, 30.0)), (1, 0))


def reference_masks(model, recipe: PixelRecipe, image: np.ndarray, prompts: list[Prompt], **call) -> list[np.ndarray]:
    """Each prompt alone through transformers' own forward, boxes as boxes; all masks upsampled, then the best taken.

    What the first forward made of the picture serves the others: at the published size, encoding it takes seconds.
    """
    height, width = image.shape[:2]
    scale = torch.tensor([recipe.side / width, recipe.side / height])
    picture: dict[str, object] = {"pixel_values": recipe.tensor(image)[None]}
    masks = []
    for prompt in prompts:
        inputs = {}
        if prompt.box:
            inputs["input_boxes"] = (torch.tensor(prompt.box).view(2, 2) * scale).view(1, 1, 4)
        if prompt.points:
            inputs["input_points"] = (torch.tensor(prompt.points) * scale)[None, None]
            inputs["input_labels"] = torch.tensor(prompt.labels)[None, None]
        single = not prompt.box and len(prompt.points) == 1
        with torch.inference_mode():
            output = model(**picture, multimask_output=single, **inputs)
        picture = {"image_embeddings": list(output.image_embeddings)}
        full = interpolate(output.pred_masks[0], size=(height, width), mode="bilinear", align_corners=False) > 0
        masks.append(full[0, output.iou_scores[0, 0].argmax()].numpy())
    return masks


def reference_clip(model, recipe: PixelRecipe, frames: list[np.ndarray], prompts: list[Prompt], keyframe: int):
    """The whole clip through transformers' own session and iterators, nothing evicted; {frame: masks}."""
    height, width = frames[0].shape[:2]
    video = torch.stack([recipe.tensor(frame) for frame in frames])
    session = Sam2VideoInferenceSession(
        video=video,
        video_height=height,
        video_width=width,
        dtype=torch.float32,
        max_vision_features_cache_size=len(frames),  # the keyframe is looked at three times, and encoded once
    )
    processor = object.__new__(Sam2VideoProcessor)  # its constructor wants torchvision; prompts need none of it
    processor.point_pad_value, processor.target_size = -10, recipe.side
    processor.process_new_points_or_boxes_for_video_frame(
        session,
        keyframe,
        list(range(len(prompts))),
        input_boxes=[[list(prompt.box) for prompt in prompts]],
        original_size=(height, width),
    )
    results = {}
    model(session, frame_idx=keyframe)
    for reverse in (False, True):
        for output in model.propagate_in_video_iterator(session, start_frame_idx=keyframe, reverse=reverse):
            full = interpolate(output.pred_masks.float(), size=(height, width), mode="bilinear", align_corners=False)
            results[output.frame_idx] = [mask.numpy() > 0 for mask in full[:, 0]]
    return results


@pytest.fixture(scope="module")
def tiny(tiny_sam2) -> Sam2Segmenter:
    return Sam2Segmenter(tiny_sam2, device="cpu")


def test_ragged_prompts_in_one_call_equal_transformers_one_by_one(tiny, tiny_sam2):
    image = textured_clip(1)[0]
    prompts = [BOX, CLICK, BOTH, Prompt((30, 5, 60, 40)), Prompt(None, ((5.0, 5.0), (9.0, 40.0)), (1, 1))]
    expected = reference_masks(Sam2Model.from_pretrained(tiny_sam2).eval(), PixelRecipe(TINY_SIDE), image, prompts)
    segments = tiny.segment(image, prompts)
    for segment, mask in zip(segments, expected, strict=True):
        assert (segment.mask != mask).mean() < 1e-3
        assert segment.mask.dtype == np.bool_
        assert 0 <= segment.score <= 1
    assert len({segment.mask.tobytes() for segment in segments}) == len(prompts)


def test_a_picture_is_encoded_once_for_all_its_prompts(tiny_sam2, monkeypatch):
    segmenter = Sam2Segmenter(tiny_sam2, device="cpu")
    encoded = []
    embed = Sam2Segmenter._embed
    monkeypatch.setattr(Sam2Segmenter, "_embed", lambda self, images: encoded.append(1) or embed(self, images))
    one, other = textured_clip(2)
    segmenter.segment(one, [BOX, CLICK])
    segmenter.segment(one.copy(), [BOTH])
    assert len(encoded) == 1
    segmenter.segment(other, [BOX])
    assert len(encoded) == 2


def test_more_objects_than_fit_one_call(tiny):
    image = textured_clip(1)[0]
    prompts = [Prompt((x, 5, x + 20, 35)) for x in range(40)]
    together = tiny.segment(image, prompts)
    for index in (0, 17, 39):
        alone = tiny.segment(image, [prompts[index]])[0]
        assert (together[index].mask != alone.mask).mean() < 1e-3


def test_window_mode_sees_only_its_window(tiny_sam2, tmp_path):
    folder = shutil.copytree(tiny_sam2, tmp_path / "windowed")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "segscout_window": 1.5, "segscout_propagation": "tracking"})
    )
    segmenter = Sam2Segmenter(str(folder), device="cpu")
    assert (segmenter.window, segmenter.propagation) == (1.5, "tracking")
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    prompt = Prompt((100, 100, 160, 140), ((120.0, 120.0),), (1,))
    segment = segmenter.segment(image, [prompt])[0]
    rows, columns = np.nonzero(segment.mask)
    assert rows.size
    assert rows.min() >= 120 - 45
    assert rows.max() < 120 + 45
    assert columns.min() >= 130 - 45
    elsewhere = image.copy()
    elsewhere[:, 250:] = 0
    assert np.array_equal(segmenter.segment(elsewhere, [prompt])[0].mask, segment.mask)
    click = segmenter.segment(image, [CLICK, prompt])
    assert np.array_equal(click[1].mask, segment.mask)
    assert len(list(segmenter.propagate([image] * 3, [prompt], 1))) == 3


def test_window_mode_equals_transformers_on_the_crop(tiny_sam2):
    segmenter = Sam2Segmenter(tiny_sam2, device="cpu", window=2.0)
    image = textured_clip(1, 200, 240)[0]
    prompt = Prompt((60, 60, 92, 80))  # window: 64 pixels, the model's own size, so the crop is the picture itself
    crop = image[38:102, 44:108]
    moved = Prompt((16, 22, 48, 42))
    model = Sam2Model.from_pretrained(tiny_sam2).eval()
    expected = reference_masks(model, PixelRecipe(TINY_SIDE), crop, [moved])[0]
    mask = segmenter.segment(image, [prompt])[0].mask
    assert (mask[38:102, 44:108] != expected).mean() < 1e-3
    assert mask.sum() == mask[38:102, 44:108].sum()


@pytest.mark.parametrize("window", [None, 1.8])
def test_many_pictures_in_one_call_equal_one_by_one(tiny_sam2, window):
    segmenter = Sam2Segmenter(str(tiny_sam2), device="cpu", window=window)
    clip = textured_clip(20)
    prompts = [Prompt((5.0 + k, 8.0, 30.0 + k, 28.0 + k)) for k in range(20)]
    together = segmenter.segment_many(list(zip(clip, prompts, strict=True)))
    for image, prompt, segment in zip(clip, prompts, together, strict=True):
        [alone] = segmenter.segment(image, [prompt])
        assert (alone.mask != segment.mask).mean() < 1e-3
        assert alone.score == pytest.approx(segment.score, abs=1e-4)
    assert len(segmenter.segment_many([(clip[0], CLICK), (clip[1], BOX)])) == 2
    assert segmenter.segment_many([]) == []


def test_memory_propagation_equals_an_unbounded_session(tiny, tiny_sam2):
    frames, prompts = textured_clip(42), [BOX, Prompt((30, 5, 60, 40))]
    expected = reference_clip(
        Sam2VideoModel.from_pretrained(tiny_sam2).eval(), PixelRecipe(TINY_SIDE), frames, prompts, 20
    )
    seen = dict(tiny.propagate(frames, prompts, 20))
    assert list(seen) == [*range(20, 42), *reversed(range(20))]
    for index, segments in seen.items():
        for segment, mask in zip(segments, expected[index], strict=True):
            assert np.array_equal(segment.mask, mask), index
    assert 0.02 < np.mean([segments[0].mask.mean() for segments in seen.values()]) < 0.98


def test_concurrent_clips_load_the_memory_once(tiny_sam2, monkeypatch):
    segmenter = Sam2Segmenter(tiny_sam2, device="cpu", propagation="memory")
    load, loads = segmenter._checkpoint.video_model, []

    def slowly(*parts):
        loads.append(parts)
        time.sleep(0.3)
        return load(*parts)

    monkeypatch.setattr(segmenter._checkpoint, "video_model", slowly)
    frames = textured_clip(2)
    with ThreadPoolExecutor(3) as pool:
        clips = list(pool.map(lambda _: dict(segmenter.propagate(frames, [BOX], 0)), range(3)))
    assert len(loads) == 1
    assert all(np.array_equal(clip[1][0].mask, clips[0][1][0].mask) for clip in clips)


def test_forgetting_more_would_change_the_masks(tiny, monkeypatch):
    """The comparison above can tell: dropping memory that is still used is seen in the masks."""
    frames = textured_clip(20)
    whole = dict(tiny.propagate(frames, [BOX], 0))

    def forget_all(self, frame, keyframe, config, *, reverse):
        for outputs in self.output_dict_per_obj.values():
            outputs["non_cond_frame_outputs"].clear()

    monkeypatch.setattr(sam2_video.ClipSession, "forget", forget_all)
    poor = dict(tiny.propagate(frames, [BOX], 0))
    assert any(not np.array_equal(whole[i][0].mask, poor[i][0].mask) for i in whole)


def held_bytes(thing) -> int:
    if isinstance(thing, torch.Tensor):
        return thing.untyped_storage().nbytes()
    if isinstance(thing, dict):
        return sum(held_bytes(value) for value in thing.values())
    if isinstance(thing, list | tuple):
        return sum(held_bytes(value) for value in thing)
    return 0


def test_memory_stays_flat_over_300_frames(tiny, monkeypatch):
    held = []
    forget = sam2_video.ClipSession.forget

    def measured(self, *args, **kwargs):
        forget(self, *args, **kwargs)
        held.append(sum(held_bytes(value) for value in [*vars(self).values(), *vars(self.cache).values()]))

    monkeypatch.setattr(sam2_video.ClipSession, "forget", measured)
    frames = textured_clip(8)

    class Long:
        def __len__(self) -> int:
            return 300

        def __getitem__(self, index: int) -> np.ndarray:
            return frames[index % 8]

    count = sum(1 for _ in tiny.propagate(Long(), [BOX], 100))
    assert count == len(held) == 300
    filled = 2 * 16  # frames until every kind of memory is full, on both sides of the keyframe
    assert max(held[filled:]) <= max(held[:filled])


def test_no_prompts_and_bad_prompts(tiny):
    image = textured_clip(1)[0]
    assert tiny.segment(image, []) == []
    assert dict(tiny.propagate([image, image], [], 1)) == {0: [], 1: []}
    wrong = [
        Prompt(), Prompt((5, 5, 5, 9)), Prompt((9, 5, 5, 9)), Prompt((float("nan"), 0, 1, 1)),
        Prompt(None, ((1.0, 2.0),), ()), Prompt(None, ((1.0, 2.0),), (7,)),
    ]  # fmt: skip
    for prompt in wrong:
        with pytest.raises(InputError, match="prompt 0"):
            tiny.segment(image, [prompt])
    with pytest.raises(InputError, match="no frame 2"):
        list(tiny.propagate([image, image], [BOX], 2))


def test_cheaper_type_gives_nearly_the_same(tiny, tiny_sam2):
    image = textured_clip(1)[0]
    cheap = Sam2Segmenter(tiny_sam2, device="cpu", dtype=torch.bfloat16)
    for one, other in zip(tiny.segment(image, [BOX, BOTH]), cheap.segment(image, [BOX, BOTH]), strict=True):
        assert (one.mask != other.mask).mean() < 0.05
    assert len(list(cheap.propagate(textured_clip(3), [BOX], 1))) == 3


def test_what_cannot_be_loaded_says_why(tmp_path, tiny_sam2, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SegmenterError, match="no SAM 2 checkpoint"):
        Sam2Segmenter(str(tmp_path / "missing"))
    with pytest.raises(SegmenterError, match="cannot load"):
        Sam2Segmenter("segscout-tests/does-not-exist")
    with pytest.raises(SegmenterError, match="cannot load"):
        Sam2Segmenter(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(SegmenterError, match="bert checkpoint, not SAM 2"):
        Sam2Segmenter(str(tmp_path))
    with pytest.raises(InputError, match="no segmenter"):
        load_segmenter("magic")
    assert load_segmenter("sam2", tiny_sam2, "cpu").name == "sam2"
    assert load_segmenter("grabcut").name == "grabcut"


@pytest.mark.skipif((EMBEDDED / "config.json").is_file(), reason="the small SAM 2 is installed")
def test_missing_embedded_weights_name_the_remedy():
    with pytest.raises(SegmenterError, match="grabcut"):
        load_segmenter("sam2")


def test_image_only_checkpoint_tracks_and_does_not_invent_memory(tiny_sam2, tmp_path):
    model = Sam2Model.from_pretrained(tiny_sam2)
    model.config.model_type = "sam2"
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "sam2"}))
    segmenter = Sam2Segmenter(str(tmp_path), device="cpu")
    assert segmenter.propagation == "tracking"
    forced = Sam2Segmenter(str(tmp_path), device="cpu", propagation="memory")
    with pytest.raises(SegmenterError, match=r"lacks weights|cannot load"):
        list(forced.propagate(textured_clip(2), [BOX], 0))


def test_preprocessing_follows_the_checkpoint(tiny_sam2, tmp_path):
    folder = shutil.copytree(tiny_sam2, tmp_path / "checkpoint")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    recipe = Sam2Segmenter(str(folder), device="cpu")._checkpoint.recipe
    image = np.full((10, 10, 3), 51, dtype=np.uint8)
    assert torch.allclose(recipe.tensor(image), torch.full((3, TINY_SIDE, TINY_SIDE), 0.2))


@pytest.mark.parametrize("shape", [(150, 225, 3), (40, 30, 3), (1024, 700, 3)])
def test_preprocessing_equals_transformers(shape):
    pytest.importorskip("torchvision", reason="transformers' own image processor needs torchvision")
    from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor

    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = Sam2ImageProcessor()(image, return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(PixelRecipe(1024).tensor(image), expected, atol=1e-5)


@pytest.mark.slow
def test_published_size_equals_transformers_on_picture_and_clip(tmp_path):
    folder = write_checkpoint(tmp_path / "published", published_config())
    frames = textured_clip(3, 270, 480)
    prompts = [Prompt((60, 40, 240, 200))]
    segmenter, recipe = Sam2Segmenter(folder, device="cpu"), PixelRecipe(1024)
    ragged = [Prompt((60, 40, 240, 200), ((100.0, 90.0),), (1,)), Prompt(None, ((100.0, 90.0),), (1,))]
    expected = reference_masks(Sam2Model.from_pretrained(folder).eval(), recipe, frames[0], ragged)
    for segment, mask in zip(segmenter.segment(frames[0], ragged), expected, strict=True):
        assert (segment.mask != mask).mean() < 1e-4
        assert 0.001 < mask.mean() < 0.999
    clip = reference_clip(Sam2VideoModel.from_pretrained(folder).eval(), recipe, frames, prompts, 1)
    for index, segments in segmenter.propagate(frames, prompts, 1):
        for segment, mask in zip(segments, clip[index], strict=True):
            assert (segment.mask != mask).mean() < 1e-4
