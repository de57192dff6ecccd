"""Episodes a second by the chat endpoint and by the token endpoint of vLLM servers, on the same kind of clips.

Run `python -m evals.speed.endpoints http://localhost:8000 [--tasks 64] [--group 8] [--concurrency 64] [--processes 4]`
beside a server of the embedded policy. Several addresses share the episodes: each process asks one of them. Nothing is
cut, so that policy and server are what is timed: chat sends every picture with every turn, tokens send it once;
`scored` are tokens with their log-probabilities, as training asks for them; `together` are tokens, a group's turns in
one request while they agree; `branched` are tokens, a group's turns decoded once until they part. With `--group 8`
eight episodes share a clip, as in training; `--group 1` gives every episode a clip of its own. Clips are drawn before
the clock starts; ask again with a higher `--first`, or the server has seen them. How fast a machine is changes within
minutes: `--rounds 3` asks all three times, in turn. Start the server with room for all pictures
(`--mm-processor-cache-gb`): chat beside tokens lost some on long runs of vLLM 0.25.
"""

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evals.speed.server_metrics import read_counters
from evals.speed.shares import NODES, WARM_UP, Endpoint, Gate, Played, Share, join, play, share_out
from tools.errors import InputError, SegscoutError


def compare(
    urls: Sequence[str],
    *,
    clips: int,
    group: int,
    concurrencies: Sequence[int],
    endpoints: Sequence[Endpoint],
    processes: int,
    rounds: int = 1,
    first: int = 0,
) -> Iterator[dict[str, Any]]:
    """Measure each endpoint at each concurrency, each on clips of its own, from clip `first` on, `rounds` times.

    Yields each as soon as it is measured, so that what fails later does not cost it.
    Raises InputError if there are more processes than clips or places, or servers of which some would be asked by more
    of them than others, PolicyError if a server cannot be asked.
    """
    urls = [*dict.fromkeys(url.rstrip("/") for url in urls)]
    if processes < 1 or processes % len(urls):
        raise InputError(
            f"{processes} processes cannot ask {len(urls)} servers alike.",
            remedy=f"Give --processes of {len(urls)} or a multiple.",
        )
    spans = range(first, first + 1_000_000, clips + processes * WARM_UP)
    cases = [*product(range(rounds), concurrencies, endpoints)]
    wanted = [
        share_out(Share(urls[0], endpoint, start, clips, group, concurrency), processes)
        for start, (_, concurrency, endpoint) in zip(spans, cases, strict=False)
    ]
    spawn = multiprocessing.get_context("spawn")
    gate = Gate(spawn.Semaphore(0), spawn.Event())
    with ProcessPoolExecutor(processes, spawn, initializer=join, initargs=(gate,)) as pool:
        for (number, *_), shares in zip(cases, wanted, strict=True):
            asked = [replace(share, url=urls[index % len(urls)]) for index, share in enumerate(shares)]
            yield {"round": number, **_measure(pool, gate, asked)}


def beside_chat(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with `times_chat`, how often as fast as chat of that round and concurrency each was, or None."""
    chat = {
        (row["round"], row["concurrency"]): row["episodes_per_second"]
        for row in rows
        if row["endpoint"] == Endpoint.CHAT.value
    }
    bases = [chat.get((row["round"], row["concurrency"])) for row in rows]
    return [
        {**row, "times_chat": round(row["episodes_per_second"] / base, 2) if base else None}
        for row, base in zip(rows, bases, strict=True)
    ]


def _measure(pool: ProcessPoolExecutor, gate: Gate, shares: Sequence[Share]) -> dict[str, Any]:
    gate.go.clear()
    playing = [pool.submit(play, share) for share in shares]
    try:
        _wait_for_all(gate, playing)
        before = _read_all(shares)
    finally:
        gate.go.set()  # also if one has failed: the others must not wait for ever
    played = [each.result() for each in playing]
    after = _read_all(shares)
    told = {key: after[key] - before[key] for key in before if key in after}
    return {
        "endpoint": shares[0].endpoint.value,
        "first": shares[0].first,
        "concurrency": sum(share.concurrency for share in shares),
        "group": shares[0].group,
        "processes": len(shares),
        "servers": len({share.url for share in shares}),
        **_summarise(played, told),
    }


def _read_all(shares: Sequence[Share]) -> dict[str, float]:
    """Return the sums of what every one of the servers counts."""
    first, *others = [read_counters(url) for url in sorted({share.url for share in shares})]
    return {key: sum((other[key] for other in others), first[key]) for key in first if all(key in o for o in others)}


def _wait_for_all(gate: Gate, playing: Sequence[Future[Played]]) -> None:
    """Return when all are warm; raises what went wrong in one that is not going to be."""
    for _ in playing:
        while not gate.ready.acquire(timeout=0.1):
            for each in playing:
                if each.done():
                    each.result()


def _summarise(played: Sequence[Played], told: dict[str, float]) -> dict[str, Any]:
    """Return episodes/s, how they ended, and where seconds went (means an episode; of the server, what it tells)."""
    endings = sum((each.endings for each in played), Counter[str]())
    count = endings.total()
    seconds = max(each.end for each in played) - min(each.start for each in played)
    return {
        "episodes": count,
        "episodes_per_second": round(count / seconds, 2),
        "turns": round(sum(each.turns for each in played) / count, 2),
        "success": round(sum(each.right for each in played) / count, 3),
        "endings": dict(endings),
        "client_seconds": round(sum(each.cpu for each in played) / count, 4),
        "server": {key: round(value / count, 4) for key, value in told.items()},
        "node_seconds": {node: round(sum(each.nodes[node] for each in played) / count, 4) for node in NODES},
    }


def main(
    urls: Annotated[list[str], typer.Argument(help="The servers, http://host:port.")],
    tasks: Annotated[int, typer.Option(help="Clips for each measurement.")] = 64,
    group: Annotated[int, typer.Option(help="Episodes of each clip.")] = 8,
    concurrency: Annotated[list[int] | None, typer.Option(help="Episodes under way at once; may be repeated.")] = None,
    endpoint: Annotated[list[Endpoint] | None, typer.Option(help="May be repeated; default: all.")] = None,
    processes: Annotated[int, typer.Option(help="Processes that play, each its share of the clips.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, in turn.")] = 1,
    first: Annotated[int, typer.Option(help="The first clip.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the endpoints of these servers."""
    measured: list[dict[str, Any]] = []
    try:
        for row in compare(
            urls,
            clips=tasks,
            group=group,
            concurrencies=concurrency or [16, 64, 256],
            endpoints=endpoint or list(Endpoint),
            processes=processes,
            rounds=rounds,
            first=first,
        ):
            measured.append(row)
    except SegscoutError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    finally:  # also if one failed or was interrupted: the others were measured
        if measured:
            _tell(beside_chat(measured), as_json)


def _tell(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    title = "round, endpoint, at once, episodes/s, x chat, turns, HTTP, client ms, API ms, plan s, reason s"
    table = Table(*title.split(", "))
    for row in rows:
        nodes, server = row["node_seconds"], row["server"]
        table.add_row(
            str(row["round"]), row["endpoint"], str(row["concurrency"]), str(row["episodes_per_second"]),
            str(row["times_chat"] or ""), str(row["turns"]), str(server.get("http_requests", "")),
            f"{1000 * row['client_seconds']:.1f}", f"{1000 * server.get('api_cpu', float('nan')):.1f}",
            f"{nodes['plan']:.3f}", f"{nodes['reason']:.3f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
