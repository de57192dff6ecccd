"""`segscout`: the root command. Every command imports what it needs when it runs, so that help comes at once."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from agent import completion
from evals.runs.choosing import Concurrency, EngineName, GpusPerWorker, RayAddress, Workers
from tools.loading import loading

_MOUNTED = {
    "eval": ("evals.cli", "Measure how good it is."),
    "rl": ("rl.cli", "Train the policy on the graph's own episodes."),
}
"""Groups of commands that live on other floors: the module that holds their `app`, and what they are for."""


class LazyGroup(TyperGroup):
    """A group that imports mounted groups only when they are called for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, mounted ones last."""
        return [*super().list_commands(ctx), *_MOUNTED]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; of a mounted group no more than what help and completion list."""
        if cmd_name in _MOUNTED:
            return TyperGroup(name=cmd_name, help=_MOUNTED[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called for, imported if it is a mounted group."""
        if args and args[0] in _MOUNTED:
            with loading():
                module = import_module(_MOUNTED[args[0]][0])
            return args[0], typer.main.get_command(module.app), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"max_content_width": 100}
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line of standard output.")]
Out = Annotated[Path, typer.Option(help="Folder for pictures, masks, trace and result.", file_okay=True)]

# The parts of an agent and its budget; None is "not said", so the settings or the profile decide.
Policy = Annotated[
    str | None,
    typer.Option(
        help="embedded, an address http://host:8000/v1, or a checkpoint folder.", autocompletion=completion.policies
    ),
]
Model = Annotated[str | None, typer.Option(help="Which of the endpoint's models.")]
Profile = Annotated[
    str | None,
    typer.Option(help="embedded, qwen3-vl, native, vision-reasoner-7b, …", autocompletion=completion.profiles),
]
Dialect = Annotated[
    str | None,
    typer.Option(help="Another way of talking than the profile's.", autocompletion=completion.dialects),
]
Segmenter = Annotated[str | None, typer.Option(help="sam2 or grabcut.", autocompletion=completion.segmenters)]
Sam2Model = Annotated[str | None, typer.Option(help="A SAM 2 checkpoint: hub id or folder.")]
KnowledgeBase = Annotated[Path | None, typer.Option(help="A knowledge base folder in Seg-ReSearch's format.")]
Search = Annotated[
    str | None,
    typer.Option(
        help="kb, tavily, serper or duckduckgo; default: kb where there is a knowledge base.",
        autocompletion=completion.searches,
    ),
]
SearchCache = Annotated[
    Literal["record", "replay", "off"] | None,
    typer.Option(help="Record what the web answers, or replay it and send nothing; default: off."),
]
SearchFolder = Annotated[Path | None, typer.Option(help="Where recordings and pictures lie; default runs/search.")]
SearchCalls = Annotated[
    int | None, typer.Option(min=1, help="Requests that a run may send to the web search; default 200.")
]
ReadPages = Annotated[
    bool | None, typer.Option("--read-pages/--no-read-pages", help="Read the pages of the texts found; default: no.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1; default: the first GPU.", autocompletion=completion.devices)
]
Turns = Annotated[int | None, typer.Option(min=1, help="Turns of the policy; default: the profile's.")]
Searches = Annotated[int | None, typer.Option(min=0, help="Searches; default: the profile's.")]
Tokens = Annotated[int | None, typer.Option(min=16, help="Tokens of all turns; default: the profile's.")]
Seconds = Annotated[float | None, typer.Option(min=0, help="Seconds for all turns; default: the profile's.")]
Checkpoints = Annotated[
    Path | None, typer.Option(help="SQLite file in which threads are kept; default runs/checkpoints.db.")
]
KeptQuestions = Annotated[
    Path | None, typer.Option(help="SQLite file in which the runs of --clarify are kept; default: in memory.")
]
ClarifyOption = Annotated[
    bool,
    typer.Option("--clarify", help="Ask which one is meant if the policy's answers disagree; costs 4 more answers."),
]


def _show_version(value: bool) -> None:
    if value:
        from agent.versions import segscout_version

        typer.echo(f"segscout {segscout_version()}")
        raise typer.Exit


@app.callback(epilog="Settings: SEGSCOUT_POLICY, SEGSCOUT_API_KEY, … in the environment or in .env.")
def segscout(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Describe anything, even what must be looked up first, and get its mask, with the evidence."""
    # Help must come whatever the settings are, and doctor says itself what is wrong with them.
    if context.invoked_subcommand != "doctor" and "--help" not in sys.argv:
        from agent.telemetry import start_telemetry
        from tools.settings import read_settings

        start_telemetry(read_settings())


@app.command()
def demo(
    clip: Annotated[int, typer.Option(min=0, help="Which test clip; 0 asks for a cup's winner.")] = 0,
    out: Out = Path("runs/demo"),
    as_json: Json = False,
) -> None:
    """Look up who bears an emblem, find it in a clip, cut it out; then score it against the exact mask."""
    with loading():
        from agent.commands.demo import run_demo

    run_demo(clip, out, as_json=as_json)


@app.command()
def segment(
    media: Annotated[str, typer.Argument(help="An image or a video file.")],
    query: Annotated[str, typer.Argument(help="What to find; may be left out with --box.")] = "",
    policy: Policy = None,
    model: Model = None,
    profile: Profile = None,
    dialect: Dialect = None,
    segmenter: Segmenter = None,
    sam2_model: Sam2Model = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,X,Y", help="Skip the policy, cut this box; may be repeated.")
    ] = None,
    frame: Annotated[int, typer.Option(min=0, help="The frame of a video that --box speaks of.")] = 0,
    kb: KnowledgeBase = None,
    search: Search = None,
    search_cache: SearchCache = None,
    search_folder: SearchFolder = None,
    search_calls: SearchCalls = None,
    read_pages: ReadPages = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default runs/segment/NAME.")] = None,
    turns: Turns = None,
    searches: Searches = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    thread: Annotated[
        str | None, typer.Option(metavar="ID", help="Keep the run under this name; the same again goes on with it.")
    ] = None,
    checkpoints: Checkpoints = None,
    clarify: ClarifyOption = False,
    choice: Annotated[
        int | None, typer.Option(min=0, help="Answer the question of --thread; 0 for none of the choices.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what QUERY describes in MEDIA and cut it out, looking up what must be looked up."""
    from agent.commands.request import Request, ThreadRequest, check_request, given
    from tools.search.choosing import SearchRequest

    parts = (policy, model, profile, dialect, segmenter, sam2_model)
    searching = SearchRequest(search, kb, search_cache, search_folder, search_calls, read_pages)
    limits = given(turns=turns, searches=searches, tokens=tokens, seconds=seconds)
    kept = ThreadRequest(thread, checkpoints, clarify, choice)
    request = Request(media, query, *parts, box or [], frame, searching, device, out, limits, kept)
    checked = check_request(request)  # before the heavy imports, so that a slip is told at once

    with loading():
        from agent.commands.segment import run_segment

    run_segment(request, checked, as_json=as_json)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of pictures and clips.")],
    query: Annotated[list[str], typer.Option(help="What to find in each of them; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The COCO file to write; beside it is kept what is done.")],
    recursive: Annotated[bool, typer.Option("--recursive", help="Label the folders in it, too.")] = False,
    engine: EngineName = "local",
    concurrency: Concurrency = 1,
    workers: Workers = None,
    ray_address: RayAddress = None,
    gpus_per_worker: GpusPerWorker = None,
    policy: Policy = None,
    model: Model = None,
    profile: Profile = None,
    dialect: Dialect = None,
    segmenter: Segmenter = None,
    sam2_model: Sam2Model = None,
    kb: KnowledgeBase = None,
    search: Search = None,
    search_cache: SearchCache = None,
    search_folder: SearchFolder = None,
    search_calls: SearchCalls = None,
    read_pages: ReadPages = None,
    device: Device = None,
    turns: Turns = None,
    searches: Searches = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    as_json: Json = False,
) -> None:
    """Find what every --query describes in every picture and clip of DIR; the same again goes on where it stopped."""
    from agent.commands.request import Request, given
    from agent.labelling.files import find_files
    from agent.labelling.job import LabelJob
    from agent.labelling.plan import check_queries
    from evals.runs.choosing import choose_engine
    from tools.search.choosing import SearchRequest

    chosen = choose_engine(engine, concurrency, workers, ray_address, gpus_per_worker)
    job = LabelJob(folder, find_files(folder, recursive=recursive), check_queries(query), out)
    job.check()  # before the heavy imports, so that a slip is told at once
    parts = (policy, model, profile, dialect, segmenter, sam2_model)
    searching = SearchRequest(search, kb, search_cache, search_folder, search_calls, read_pages)
    limits = given(turns=turns, searches=searches, tokens=tokens, seconds=seconds)

    from agent.commands.label import run_label

    run_label(job, Request("", "", *parts, [], 0, searching, device, None, limits), chosen, as_json=as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients must send; else SEGSCOUT_SERVER_KEY.")
    ] = None,
    fetch: Annotated[bool, typer.Option(help="Follow the public http and https URLs that requests name.")] = True,
    running: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 4,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait for their run.")] = 256,
    policy: Policy = None,
    model: Model = None,
    profile: Profile = None,
    dialect: Dialect = None,
    segmenter: Segmenter = None,
    sam2_model: Sam2Model = None,
    kb: KnowledgeBase = None,
    search: Search = None,
    search_cache: SearchCache = None,
    search_folder: SearchFolder = None,
    search_calls: SearchCalls = None,
    read_pages: ReadPages = None,
    device: Device = None,
    turns: Turns = None,
    searches: Searches = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    checkpoints: KeptQuestions = None,
    clarify: ClarifyOption = False,
) -> None:
    """Serve the agent to chat clients (OpenAI's protocol, at /v1) and to programs (uploads, at /v1/segment)."""
    from agent.commands.listening import listen
    from agent.commands.request import Request, ThreadRequest, given
    from tools.search.choosing import SearchRequest

    listening = listen(host, port, api_key_file)  # before the heavy imports, so that a slip is told at once
    parts = (policy, model, profile, dialect, segmenter, sam2_model)
    searching = SearchRequest(search, kb, search_cache, search_folder, search_calls, read_pages)
    limits = given(turns=turns, searches=searches, tokens=tokens, seconds=seconds)
    kept = ThreadRequest(checkpoints=checkpoints, clarify=clarify, serves=True)
    kept.check()
    request = Request("", "", *parts, [], 0, searching, device, None, limits, kept)

    with loading():
        from agent.commands.serve import run_serve

    run_serve(listening, request, fetch=fetch, running=running, waiting=waiting)


@app.command()
def mcp(
    media_root: Annotated[
        Path | None, typer.Option(help="The folder whose files calls may name; without it, none.")
    ] = None,
    fetch: Annotated[bool, typer.Option(help="Follow the public http and https URLs that calls name.")] = True,
    http: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve at this port of this machine instead, to all its users; 0: a free one."
        ),
    ] = None,
    policy: Policy = None,
    model: Model = None,
    profile: Profile = None,
    dialect: Dialect = None,
    segmenter: Segmenter = None,
    sam2_model: Sam2Model = None,
    kb: KnowledgeBase = None,
    search: Search = None,
    search_cache: SearchCache = None,
    search_folder: SearchFolder = None,
    search_calls: SearchCalls = None,
    read_pages: ReadPages = None,
    device: Device = None,
    turns: Turns = None,
    searches: Searches = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
) -> None:
    """Offer the agent as tools of the Model Context Protocol: on standard input and output, or with --http."""
    with loading():
        from agent.commands.mcp import check_mcp, run_mcp
    from agent.commands.request import Request, given
    from tools.search.choosing import SearchRequest

    sock = check_mcp(media_root, http)  # before the heavy parts, so that a slip is told at once
    parts = (policy, model, profile, dialect, segmenter, sam2_model)
    searching = SearchRequest(search, kb, search_cache, search_folder, search_calls, read_pages)
    limits = given(turns=turns, searches=searches, tokens=tokens, seconds=seconds)
    run_mcp(Request("", "", *parts, [], 0, searching, device, None, limits), media_root, sock, fetch=fetch)


