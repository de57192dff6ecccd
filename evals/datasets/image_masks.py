"""Pictures with a mask each and no query, on which Seg-R1 (arXiv 2506.22624) learns and is tested.

| name | folders below DATA, pictures and masks; as released first |
|---|---|
| cod10k | Train/Image, Train/GT_Object; Imgs or Image, GT |
| camo | Images/Train, GT; Imgs or Image, GT |
| duts | DUTS-TR/DUTS-TR-Image, DUTS-TR/DUTS-TR-Mask; or these two in DATA itself; DUTS-TR/im, DUTS-TR/gt |
| dis5k | DIS-TR/im, DIS-TR/gt; or im, gt |
| dut-omron | DUT-OMRON-image, pixelwiseGT-new-PNG |
| hku-is | imgs, gt |
| ecssd | images, ground_truth_mask |
| chameleon | Image, GT |
| nc4k | Imgs, GT |

Those with a split in their name are looked for first; TR and Train are "train", TE and Test "test" (DIS5K: VD is "val",
TE1 "test"). The last five have a "test" only, and may also lie in Imgs and GT, Image and GT, Image and Mask, or im and
gt; as others repack them. CAMO, CHAMELEON, COD10K and NC4K are also found in the folder that bears their name, as in
SINet's TestDataset. Pictures and masks belong together by their stems; the whole mask is one object.
"""

from pathlib import Path

import cv2
import numpy as np

from evals.datasets.base import Sample, at_most, on_picture
from tools.errors import InputError, MediaError, boundary
from tools.media import Limits, open_media
from tools.media.images import from_pillow, open_header
from tools.segmenters.base import Mask

QUERY = "all primary objects"
"""What Seg-R1's fixed prompt asks for."""
Pairs = tuple[tuple[str, str], ...]
_REPACKED: Pairs = (("Imgs", "GT"), ("Image", "GT"), ("Image", "Mask"), ("im", "gt"))
FOLDERS: dict[str, Pairs] = {
    "cod10k": (
        ("{long}/Image", "{long}/GT_Object"), ("{long}/Image", "{long}/GT"), ("Imgs", "GT"), ("Image", "GT"),
        ("COD10K/Imgs", "COD10K/GT"),
    ),
    "camo": (("Images/{long}", "GT"), ("Imgs", "GT"), ("Image", "GT"), ("CAMO/Imgs", "CAMO/GT")),
    "duts": (
        ("DUTS-{short}/DUTS-{short}-Image", "DUTS-{short}/DUTS-{short}-Mask"),
        ("DUTS-{short}-Image", "DUTS-{short}-Mask"),
        ("DUTS-{short}/im", "DUTS-{short}/gt"),
    ),
    "dis5k": (("DIS-{dis}/im", "DIS-{dis}/gt"), ("im", "gt")),
    "dut-omron": (("DUT-OMRON-image", "pixelwiseGT-new-PNG"), *_REPACKED),
    "hku-is": (("imgs", "gt"), *_REPACKED),
    "ecssd": (("images", "ground_truth_mask"), *_REPACKED),
    "chameleon": (("Image", "GT"), *_REPACKED, ("CHAMELEON/Imgs", "CHAMELEON/GT")),
    "nc4k": (*_REPACKED, ("NC4K/Imgs", "NC4K/GT")),
}  # fmt: skip
"""Data set → pairs of folders, best first."""
TEST_ONLY = frozenset({"dut-omron", "hku-is", "ecssd", "chameleon", "nc4k"})
"""Those that nobody trains on: they have no other split."""
_SPLITS = {
    "train": {"long": "Train", "short": "TR", "dis": "TR"},
    "val": {"long": "Val", "short": "VAL", "dis": "VD"},
    "test": {"long": "Test", "short": "TE", "dis": "TE1"},
}
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


