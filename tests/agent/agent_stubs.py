"""A clip with one moving square, a policy that knows where it is, and the command line as a process or in this one."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from graph_stubs import BoxSegmenter, DictSearch

from agent import SegmentationAgent
from agent.cli import main
from graphs.dialects.seg_research import answer_turn, keyframe_turn, search_turn
from graphs.policies.replay import ReplayPolicy

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT, FRAMES, FPS = 80, 50, 6, 12.5
FACT = "The emblem of the Otters is a red square."


def square(frame: int) -> tuple[int, int, int, int]:
    """The square's box in a frame, x1, y1, x2, y2."""
    return 16 + 4 * frame, 10, 36 + 4 * frame, 30


def frames(count: int = FRAMES) -> list[np.ndarray]:
    pictures = []
    for index in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        x1, y1, x2, y2 = square(index)
        picture[y1:y2, x1:x2] = (200, 30, 30)
        pictures.append(picture)
    return pictures


def write_clip(path: Path, count: int = FRAMES, scale: int = 1) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH * scale, HEIGHT * scale, "yuv420p"
        stream.options = {"crf": "5"}
        for picture in frames(count):
            picture = picture.repeat(scale, 0).repeat(scale, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def script(keyframe: int = 2) -> list[str]:
    """Search, look closer, answer with the true box."""
    x1, y1, x2, y2 = square(keyframe)
    box = (x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT)
    return [
        search_turn("I must look it up.", "text_search", "emblem of the Otters"),
        keyframe_turn("A red square.", keyframe),
        answer_turn("There.", box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)),
    ]


def agent(turns: list[str] | None = None, **changes: Any) -> SegmentationAgent:
    """An agent that plays a script; the segmenter fills boxes."""
    settings = {"segmenter": BoxSegmenter(), "search": DictSearch({"Otters": FACT})} | changes
    return SegmentationAgent(ReplayPolicy(script() if turns is None else turns), **settings)


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> dict[str, Any]:
        """The JSON object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


def cli(*arguments: str, cwd: Path, **environment: str) -> Ran:
    """Run `segscout` as people do, in `cwd`, with no settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGSCOUT_")}
    ran = subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "240", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def cli_here(*arguments: str, cwd: Path) -> Ran:
    """Run `segscout` in this process, which has loaded already what a process of its own takes seconds to load."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("SEGSCOUT_")]:
            patch.delenv(name)
        patch.setenv("COLUMNS", "240")
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["segscout", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return Ran(ended.value.code, out.getvalue(), err.getvalue())
