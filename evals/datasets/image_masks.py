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

import numpy as np

from evals.datasets.base import Sample, at_most, on_picture
from evals.datasets.mask_pictures import fit_mask, read_mask
from tools.errors import InputError
from tools.media import open_media

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
