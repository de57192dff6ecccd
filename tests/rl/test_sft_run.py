"""The embedded policy's own training, by recipe and from a checkpoint, as short as it can be."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Qwen3VLForConditionalGeneration

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from rl.sft.train import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here"),
]

RECIPE = """
name = "short"
reproduces = "nothing"
needs = "a CPU"
seed = 3
vocabulary = 2560
sigma = 3.0
workers = 1
matrix_optimizer = "adamw"
weight_decay = 0.0
log_every = 1
save_minutes = 10.0

[[stages]]
name = "only"
data = "trajectories"
steps = 1
minutes = 10.0
learning_rate = 1e-4
warmup = 1
rows = 2
length = 960
trained = 208
slots = { 448 = 2, 224 = 8, 128 = 4 }
mix = { one-hop = 1.0 }
careless = { needless = 0.5 }
"""


def test_a_run_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(RECIPE)
    main(str(tmp_path / "short.toml"), tmp_path / "out", "cpu", EMBEDDED_FOLDER)
    policy = tmp_path / "out" / "policy"
    assert (policy / "tokenizer.json").read_bytes() == (EMBEDDED_FOLDER / "tokenizer.json").read_bytes()
    assert (policy / "chat_template.jinja").is_file()
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    # Weights that were taken over know the task; random ones begin near 8.
    assert lines[0]["loss"] < 2
    before, after = (
        Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).state_dict()
        for folder in (EMBEDDED_FOLDER, policy)
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)
