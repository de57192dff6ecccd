"""`segscout eval`: how good is it, on benchmarks that anyone can run again."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evals.contexts import make_context, open_policy
from evals.emblems.benchmark import ContextOf, benchmark_world, evaluate, make_tasks
from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.names import Split, read_split
from evals.emblems.scoring import EpisodeRecord
from evals.emblems.summary import summarise
from evals.emblems.tasks import EmblemTask
from evals.progress import success_bar
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
        str, typer.Option(help="embedded, a folder, http://host:8000/v1, tokens+http://host:8000, or oracle.")
    ] = "embedded",
    model: Annotated[str | None, typer.Option(help="Which of the models that the address serves.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Folder or hub id of what tokens+http serves.")] = None,
    profile: Annotated[str | None, typer.Option(help="What the checkpoint needs: embedded, qwen3-vl, …")] = None,
    segmenter: Annotated[str, typer.Option(help="sam2, grabcut, or exact (the true masks).")] = "sam2",
    sam2_model: Annotated[str | None, typer.Option(help="Another SAM 2: hub id or folder.")] = None,
    search: Annotated[bool, typer.Option("--search/--no-search", help="Whether it may look things up.")] = True,
    concurrency: Annotated[int, typer.Option(help="Episodes under way at once; more pays at an endpoint.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write one JSON object an episode here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object, last.")] = False,
) -> None:
    """Run the agent on Emblems: clips and names that were drawn for this seed and never seen before."""
    options = EmblemsOptions(
        split=read_split(split),
        seed=seed,
        n=n,
        policy=policy,
        model=model,
        checkpoint=checkpoint,
        profile=profile,
        segmenter=segmenter,
        sam2_model=sam2_model,
        search=search,
        concurrency=concurrency,
        out=out,
    )
    summary = asyncio.run(run_emblems(options))
    typer.echo(json.dumps(summary)) if as_json else Console().print(*_tables(summary), sep="\n")


@dataclass(frozen=True, kw_only=True)
class EmblemsOptions:
    """What `segscout eval emblems` was asked."""

    split: Split
    seed: int
    n: int
    policy: str
    model: str | None
    checkpoint: str | None
    profile: str | None
    segmenter: str
    sam2_model: str | None
    search: bool
    concurrency: int
    out: Path | None

    @property
    def oracle(self) -> bool:
        """Whether each task is played by an oracle of its own."""
        return self.policy == "oracle"

    @property
    def exact(self) -> bool:
        """Whether each clip is cut by its own true masks."""
        return self.segmenter == "exact"


async def run_emblems(options: EmblemsOptions) -> dict[str, Any]:
    """Run the agent on the tasks asked for, showing how far it is, and return the summary."""
    tasks = make_tasks(options.split, options.seed, options.n)
    provider = EmblemSearch(benchmark_world(options.split, options.seed)) if options.search else None
    chosen = profile_for(options.policy, options.profile)
    player = (
        ReplayPolicy(())
        if options.oracle
        else await open_policy(options.policy, options.model, checkpoint=options.checkpoint)
    )
    # "exact" cuts with the clip's own masks, so what is loaded in its place must only be cheap.
    segmenter = "grabcut" if options.exact else options.segmenter
    context = make_context(player, chosen, segmenter=segmenter, sam2_model=options.sam2_model, search=provider)
    with _lines(options.out) as write, success_bar("emblems", options.n) as show:

        def note(record: EpisodeRecord) -> None:
            write(json.dumps(asdict(record)))
            show(record.success)

        start = perf_counter()
        own = _per_task(context, options)
        records = await evaluate(own, tasks, concurrency=options.concurrency, on_record=note)
        elapsed = perf_counter() - start
    return summarise(records, split=options.split, seed=options.seed, search=options.search) | {
        "episodes_per_second": round(options.n / elapsed, 3),
        "policy": "oracle" if options.oracle else player.name,
        "profile": chosen.name,
        "segmenter": options.segmenter,
        "concurrency": options.concurrency,
    }


def _per_task(context: Context, options: EmblemsOptions) -> Context | ContextOf:
    """Give every task its own oracle or exact masks, if asked for."""
    if not options.oracle and not options.exact:
        return context

    def own(task: EmblemTask) -> Context:
        changed = context
        if options.oracle:
            frames, search = context.dialect.view.frames, context.search is not None
            world = benchmark_world(options.split, options.seed)
            changed = replace(changed, policy=oracle_policy(task, world, frames=frames, search=search))
        return replace(changed, segmenter=ExactSegmenter(task.clip)) if options.exact else changed

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
