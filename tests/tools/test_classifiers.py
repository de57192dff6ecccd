"""Masks and words in one space: CLIP with random weights, words learnt from captions, masks of all that stands out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_checkpoint import save_clip
from transformers import CLIPModel

from tools.classifiers.base import ClassifierError, encode_phrases
from tools.classifiers.captioned import CaptionedEncoder, CaptionedMask, outline
from tools.classifiers.clip import ClipEncoder
from tools.errors import InputError
from tools.image_store import Image
from tools.segmenters.automatic import Proposals, grid_points, propose_masks
from tools.segmenters.base import Prompt, Segment


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


def test_clip_sees_the_mask_and_little_of_what_is_around_it(checkpoint: Path) -> None:
    image = np.full((40, 40, 3), 128, np.uint8)
    image[10:30, 10:30] = (255, 0, 0)
    other = image.copy()
    other[:10] = (0, 255, 0)
    mask = np.zeros((40, 40), np.bool_)
    mask[10:30, 10:30] = True
    full = np.ones((40, 40), np.bool_)
    gone = ClipEncoder(str(checkpoint), device="cpu", margin=1.0)
    rows = [gone.encode_masks(one, [mask, full]) for one in (image, other)]
    np.testing.assert_allclose(rows[0][0], rows[1][0], atol=1e-6)
    assert np.abs(rows[0][1] - rows[1][1]).max() > 1e-4
    np.testing.assert_allclose(np.linalg.norm(rows[0], axis=1), 1.0, atol=1e-5)
    part = mask & (np.arange(40) < 20)[:, None]
    for fade, same in ((1.0, True), (0.0, False)):
        encoder = ClipEncoder(str(checkpoint), device="cpu", fade=fade)
        pair = [encoder.encode_masks(one, [part]) for one in (image, other)]
        assert np.allclose(*pair, atol=1e-6) == same
    assert gone.encode_masks(image, []).shape[0] == 0


def test_clip_computes_what_transformers_computes(checkpoint: Path) -> None:
    encoder = ClipEncoder(str(checkpoint), device="cpu")
    model = CLIPModel.from_pretrained(checkpoint).eval()
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    pixels = (image / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    with torch.inference_mode():
        output = model(
            input_ids=torch.tensor([[2, 3, 5], [2, 4, 6]]),
            pixel_values=torch.from_numpy(pixels).float().permute(2, 0, 1)[None],
        )
    texts = encoder.encode_texts(["a red cat", "a blue dog"])
    masks = ClipEncoder(str(checkpoint), device="cpu", margin=1.0).encode_masks(image, [np.ones((32, 32), np.bool_)])
    np.testing.assert_allclose(texts, output.text_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(masks, output.image_embeds.numpy(), atol=1e-5)
    assert encoder.encode_texts(["a red cat dog of a red blue cat"]).shape == (1, 12)
    np.testing.assert_allclose(masks @ texts.T * encoder.scale, output.logits_per_image.numpy(), atol=1e-3)


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="cannot load"):
        ClipEncoder(str(tmp_path))


class Colours:
    """A picture's own pixels as features, at half the size."""

    def feature_maps(self, image: Image) -> list[torch.Tensor]:
        return [torch.from_numpy(image[::2, ::2].astype(np.float32)).permute(2, 0, 1)]


def drawn(colour: tuple[int, int, int], tall: bool, shift: int, noise: int) -> CaptionedMask:
    image = np.random.default_rng(noise).integers(90, 110, (48, 48, 3)).astype(np.uint8)
    mask = np.zeros((48, 48), np.bool_)
    mask[(slice(8 + shift, 38), slice(16, 26)) if tall else (slice(16, 26), slice(8, 38 - shift))] = True
    image[mask] = colour
    name = "red" if colour[0] > colour[2] else "blue"
    return CaptionedMask(image, mask, f"A {name} {'pole' if tall else 'bar'}.")


def test_words_are_learnt_from_captions_and_found_in_new_combinations() -> None:
    red, blue = (200, 20, 20), (20, 20, 200)
    seen = [drawn(c, t, s, s) for s in range(6) for c, t in ((red, True), (red, False), (blue, True))]
    encoder = CaptionedEncoder(Colours(), seen)
    never = drawn(blue, False, 2, 99)
    phrases = ["red pole", "red bar", "blue pole", "blue bar", "green unicorn"]
    rows = encode_phrases(encoder, phrases, ["{}"])
    likeness = (encoder.encode_masks(never.image, [never.mask]) @ rows.T)[0]
    assert phrases[int(likeness.argmax())] == "blue bar"
    assert likeness[4] == 0
    assert encoder.encode_masks(never.image, []).shape == (0, rows.shape[1])
    with pytest.raises(InputError, match="no captioned picture"):
        CaptionedEncoder(Colours(), [])


def test_an_outline_does_not_depend_on_size_and_place() -> None:
    small, large = np.zeros((60, 60), np.bool_), np.zeros((60, 60), np.bool_)
    small[3:13, 2:6] = True
    large[10:50, 30:46] = True
    np.testing.assert_allclose(outline(small), outline(large), atol=0.25)
    assert outline(np.zeros((9, 9), np.bool_)).sum() == 0


class Blocks:
    """Cuts the block of one colour out; the first look at the whole picture shaves off a row."""

    name = "blocks"

    def __init__(self, score: float = 0.9) -> None:
        self.looks: list[int] = []
        self.score = score

    def segment_whole(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        self.looks.append(len(prompts))
        found = [(image == image[int(p.points[0][1]), int(p.points[0][0])]).all(axis=2) for p in prompts]
        for mask in found:
            mask[np.flatnonzero(mask.any(axis=1))[0]] = False
        return [Segment(mask, self.score) for mask in found]

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        self.looks.append(len(prompts))
        centres = [((p.box[0] + p.box[2]) / 2, (p.box[1] + p.box[3]) / 2) for p in prompts if p.box]
        return [Segment((image == image[int(y), int(x)]).all(axis=2), self.score) for x, y in centres]


def test_each_thing_is_proposed_once_and_looked_at_closely() -> None:
    image = np.full((60, 60, 3), 50, np.uint8)
    image[10:26, 10:26] = 100
    image[34:50, 34:50] = 200
    segmenter = Blocks()
    found = propose_masks(segmenter, image, Proposals(points=6, share=0.5))  # type: ignore[arg-type]
    assert sorted(int(segment.mask.sum()) for segment in found) == [256, 256]
    assert segmenter.looks == [36, 2]
    assert propose_masks(Blocks(0.6), image, Proposals(points=6)) == []  # type: ignore[arg-type]
    assert grid_points((20, 40), 2) == [(10.0, 5.0), (30.0, 5.0), (10.0, 15.0), (30.0, 15.0)]
    with pytest.raises(InputError):
        Proposals(points=0)


def test_a_mask_that_holds_a_surer_one_is_dropped_unless_nesting_is_wanted() -> None:
    inner, outer = np.zeros((30, 30), np.bool_), np.zeros((30, 30), np.bool_)
    inner[5:15, 5:15] = True
    outer[2:25, 2:25] = True

    class Both:
        name = "both"

        def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
            return [Segment(inner, 0.95), Segment(outer, 0.9)]

    picture = np.zeros((30, 30, 3), np.uint8)
    for nested, count in ((0.6, 1), (1.0, 2)):
        rules = Proposals(points=1, pixels=20, nested=nested)
        assert len(propose_masks(Both(), picture, rules)) == count  # type: ignore[arg-type]
