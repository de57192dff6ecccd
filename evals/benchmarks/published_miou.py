"""Published mIoU of open-vocabulary segmentation, as OpenSeg-R (arXiv 2505.16974) and its baselines tell it."""

from evals.benchmarks.base import Published
from evals.benchmarks.scorers.semantic import MIOU, OCCURRING

_OPENSEG_R = "arXiv 2505.16974"
_TRAINED = "segments with a network trained on COCO-Stuff, and with synonyms chosen by hand"
_LMM = f"{_TRAINED}; reasons by Qwen2.5-VL-72B; classes that it does not name cannot win"
_SECOND_HAND = f"second-hand; {_TRAINED}"
_SETS = ("a-847", "pc-459", "a-150", "pc-59", "pas-20")
# Each by the measure that it compares with: OpenSeg-R's code divides by what occurs in truth or prediction.
_ROWS: tuple[tuple[str, str, str, str, tuple[float, ...]], ...] = (
    ("SED (B)", MIOU, "its README", _TRAINED, (0.112, 0.186, 0.318, 0.577, 0.944)),
    ("OpenSeg-R with SED (B)", OCCURRING, _OPENSEG_R, _LMM, (0.118, 0.189, 0.336, 0.590, 0.951)),
    ("MAFT+ (B)", MIOU, "its README", _TRAINED, (0.138, 0.162, 0.346, 0.575, 0.954)),
    ("OpenSeg-R with MAFT+ (B)", OCCURRING, _OPENSEG_R, _LMM, (0.152, 0.155, 0.355, 0.590, 0.961)),
    ("SED (L)", MIOU, "its README", _TRAINED, (0.137, 0.221, 0.353, 0.609, 0.961)),
    ("OpenSeg-R with SED (L)", OCCURRING, _OPENSEG_R, _LMM, (0.143, 0.220, 0.361, 0.612, 0.963)),
    ("MAFT+ (L)", MIOU, "its README", _TRAINED, (0.151, 0.216, 0.361, 0.594, 0.965)),
    ("OpenSeg-R with MAFT+ (L)", OCCURRING, _OPENSEG_R, _LMM, (0.168, 0.171, 0.371, 0.603, 0.962)),
    ("CAT-Seg (L)", MIOU, "arXiv 2303.11797", _SECOND_HAND, (0.160, 0.238, 0.379, 0.633, 0.970)),
    ("ESC-Net (L)", MIOU, "CVPR 2025", _SECOND_HAND, (0.181, 0.270, 0.418, 0.656, 0.983)),
)
_PC_459 = "; there the divisor matters most: others measure MAFT+ (B) at 0.146 with the other one"


def published_miou(benchmark: str) -> list[Published]:
    """Return what is published on one of the five sets; none on others."""
    if benchmark not in _SETS:
        return []
    column, more = _SETS.index(benchmark), _PC_459 if benchmark == "pc-459" else ""
    return [
        Published(system, "val", measure, values[column], source, caveat + more)
        for system, measure, source, caveat, values in _ROWS
    ]
