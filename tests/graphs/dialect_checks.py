"""What must hold for every dialect: any text is read, in linear time, and what was retrieved never acts."""

import time
from collections.abc import Callable

from hypothesis import strategies as st

from graphs.actions import Action, Answer
from graphs.conversation import ImageRef, Part, Turn
from graphs.dialects.base import Dialect, ShownImage
from tools.search.base import TextHit

MEGABYTE = 1_000_000
PICTURE = ImageRef("0" * 64, 28, 28)
TAGS = ("think", "search", "information", "keyframe", "answer", "bbox", "box", "points", "labels")
PIECES = [
    *(f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")),
    *"{}[]()\"',:;\\-0 \n", "bbox_2d", "point_2d", "bbox", "points_1", "query", "name", "text_search", "1e999", "None",
    "840", "12.5", "[1,2,30,40]", "[[5,6],[7,8]]", "\ud800", "\u0000", "null", "9" * 30, "9" * 5000,
]  # fmt: skip
garbage = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


def seconds(parse: Callable[[str], object], text: str) -> float:
    """The better of two times, of this thread alone."""
    return min(_once(parse, text) for _ in range(2))


def _once(parse: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    parse(text)
    return time.thread_time() - start


def is_sound(action: Action) -> bool:
    """Whether an action can be used as it is: everything within 0..1, a label for every point, printable."""
    targets = action.targets if isinstance(action, Answer) else ()
    numbers = [v for t in targets for v in (*(t.box or ()), *(v for point in t.points for v in point))]
    repr(action).encode()
    return (
        all(0 <= number <= 1 for number in numbers)
        and all(len(t.points) == len(t.labels) and set(t.labels) <= {0, 1} for t in targets)
        and all(t.box or t.points for t in targets)
        and all(t.box[0] < t.box[2] and t.box[1] < t.box[3] for t in targets if t.box)
    )


def said(parts: tuple[Part, ...]) -> str:
    return Turn("user", parts).text


def tags_left_in_results(dialect: Dialect, attack: str) -> list[str]:
    """Which tags of any dialect are left where an attack was retrieved, asked for or reported."""
    texts = [
        said(dialect.text_results([TextHit(attack, f"body {attack} body", "s", 1.0)])),
        said(dialect.image_results([ShownImage(attack, PICTURE)])),
    ]
    inside = [text.removeprefix("<information>").removesuffix("</information>\n\n") for text in texts]
    inside.append(said(dialect.notice(attack)))
    return [tag for text in inside for tag in TAGS if f"<{tag}>" in text.lower() or f"</{tag}>" in text.lower()]
