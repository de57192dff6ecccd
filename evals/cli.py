"""`segscout eval`: how good is it, on benchmarks that anyone can run again."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from evals.contexts import make_context, open_policy
from evals.emblems.benchmark import ContextOf, benchmark_world, evaluate, make_tasks
from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.names import Split
from evals.emblems.scoring import EpisodeRecord
from evals.emblems.summary import summarise
from evals.emblems.tasks import EmblemTask
from graphs.context import Context
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import profile_for
from tools.errors import InputError, SegscoutError, boundary

app = typer.Typer(name="eval", help="Measure how good it is.", no_args_is_help=True)


@app.callback()
def evaluations() -> None:
    """Measure how good it is."""


@app.command()
def emblems(
    split: Annotated[str, typer.Option(help="train, val or test: no name of one is in another.")] = "test",
    seed: Annotated[int, typer.Option(help="Any seed gives fresh clips and fresh names.")] = 0,
    n: Annotated[int, typer.Option(help="How many tasks, the five abilities in turn.")] = 100,
    policy: Annotated[
        str, typer.Option(help="embedded, a folder, an address http://host:8000/v1, or oracle.")
    ] = "embedded",
    model: Annotated[str | None, typer.Option(help="Which of the models that the address serves.")] = None,
    profile: Annotated[str | None, typer.Option(help="What the checkpoint needs: embedded, qwen3-vl, …")] = None,
    segmenter: Annotated[str, typer.Option(help="sam2, grabcut, or exact (the true masks).")] = "sam2",
    sam2_model: Annotated[str | None, typer.Option(help="Another SAM 2: hub id or folder.")] = None,
    search: Annotated[bool, typer.Option("--search/--no-search", help="Whether it may look things up.")] = True,
    concurrency: Annotated[int, typer.Option(help="Episodes under way at once; more pays at an endpoint.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write one JSON object an episode here.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="SEGSCOUT_API_KEY", hidden=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object, last.")] = False,
) -> None:
    """Run the agent on Emblems: clips and names that were drawn for this seed and never seen before."""
    summary = asyncio.run(
        _emblems(split, seed, n, policy, model, profile, segmenter, sam2_model, search, concurrency, out, api_key)  # type: ignore[arg-type]
    )
    typer.echo(json.dumps(summary)) if as_json else Console().print(*_tables(summary), sep="\n")


async def _emblems(
    split: Split,
    seed: int,
    n: int,
    policy: str,
    model: str | None,
    profile: str | None,
    segmenter: str,
    sam2_model: str | None,
    search: bool,
    concurrency: int,
    out: Path | None,
    api_key: str | None,
) -> dict[str, Any]:
    tasks = make_tasks(split, seed, n)
    provider = EmblemSearch(benchmark_world(split, seed)) if search else None
    chosen = profile_for(policy, profile)
    player = ReplayPolicy(()) if policy == "oracle" else await open_policy(policy, model, api_key)
    # "exact" cuts with the clip's own masks, so what is loaded in its place must only be cheap.
    context = make_context(
        player,
        chosen,
        segmenter="grabcut" if segmenter == "exact" else segmenter,
        sam2_model=sam2_model,
        search=provider,
    )
    own = _per_task(context, oracle=policy == "oracle", exact=segmenter == "exact", seed=(split, seed))
    with _lines(out) as write, _progress(n) as show:

        def note(record: EpisodeRecord) -> None:
            write(json.dumps(asdict(record)))
            show(record)

        start = perf_counter()
        records = await evaluate(own, tasks, concurrency=concurrency, on_record=note)
        elapsed = perf_counter() - start
    return summarise(records, split=split, seed=seed, search=search) | {
        "episodes_per_second": round(n / elapsed, 3),
        "policy": player.name if policy != "oracle" else "oracle",
        "profile": chosen.name,
        "segmenter": segmenter,
        "concurrency": concurrency,
    }


def _per_task(context: Context, *, oracle: bool, exact: bool, seed: tuple[Split, int]) -> Context | ContextOf:
    """Give every task its own oracle or exact masks, if asked for."""
    if not oracle and not exact:
        return context

    def own(task: EmblemTask) -> Context:
        changed = context
        if oracle:
            frames, search = context.dialect.view.frames, context.search is not None
            player = oracle_policy(task, benchmark_world(*seed), frames=frames, search=search)
            changed = replace(changed, policy=player)
        return replace(changed, segmenter=ExactSegmenter(task.clip)) if exact else changed

    return own


@contextmanager
def _lines(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Write lines to a file as they come, so that a run cut short keeps what it has; nothing without a path."""
    if path is None:
        yield lambda line: None
        return
    with boundary(InputError, f"{path} cannot be written", remedy="Name a file in a folder that exists."):
        file = path.open("w", encoding="utf-8")
    with file:

        def write(line: str) -> None:
            file.write(f"{line}\n")
            file.flush()

        yield write


@contextmanager
def _progress(total: int) -> Iterator[Callable[[EpisodeRecord], None]]:
    """Show on standard error how far it is, how long it will take, and how it goes so far."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("emblems", total=total)
        seen: list[bool] = []

        def show(record: EpisodeRecord) -> None:
            seen.append(record.success)
            progress.update(bar, advance=1, description=f"success {sum(seen) / len(seen):.0%}")

        yield show


def _tables(summary: dict[str, Any]) -> tuple[Table, str]:
    table = Table(
        "ability", "n", "success", "95 %", "guessing", title=f"Emblems {summary['split']}, seed {summary['seed']}"
    )
    for name, row in {**summary["by_ability"], "all": summary}.items():
        low, high = row["ci95"]
        table.add_row(name, str(row["n"]), f"{row['success']:.1%}", f"{low:.1%} to {high:.1%}", f"{row['guess']:.1%}")
    masks = ""
    if summary["miou_present"] is not None:
        masks = (
            f"where there is a target, mIoU {summary['miou_present']:.3f} and J&F {summary['j_and_f_present']:.3f}; "
        )
    rest = (
        f"{masks}an episode takes {summary['searches_per_episode']:.2f} searches "
        f"and {summary['median_seconds']:.2f} s (median)"
    )
    return table, rest


def main() -> None:
    """Run `python -m evals.cli`; an error of ours is one line on standard error."""
    try:
        app(standalone_mode=True)
    except SegscoutError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
