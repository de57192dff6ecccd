"""What is written down of an episode: plain values only, one row of a Parquet file.

Maps are written as JSON text where their keys differ from episode to episode, so that every file has the same columns.
"""

from typing import Literal

from typing_extensions import TypedDict

SCHEMA_VERSION = 1
Status = Literal["ok", "truncated", "error"]


class RecordedImage(TypedDict):
    """A picture of the token stream: its file by sha256, its size in pixels as the policy saw it, and its tokens."""

    sha256: str
    width: int
    height: int
    token_start: int
    token_len: int


class RecordedTurn(TypedDict):
    """A stretch of the token stream, `start` to `end`: what the policy sampled, or what it was shown.

    `node` is the node of the graph that made it; `seconds` is how long that took. `tool`, `query` and `cache_hit` tell
    of the search that an observation answers; `finish` is why sampling ended, `action` what the turn asked for.
    """

    kind: Literal["instruction", "policy", "observation"]
    node: str
    start: int
    end: int
    seconds: float
    finish: str
    action: str
    tool: str
    query: str
    cache_hit: bool
    text: str


class Record(TypedDict):
    """One episode.

    `input_ids` are whole, images expanded; `loss_mask` is 1 where the policy spoke; `logprobs` are the sampler's, 0
    elsewhere. `status`: "ok" if the policy answered, "truncated" if its budget ended first, "error" if a part of the
    system broke. `messages` is the conversation as JSON, pictures by reference; `rewards` are the components as JSON.
    """

    schema_version: int
    episode_id: str
    task_id: str
    group_id: str
    sample_index: int
    seed: int
    split: str
    ability: str
    query: str
    status: Status
    ending: str
    policy: str
    policy_version: int
    temperature: float
    top_p: float
    dialect: str
    prompt_len: int
    input_ids: list[int]
    loss_mask: list[int]
    logprobs: list[float]
    images: list[RecordedImage]
    turns: list[RecordedTurn]
    messages: str
    reward_name: str
    rewards: str
    reward: float
    success: bool
    metrics: str
    evidence: str
    versions: str
