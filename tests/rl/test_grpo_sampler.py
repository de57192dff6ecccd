"""GRPO whose episodes a vLLM server samples: it gets the new weights before each step."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("trl", reason="needs the extra train")

import torch
from tiny_policy import read_weights
from token_server import encode, token_server, tokens

from graphs.conversation import Text, Turn
from graphs.dialects.seg_research import answer_turn
from graphs.policies.base import Sampling
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from graphs.policies.vllm_server import VLLMServer
from rl.grpo.recipe import GRPORecipe, SamplerPart, TasksPart
from rl.grpo.sampler import VLLMSampler, open_sampler
from rl.grpo.train import main, run
from tools.errors import InputError, PolicyError
from tools.image_store import ImageStore

pytestmark = pytest.mark.slow


def recipe(*urls: str, dtype: str = "float32", **sampler: bool) -> GRPORecipe:
    trl = {
        "num_generations": 2, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "max_steps": 2,
        "learning_rate": 1e-3, "gradient_checkpointing": False,
    }  # fmt: skip
    values = {
        "name": "served", "reproduces": "nothing", "needs": "a CPU", "policy": str(EMBEDDED_FOLDER),
        "profile": "embedded", "reward": "segscout", "seed": 3, "tasks": {"source": "emblems", "seed": 5, "n": 50},
        "parity_alarm": 100.0, "sampler": {"urls": urls, **sampler}, "trl": trl, "dtype": dtype,
    }  # fmt: skip
    return GRPORecipe.model_validate(values)


@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here")
def test_servers_sample_and_get_the_new_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSCOUT_API_KEY", "mine")
    with token_server() as server:
        server.says = [answer_turn(f"The one at {x}.", (0.1, 0.1, x, 0.4), (0.2, 0.2)) for x in (0.3, 0.5, 0.7, 0.9)]
        run(recipe(server.url), tmp_path, device="cpu")
        reloads = [request for path, request in server.calls if path == "/collective_rpc"]
    assert server.keys == {"Bearer mine"}
    served = tmp_path / "served"
    # Before the first episodes, for who knows what the server held, and again after the first step.
    assert [request["kwargs"]["weights_path"] for request in reloads] == [str(served)] * 2
    assert has_weights(served)
    assert (served / "tokenizer.json").is_file()
    # In 16 bits most of a small step would be rounded away, and the servers would go on with the old policy.
    assert {weight.dtype for weight in read_weights(served).values()} == {torch.float32}
    assert json.loads((served / "config.json").read_text())["dtype"] == "float32"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "reward" in line]
    assert len(steps) == 2
    assert steps[0]["episodes/answered"] == 1
    # the server makes its scores up (-0.125, -0.25, …), and the comparison sees it
    assert steps[0]["parity/mean"] > 0.5


@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here")
def test_a_trainer_that_computes_in_16_bits_serves_16_bits(tmp_path):
    with token_server() as server:
        server.says = [answer_turn("It.", (0.1, 0.1, x, 0.4), (0.2, 0.2)) for x in (0.3, 0.5)]
        once = recipe(server.url, dtype="bfloat16", coalesce=True)
        once.trl["max_steps"] = 1
        run(once, tmp_path, device="cpu")
        assert 2 in [request["sampling_params"]["n"] for request in server.requests]  # both of the group at once
    assert {weight.dtype for weight in read_weights(tmp_path / "served").values()} == {torch.bfloat16}


async def test_what_a_server_said_with_other_weights_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr("rl.grpo.sampler.save_trained", lambda *_, **__: None)
    accelerator = SimpleNamespace(is_main_process=False, wait_for_everyone=lambda: None)
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=1), accelerator=accelerator)
    with token_server() as server:
        ids = encode("<answer> none </answer>")
        server.says = [tokens(ids, named=[{token: 0.0} for token in ids])]
        sampler = VLLMSampler(
            SamplerPart(urls=(server.url,), branch=True), str(EMBEDDED_FOLDER), tmp_path, 0, torch.float32
        )
        asks = []
        for step in (1, 1, 2):
            trainer.state.global_step = step
            sampler.update(trainer)
            for seed in range(2):
                said = await sampler.policy.complete(
                    (Turn("user", (Text("hi"),)),),
                    ImageStore(),
                    max_tokens=50,
                    stop=("</answer>",),
                    sampling=Sampling(temperature=1.0, seed=seed),
                )
                assert said.token_ids == tuple(ids)
            asks.append(len(server.requests))
        await sampler.policy.close()
    assert asks == [1, 1, 2]


def test_a_run_does_not_log_every_turn_that_it_asks_for(caplog):
    with token_server() as server:
        for library in (None, "httpx", "httpx2"):
            caplog.set_level(logging.INFO, library)
        VLLMServer(server.url).greet(None)
        assert "HTTP Request" in caplog.text
        caplog.clear()
        with pytest.raises(InputError, match="no recipe"):
            main("nothing")
        VLLMServer(server.url).greet(None)
        assert caplog.text == ""


def test_turns_that_would_not_branch_are_refused(tmp_path):
    hot = recipe("http://localhost:1", branch=True)
    hot.trl["temperature"] = 0.7
    with pytest.raises(InputError, match=r"temperature 0\.7 do not branch"):
        run(hot, tmp_path, device="cpu")


@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here")
def test_what_is_missing_is_told_before_the_policy_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("rl.grpo.train.AutoModelForImageTextToText", None)
    with pytest.raises(PolicyError, match="localhost:1"):
        run(recipe("http://localhost:1"), tmp_path / "server", device="cpu")
    tasks = TasksPart.model_validate({"source": "ok-vos", "data": tmp_path / "not-here", "n": 5})
    for lacking in ({"tasks": tasks}, {"records": tmp_path / "not-here"}, {"knowledge": tmp_path / "not-here"}):
        with pytest.raises(InputError, match="not-here"):
            run(recipe().model_copy(update=lacking), tmp_path / "tasks", device="cpu")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_sampled_in_process_is_told(tmp_path, monkeypatch):
    class Config:
        model_type = "qwen2_5_vl"

    class Model:
        config = Config()

    with pytest.raises(InputError, match=r"sampled in process.*vLLM"):
        open_sampler(recipe(), "tiny", Model(), None, Path(tmp_path), 0)
    monkeypatch.setattr(Config, "model_type", "qwen3_vl")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="sharded"):
        open_sampler(recipe(), "tiny", Model(), None, Path(tmp_path), 0)
