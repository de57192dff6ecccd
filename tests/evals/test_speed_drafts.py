"""With guesses the shipped policy says the same in fewer passes; how many seconds that saves, no test says."""

import pytest

from evals.speed.drafts import compare
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights


@pytest.mark.slow
@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="no shipped weights")
def test_the_same_is_said_in_fewer_passes() -> None:
    told = compare(3, 7)
    assert told["differing"] == 0
    plain, guessed, repeated = (told[way] for way in ("plain", "guessed", "repeated"))
    assert plain["tokens"] == guessed["tokens"] == repeated["tokens"]
    assert plain["tokens"] > plain["passes"] > guessed["passes"] > 2 * repeated["passes"] > 0
