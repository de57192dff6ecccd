"""Score a recorded token stream with a model: one plain forward pass of transformers."""

import torch

from graphs.policies.batching import BatchingPolicy
from rl.pictures import pixel_inputs
from rl.rows import TrainingRow


def logprobs_of(policy: BatchingPolicy, row: TrainingRow, *, temperature: float = 1.0) -> list[float]:
    """Return the log-probability of every token of a row after those before it; 0 for the first."""
    model, stream = policy.model, row.stream
    ids = torch.tensor([stream.ids], device=model.device)
    pixels = pixel_inputs([row], policy.chatml, model.device)
    with torch.inference_mode():
        logits = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == policy.chatml.image_pad).int(),
            **pixels,
        ).logits[0, :-1]
    scores = (logits.float() / temperature).log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    return [0.0, *scores.tolist()]
