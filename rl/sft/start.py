"""The checkpoint that a run of the embedded policy begins with, if not with random weights."""

import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from rl.sft.model import make_policy
from rl.sft.recipe import Recipe
from rl.sft.tokenizer import special_ids
from tools.errors import PolicyError, boundary

_REMEDY = "Name with --start the folder of a policy that was made by a recipe of the same sizes."
_TOKENIZER = "tokenizer.json"


def load_start(recipe: Recipe) -> dict[str, Tensor]:
    """Return the weights that a recipe begins with, in 32 bits.

    Raises PolicyError if they or their tokenizer cannot be read, or have other sizes than the recipe's.
    """
    folder = Path(recipe.policy)
    if not (folder / _TOKENIZER).is_file():
        raise PolicyError(f"{folder} holds no policy with its tokenizer.", remedy=_REMEDY)
    with boundary(PolicyError, f"loading {folder} failed", remedy=_REMEDY):
        tokens = special_ids(Tokenizer.from_file(str(folder / _TOKENIZER)))
        model = make_policy(recipe.size, tokens, recipe.vocabulary, recipe.seed)
        found = type(model).from_pretrained(folder, dtype=torch.float32, local_files_only=True).state_dict()
    weights = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if weights != {name: tensor.shape for name, tensor in found.items()}:
        raise PolicyError(f"{folder} has other sizes than {recipe.name}.", remedy=_REMEDY)
    return dict(found)


def copy_tokenizer(start: Path, folder: Path) -> None:
    """Copy the tokenizer of a checkpoint and what belongs to it; the tokenizer itself last, so that it tells of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for beside in [*start.glob("*.json*"), *start.glob("*.jinja")]:
        if beside.name != _TOKENIZER:
            shutil.copy(beside, folder)
    part = folder / f"{_TOKENIZER}.part"
    shutil.copy(start / _TOKENIZER, part)
    part.replace(folder / _TOKENIZER)
