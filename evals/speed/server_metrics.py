"""What a vLLM server says of its own seconds, as Prometheus text under /metrics."""

import re

import httpx2 as httpx

_COUNTERS = {
    "api_cpu": "process_cpu_seconds_total",
    "queue": "vllm:request_queue_time_seconds_sum",
    "prefill": "vllm:request_prefill_time_seconds_sum",
    "decode": "vllm:request_decode_time_seconds_sum",
    "requests": "vllm:request_queue_time_seconds_count",
}
_LINE = re.compile(r"^(\S+?)(?:\{.*\})? (\S+)$", re.MULTILINE)


def read_seconds(url: str) -> dict[str, float]:
    """Return what the server at `url` has counted since it started; what it does not tell is left out.

    `api_cpu` is processor time of the process that answers HTTP; `queue`, `prefill` and `decode` are summed over
    `requests`. Raises httpx.HTTPError if nobody answers.
    """
    reply = httpx.get(f"{url}/metrics", timeout=10.0)
    text = reply.text if reply.is_success else ""
    told: dict[str, float] = {}
    for name, value in _LINE.findall(text):
        told[name] = told.get(name, 0.0) + float(value)
    return {key: told[name] for key, name in _COUNTERS.items() if name in told}
