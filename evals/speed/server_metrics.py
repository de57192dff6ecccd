"""What a vLLM server says of its own work, as Prometheus text under /metrics."""

import re

import httpx2 as httpx

from graphs.policies.openai import is_loopback

_COUNTERS = {
    "process_cpu_seconds_total": "api_cpu",
    "http_requests_total": "http_requests",
    "vllm:request_queue_time_seconds_sum": "queue",
    "vllm:request_prefill_time_seconds_sum": "prefill",
    "vllm:request_decode_time_seconds_sum": "decode",
    "vllm:request_queue_time_seconds_count": "requests",
    "vllm:generation_tokens_total": "generated",
}
_LINE = re.compile(rf"^({'|'.join(_COUNTERS)})(?:\{{.*\}})? ([-+.\deE]+)$", re.MULTILINE)


def read_counters(url: str) -> dict[str, float]:
    """Return what the server at `url` has counted since it started, over all its engines; empty if it tells nothing.

    `api_cpu` is processor time of the process that answers HTTP, `http_requests` what it answered; `queue`, `prefill`
    and `decode` are seconds, summed over `requests`, one for each sample; `generated` counts tokens. Of a server
    started with `--disable-log-stats` only the first two.
    """
    try:
        reply = httpx.get(f"{url}/metrics", timeout=10.0, trust_env=not is_loopback(url))
    except httpx.HTTPError:
        return {}  # what is measured does not hang on it
    told: dict[str, float] = {}
    for name, value in _LINE.findall(reply.text if reply.is_success else ""):
        told[_COUNTERS[name]] = told.get(_COUNTERS[name], 0.0) + float(value)
    return told
