"""Ask at the terminal which one is meant, or say how to answer later."""

import shlex

from rich.console import Console
from rich.prompt import IntPrompt

from agent.commands.request import Request
from agent.display import EpisodeDisplay, print_step
from agent.reporting import write_json
from agent.result import Result
from graphs.events import Question


def ask(question: Question, display: EpisodeDisplay, console: Console) -> int:
    """Ask for a number until there is one; the choices were shown when the question came up."""
    numbers = [str(number) for number in range(len(question.choices) + 1)]
    with display.paused():
        return IntPrompt.ask("   which? 0 is none of them", console=console, choices=numbers)


def tell_open(result: Result, request: Request, console: Console, *, as_json: bool) -> None:
    """Say that nothing is saved before somebody chooses, and the command that does."""
    command = ["segscout", "segment", request.media, request.query, "--thread", result.thread_id or ""]
    command += ["--checkpoints", str(request.thread.file), "--choice", "N"]
    answer = f"Run again with the same options and --choice: {shlex.join(command)}"
    print_step(console, "asked", answer, "yellow")
    if as_json:
        write_json(result.to_dict() | {"answer": answer})
