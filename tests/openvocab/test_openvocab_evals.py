"""What measures open-vocabulary segmentation where there is no benchmark file to make: photographs, and Emblems."""

from dataclasses import replace

import numpy as np
import pytest
from oracle_labeller import play, with_context, with_oracle
from shared_data import SHARED, needs_shared

from evals.benchmarks import open_benchmark
from evals.benchmarks.emblems_semantic import open_emblems_vocabulary
from evals.emblems.frames import VOCABULARY, EmblemFrames
from evals.runs.spec import RunSpec
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from tools.segmenters import EMBEDDED

CAMVID = SHARED / "data/camvid"


@pytest.mark.slow
@needs_shared("data/camvid")
async def test_on_street_photographs_the_truth_scores_one_and_a_constant_the_chance_level() -> None:
    spec = RunSpec(benchmark="camvid", data=str(CAMVID), reasoning="off")
    benchmark = with_oracle(open_benchmark(spec))
    assert len(benchmark) == 101
    road = benchmark.dataset.vocabulary.places["road"]
    found = []
    for one in (benchmark, with_oracle(benchmark, constant=road)):
        rows = await play(one, spec)
        assert not any(row.error for row in rows)
        found.append({measure.name: measure.value for measure in one.measure(rows)})
    assert found[0]["mIoU"] == found[0]["mIoU, true or predicted classes"] == found[0]["pixel accuracy"] == 1.0
    truths = np.stack([benchmark.dataset[index].truth for index in range(101)])
    assert found[1]["mIoU"] == pytest.approx((truths == road).sum() / (truths >= 0).sum() / 11, abs=1e-9)


def test_frames_of_emblems_hold_what_their_labels_say() -> None:
    frames = EmblemFrames(5, 2)
    np.testing.assert_array_equal(frames[0].image(), EmblemFrames(5, 9)[0].image())
    for index in range(len(frames)):
        image, truth = frames[index].image(), frames[index].truth
        for place in np.unique(truth)[1:]:
            colour = VOCABULARY.classes[place].name.split()[1]
            red, _, blue = np.median(image[truth == place].reshape(-1, 3), axis=0)
            if colour in ("red", "orange"):
                assert red > blue
            if colour == "blue":
                assert blue > red
    with pytest.raises(IndexError):
        frames[2]


@pytest.mark.slow
@pytest.mark.skipif(not (has_weights(EMBEDDED_FOLDER) and has_weights(EMBEDDED)), reason="no shipped weights")
async def test_with_the_shipped_models_reasoning_helps_and_its_boxes_are_nearly_exact() -> None:
    spec = RunSpec(benchmark="emblems-semantic", seed=11, n=3, boxes=True)
    context = await open_emblems_vocabulary(spec, VOCABULARY, pictures=90, empty=2)
    benchmark = with_context(open_benchmark(spec), context)
    rows = await play(benchmark, spec)
    found = {measure.name: measure.value for measure in benchmark.measure(rows)}
    assert not any(row.error for row in rows)
    assert found["listing recall"] > 0.9
    assert found["mIoU, policy's boxes"] > 0.8
    assert found["mIoU, hard gating"] > found["mIoU, no prior"]
    # What is called "no prior" is what a run without reasoning gives.
    silent = replace(spec, n=1, reasoning="off", boxes=False)
    alone = await play(with_context(open_benchmark(silent), replace(context, policy=None)), silent)
    assert alone[0].details["counts"][""] == rows[0].details["counts"]["no prior"]