class ImageMasks:
    """Read the pictures of such a data set with one query for all, in the order of their names.

    COD10K's pictures without a camouflaged animal (NonCAM) are left out, as Seg-R1 does; with `negatives` they are
    samples whose target is absent. InputError names a missing folder or mask, MediaError a broken picture.
    """

    def __init__(
        self,
        name: str,
        data: Path,
        split: str = "train",
        n: int | None = None,
        *,
        query: str = QUERY,
        negatives: bool = False,
    ) -> None:
        self.name, self.query = name, query
        pictures, masks = _folders(name, data, split)
        found, truths = _by_stem(pictures), _by_stem(masks)
        if not negatives:
            found = {stem: path for stem, path in found.items() if "NonCAM" not in stem}
        lacking = [stem for stem in found if stem not in truths and "NonCAM" not in stem]
        if lacking:
            raise InputError(
                f"{masks / lacking[0]}.png is missing, one of {len(lacking)} masks for pictures in {pictures}.",
                remedy="Unpack the data set again.",
            )
        self._pairs = [(path, truths.get(stem)) for stem, path in sorted(found.items())]
        if not self._pairs:
            raise InputError(f"there are no pictures in {pictures}.", remedy="Unpack the data set again.")
        self._count = at_most(len(self._pairs), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        path, mask_path = self._pairs[range(len(self))[index]]
        media = open_media(path)
        mask = np.zeros((media.height, media.width), np.bool_)
        if mask_path is not None:
            mask = fit_mask(read_mask(mask_path), media.height, media.width, mask_path)
        return Sample(path.stem, self.query, media.frames, on_picture(mask))


def read_mask(path: Path) -> Mask:
    """Read a mask picture as boolean (height, width), by its brightest channel; MediaError if it cannot be read.

    Where nothing is brighter than 1 the values are 0 and 1, and 1 is foreground. Else 128 and above is: exact for 0 and
    255, and the middle for grey edges, which resampling or JPEG (DIS5K after Seg-R1's own preparation) leave.
    """
    picture = open_header(path, Limits())
    if picture is None:
        raise MediaError(f"the mask {path} is no picture.", remedy="Unpack the data set again.")
    with picture, boundary(MediaError, f"the mask {path} cannot be read", remedy="Unpack the data set again."):
        # Without its transparency, which would be laid over white, and white is foreground.
        opaque = picture.convert("RGB") if picture.has_transparency_data else picture
        values = from_pillow(opaque, path.name, Limits()).max(axis=2)
    return np.asarray(values > 0 if values.max() <= 1 else values >= 128, np.bool_)


def fit_mask(mask: Mask, height: int, width: int, path: Path) -> Mask:
    """Resample a mask to its picture's size if only the scale differs, as for a few published ones; else MediaError."""
    if mask.shape == (height, width):
        return mask
    if abs(mask.shape[0] * width - mask.shape[1] * height) > 0.01 * mask.shape[0] * width:
        raise MediaError(
            f"the mask {path} has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}.",
            remedy="Remove the pair, or turn the picture as the mask is.",
        )
    fitted = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(fitted, np.bool_)


def _folders(name: str, data: Path, split: str) -> tuple[Path, Path]:
    splits = ("test",) if name in TEST_ONLY else tuple(_SPLITS)
    if name not in FOLDERS or split not in splits:
        raise InputError(
            f"there is no image-mask data set {name!r} with split {split!r}.",
            remedy=f"Choose one of {', '.join(FOLDERS)}, and one of {', '.join(splits)}.",
        )
    pairs = [(data / a.format(**_SPLITS[split]), data / b.format(**_SPLITS[split])) for a, b in FOLDERS[name]]
    for pictures, masks in pairs:
        if pictures.is_dir() and masks.is_dir():
            return pictures, masks
    wanted = "; ".join(f"{pictures.relative_to(data)} and {masks.relative_to(data)}" for pictures, masks in pairs)
    missing = next((path for path in pairs[0] if not path.is_dir()), pairs[0][0])
    raise InputError(f"{missing} is missing.", remedy=f"DATA must have one of these pairs of folders: {wanted}.")


def _by_stem(folder: Path) -> dict[str, Path]:
    """Map the stems of a folder's pictures to their paths; the first by name where a stem comes twice."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return {path.stem: path for path in reversed(paths)}
