"""`segscout`: the root command. Every command imports what it needs when it runs, so that help comes at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agent import completion
from agent.mounted import LazyGroup
from agent.options import AgentOptions, KnowledgeBase, Model, with_agent_options
from evals.runs.choosing import Concurrency, EngineName, GpusPerWorker, RayAddress, Workers
from tools.loading import loading

app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"max_content_width": 100}
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line of standard output.")]
Out = Annotated[Path, typer.Option(help="Folder for pictures, masks, trace and result.", file_okay=True)]

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
@with_agent_options
def segment(
    *,
    media: Annotated[str, typer.Argument(help="An image or a video file.")],
    query: Annotated[str, typer.Argument(help="What to find; may be left out with --box.")] = "",
    agent: AgentOptions,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,X,Y", help="Skip the policy, cut this box; may be repeated.")
    ] = None,
    frame: Annotated[int, typer.Option(min=0, help="The frame of a video that --box speaks of.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default runs/segment/NAME.")] = None,
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
    from agent.commands.request import ThreadRequest, check_request

    kept = ThreadRequest(thread, checkpoints, clarify, choice)
    request = agent.request(media=media, query=query, box=box or [], frame=frame, out=out, thread=kept)
    checked = check_request(request)  # before the heavy imports, so that a slip is told at once

    with loading():
        from agent.commands.segment import run_segment

    run_segment(request, checked, as_json=as_json)


@app.command()
@with_agent_options
def label(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of pictures and clips.")],
    query: Annotated[list[str], typer.Option(help="What to find in each of them; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The COCO file to write; beside it is kept what is done.")],
    recursive: Annotated[bool, typer.Option("--recursive", help="Label the folders in it, too.")] = False,
    engine: EngineName = "local",
    concurrency: Concurrency = 1,
    workers: Workers = None,
    ray_address: RayAddress = None,
    gpus_per_worker: GpusPerWorker = None,
    agent: AgentOptions,
    as_json: Json = False,
) -> None:
    """Find what every --query describes in every picture and clip of DIR; the same again goes on where it stopped."""
    from agent.labelling.files import find_files
    from agent.labelling.job import LabelJob
    from agent.labelling.plan import check_queries
    from evals.runs.choosing import choose_engine

    chosen = choose_engine(engine, concurrency, workers, ray_address, gpus_per_worker)
    job = LabelJob(folder, find_files(folder, recursive=recursive), check_queries(query), out)
    job.check()  # before the heavy imports, so that a slip is told at once

    from agent.commands.label import run_label

    run_label(job, agent.request(), chosen, as_json=as_json)


@app.command()
@with_agent_options
def serve(
    *,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients must send; else SEGSCOUT_SERVER_KEY.")
    ] = None,
    fetch: Annotated[bool, typer.Option(help="Follow the public http and https URLs that requests name.")] = True,
    running: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 4,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait for their run.")] = 256,
    agent: AgentOptions,
    checkpoints: KeptQuestions = None,
    clarify: ClarifyOption = False,
) -> None:
    """Serve the agent to chat clients (OpenAI's protocol, at /v1) and to programs (uploads, at /v1/segment)."""
    from agent.commands.listening import listen
    from agent.commands.request import ThreadRequest

    listening = listen(host, port, api_key_file)  # before the heavy imports, so that a slip is told at once
    kept = ThreadRequest(checkpoints=checkpoints, clarify=clarify, serves=True)
    kept.check()
    request = agent.request(thread=kept)

    with loading():
        from agent.commands.serve import run_serve

    run_serve(listening, request, fetch=fetch, running=running, waiting=waiting)


@app.command()
@with_agent_options
def mcp(
    *,
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
    agent: AgentOptions,
) -> None:
    """Offer the agent as tools of the Model Context Protocol: on standard input and output, or with --http."""
    with loading():
        from agent.commands.mcp import check_mcp, run_mcp

    sock = check_mcp(media_root, http)  # before the heavy parts, so that a slip is told at once
    run_mcp(agent.request(), media_root, sock, fetch=fetch)


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
