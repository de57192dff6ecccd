"""Examples to start from: the clip that ships, with what can be asked of it."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.page.uploads import Upload, Uploads

_CLIP = Path(__file__).parents[1] / "server" / "example" / "clip.mp4"


@dataclass(frozen=True)
class Example:
    """A question about the clip; `looked_up` if the answer stands only in the example's knowledge base."""

    query: str
    looked_up: bool


EXAMPLES = (
    Example("the emblem of the team that won the 2032 Estifell Cup", looked_up=True),
    Example("the white cross", looked_up=False),
)


async def take_clip(uploads: Uploads) -> Upload:
    """Put the clip where dropped media are; raises what `Uploads.add` raises."""

    async def copy(path: Path) -> None:
        await asyncio.to_thread(shutil.copyfile, _CLIP, path)

    return await uploads.add(copy)
