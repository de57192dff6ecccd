import dataset_fixtures as make
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evals.datasets.image_masks import ImageMasks
from evals.datasets.mask_pictures import read_mask
from tools.errors import InputError, MediaError

TRUTH = make.block(20, 30, slice(4, 10), slice(6, 21))
LAYOUTS = [
    ("cod10k", "train", "Imgs", "GT"),
    ("cod10k", "train", "Image", "GT"),
    ("cod10k", "test", "Test/Image", "Test/GT_Object"),
    ("camo", "train", "Images/Train", "GT"),
    ("camo", "test", "Images/Test", "GT"),
    ("camo", "train", "Image", "GT"),
    ("duts", "train", "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
    ("duts", "train", "DUTS-TR-Image", "DUTS-TR-Mask"),
    ("duts", "test", "DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"),
    ("dis5k", "train", "DIS-TR/im", "DIS-TR/gt"),
    ("dis5k", "val", "DIS-VD/im", "DIS-VD/gt"),
    ("dis5k", "train", "im", "gt"),
    ("cod10k", "test", "COD10K/Imgs", "COD10K/GT"),
    ("camo", "test", "CAMO/Imgs", "CAMO/GT"),
    ("duts", "test", "DUTS-TE/im", "DUTS-TE/gt"),
    ("dut-omron", "test", "DUT-OMRON-image", "pixelwiseGT-new-PNG"),
    ("hku-is", "test", "imgs", "gt"),
    ("ecssd", "test", "images", "ground_truth_mask"),
    ("ecssd", "test", "Image", "Mask"),
    ("chameleon", "test", "Image", "GT"),
    ("chameleon", "test", "CHAMELEON/Imgs", "CHAMELEON/GT"),
    ("nc4k", "test", "Imgs", "GT"),
    ("nc4k", "test", "NC4K/Imgs", "NC4K/GT"),
]


def pair(data, pictures, masks, stem, truth=TRUTH):
    make.save(make.noise(*truth.shape), data / pictures / f"{stem}.jpg")
    return make.save((truth * 255).astype(np.uint8), data / masks / f"{stem}.png")


@pytest.mark.parametrize(("name", "split", "pictures", "masks"), LAYOUTS)
def test_the_published_folders_are_read(tmp_path, name, split, pictures, masks):
    for stem in ("b", "a"):
        pair(tmp_path, pictures, masks, stem)
    make.save(np.zeros((3, 3), np.uint8), tmp_path / masks / "other.png")  # CAMO has all masks in one folder
    source = ImageMasks(name, tmp_path, split)
    assert [sample.id for sample in source] == ["a", "b"]
    sample = source[0]
    assert sample.query == "all primary objects"
    assert np.array_equal(sample.masks(0)[0], TRUTH)
    assert sample.media[0].shape == (20, 30, 3)
    assert ImageMasks(name, tmp_path, split, 1, query="the animal")[0].query == "the animal"


@pytest.mark.parametrize(
    "mask",
    [
        TRUTH.astype(np.uint8),
        (TRUTH * 255).astype(np.uint8),
        np.where(TRUTH, 200, 90).astype(np.uint8),
        np.where(TRUTH, 128, 127).astype(np.uint8),
        TRUTH,
        np.where(TRUTH[..., None], (255, 0, 0), (0, 0, 0)).astype(np.uint8),
        np.dstack([TRUTH * 255, TRUTH * 255, TRUTH * 255, TRUTH * 255]).astype(np.uint8),
        (TRUTH * 65535).astype(np.uint16),
    ],
    ids=["0/1", "0/255", "grey", "the threshold itself", "1 bit", "red", "transparent", "16 bit"],
)
def test_masks_of_any_kind_are_read(tmp_path, mask):
    assert np.array_equal(read_mask(make.save(mask, tmp_path / "mask.png")), TRUTH)


def test_a_palette_and_a_jpeg_under_a_png_name_are_read(tmp_path):
    picture = PIL.Image.fromarray(TRUTH.astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png"), TRUTH)
    make.save((TRUTH * 255).astype(np.uint8), tmp_path / "jpeg.png", format="JPEG", quality=75)
    assert np.array_equal(read_mask(tmp_path / "jpeg.png"), TRUTH)


@settings(max_examples=50, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from([1, 255]))
def test_any_binary_mask_survives_its_file(tmp_path_factory, mask, top):
    path = tmp_path_factory.mktemp("one") / "mask.png"
    assert np.array_equal(read_mask(make.save((mask * top).astype(np.uint8), path)), mask)


def test_an_empty_mask_is_an_absent_target(tmp_path):
    pair(tmp_path, "im", "gt", "a", np.zeros((5, 5), bool))
    assert ImageMasks("dis5k", tmp_path)[0].masks(0) == ()


def test_cod10ks_pictures_without_an_animal_are_left_out_or_absent(tmp_path):
    pair(tmp_path, "Imgs", "GT", "COD10K-CAM-1-Aquatic")
    make.save(make.noise(20, 30), tmp_path / "Imgs" / "COD10K-NonCAM-1-Aquatic.jpg")
    assert [sample.id for sample in ImageMasks("cod10k", tmp_path)] == ["COD10K-CAM-1-Aquatic"]
    every = ImageMasks("cod10k", tmp_path, negatives=True)
    assert [sample.masks(0) == () for sample in every] == [False, True]


def test_a_mask_of_another_scale_is_fitted_and_of_another_form_refused(tmp_path):
    path = pair(tmp_path, "im", "gt", "a")
    doubled = TRUTH.repeat(2, 0).repeat(2, 1)
    make.save((doubled * 255).astype(np.uint8), path)
    assert np.array_equal(ImageMasks("dis5k", tmp_path)[0].masks(0)[0], TRUTH)
    make.save((TRUTH.T * 255).astype(np.uint8), path)
    with pytest.raises(MediaError, match="20x30"):
        ImageMasks("dis5k", tmp_path)[0]
    path.write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"a\.png"):
        ImageMasks("dis5k", tmp_path)[0]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="DUTS-TR-Image is missing") as error:
        ImageMasks("duts", tmp_path)
    assert "DUTS-TR/DUTS-TR-Image and DUTS-TR/DUTS-TR-Mask" in error.value.remedy
    path = pair(tmp_path, "im", "gt", "a")
    path.unlink()
    with pytest.raises(InputError, match=r"a\.png is missing, one of 1 masks"):
        ImageMasks("dis5k", tmp_path)
    (tmp_path / "im" / "a.jpg").unlink()
    with pytest.raises(InputError, match="no pictures"):
        ImageMasks("dis5k", tmp_path)
    for name, split in (("voc", "train"), ("duts", "dev"), ("ecssd", "train")):
        with pytest.raises(InputError, match="no image-mask data set"):
            ImageMasks(name, tmp_path, split)
