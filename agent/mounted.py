"""Groups of commands that live on other floors, imported only when they are called for."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from tools.loading import loading

_MOUNTED = {
    "eval": ("evals.cli", "Measure how good it is."),
    "rl": ("rl.cli", "Train the policy on the graph's own episodes."),
}
"""The module that holds the `app` of each, and what it is for."""


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