@app.command()
def replay(
    rollouts: Annotated[Path, typer.Argument(help="A folder of records, or rollouts of Seg-ReSearch as JSON lines.")],
    dialect: Annotated[
        str,
        typer.Option(help="The dialect that reads rollouts; records name theirs.", autocompletion=completion.dialects),
    ] = "seg-research",
    as_json: Json = False,
) -> None:
    """Feed recorded turns through a dialect, and compare with what the recorded run acted on."""
    from agent.commands.replay import run_replay

    run_replay(rollouts, dialect, as_json=as_json)


@app.command()
def profiles(
    name: Annotated[
        str | None, typer.Argument(help="Tell all of this one.", autocompletion=completion.profiles)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what each public checkpoint needs: dialect, sizes, budget, and the vllm line that serves it."""
    from agent.commands.profiles import run_profiles

    run_profiles(name, as_json=as_json)


@app.command()
def doctor(
    policy: Annotated[
        str | None,
        typer.Option(help="Try this policy: is it there, does it take a picture?", autocompletion=completion.policies),
    ] = None,
    model: Model = None,
    search: Annotated[
        str | None,
        typer.Option(help="Check this search; with --live, ask it once.", autocompletion=completion.searches),
    ] = None,
    kb: KnowledgeBase = None,
    live: Annotated[bool, typer.Option("--live", help="Send one query to --search, which may cost money.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each answer.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Say what is installed, what is missing for which feature, and the command that mends it; try what is named."""
    from agent.commands.doctor import Preflight, run_doctor

    run_doctor(Preflight(policy, model, search, kb, live, seconds), as_json=as_json)


def main() -> None:
    """Run the command line; every failure is one line and an exit code, see `agent.reporting`."""
    from agent.reporting import guarded

    # Taken out here, so that they hold for mounted commands too, which know nothing of them.
    debug, as_json = "--debug" in sys.argv, "--json" in sys.argv
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(guarded(lambda: app(prog_name="segscout"), debug=debug, as_json=as_json))


if __name__ == "__main__":
    main()
