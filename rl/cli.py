"""`segscout rl`: how the policy learns; training itself is imported only when it is called for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rl.commands.check import check
from rl.commands.record import record
from rl.commands.score import score
from rl.commands.show import show
from rl.policy_names import find_checkpoint
from rl.recipes import find_recipe, read_recipe, read_toml
from tools.errors import InputError, SegscoutError

app = typer.Typer(name="rl", help="Train the policy on the graph's own episodes.", no_args_is_help=True)
app.command()(record)
app.command()(show)
app.command()(check)
app.command()(score)


@app.command()
def sft(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, such as embedded-sft, or a .toml file.")],
    out: Annotated[Path, typer.Option(help="Folder for weights and numbers.")] = Path("runs/policy"),
    device: Annotated[str, typer.Option(help="cuda, cpu; default: the first GPU.")] = "",
    start: Annotated[Path | None, typer.Option(help="Begin with this checkpoint.")] = None,
) -> None:
    """Teach a policy by showing it how: episodes of the oracle, good records, published demonstrations."""
    file = find_recipe(recipe, Path(__file__).parent / "sft" / "recipes")
    if "stages" in read_toml(file):
        from rl.sft.train import main as train

        train(recipe, out, device, start)
        return
    with training_installed():
        from rl.sft.imitation import ImitationRecipe, run
    chosen = read_recipe(file, ImitationRecipe)
    if start:
        find_checkpoint(str(start))
    run(chosen.model_copy(update={"policy": str(start)} if start else {}), out, device=device or None)


@app.command()
def grpo(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, such as embedded-grpo, or a .toml file.")],
    policy: Annotated[str, typer.Option(help="Begin with this checkpoint instead of the recipe's.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for weights and numbers.")] = Path("runs/grpo"),
    device: Annotated[str, typer.Option(help="cuda, cpu; default: the first GPU.")] = "",
    reward: Annotated[str, typer.Option(help="Another reward than the recipe's.")] = "",
    minutes: Annotated[float, typer.Option(min=0, help="Stop after so many minutes.")] = 0,
) -> None:
    """Let a policy learn by reward, on groups of its own episodes."""
    with training_installed():
        from rl.grpo.train import main as train

    train(recipe, policy, out, device, reward, minutes)


@contextmanager
def training_installed() -> Iterator[None]:
    """Say which extra is missing if a library of training is; InputError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed.", remedy="Run `pip install --editable '.[train]'`."
        ) from error


def main() -> None:
    """Run `python -m rl.cli`; an error of ours is one line on standard error."""
    try:
        app()
    except SegscoutError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
