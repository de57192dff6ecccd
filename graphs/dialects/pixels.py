"""What the dialects share that answer in pixels of a single picture: VisionReasoner, Seg-Zero and Seg-R1.

None of the three knows clips or tools; how a clip is put and what is said of the search are ours, in their form.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphs.conversation import Part, Text
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.neutral import one_line
from graphs.dialects.observations import indexed
from graphs.dialects.seg_research_prompts import TOOLS
from graphs.dialects.tag_dialect import ActionTag, TagDialect

_ABSENT = "If it is in none of the pictures, give an empty list instead of boxes."

_SEARCH = f"""{TOOLS}
If something must be looked up first, end the turn with a search instead of an answer, as often as needed:
<think> what is unknown, and why the pictures cannot tell </think>
<search> {{"name": <tool-name>, "query": <string>}} </search>
Never search for what the pictures show. {_ABSENT}
"""

_CLIP = f"""
The pictures are frames of one video, each after its index. Before you answer, choose the frame that shows it best:
<think> thinking process here </think><keyframe> frame_index </keyframe>
That frame then comes back alone, and the answer is about it. {_ABSENT}"""


class PixelDialect(TagDialect, ABC):
    """Put one picture and a question, or the frames of a clip with the choice of one.

    Coordinates are pixels of the picture as the policy sees it, and a turn does not say which picture it means. So all
    frames are shown in one size, the `keyframe_size` of `view`.
    """

    def __init__(self, view: View, answers: Mapping[str, ActionTag], *, any_hint: str) -> None:
        super().__init__(replace(view, frame_size=view.keyframe_size), answers, thinking="think", any_hint=any_hint)

    def system(self, *, search: bool) -> str:
        """Return the system prompt, with or without the search tools."""
        role = self._role()
        return f"{role}\n{_SEARCH}" if search else role

    def task(self, query: str, frames: Sequence[ShownFrame]) -> tuple[Part, ...]:
        """Render the first user turn: the picture and the question, or a clip's frames, each after its index."""
        question = self._question(one_line(query))
        if len(frames) > 1:
            return (*indexed(frames), Text(f"\n\n{question}{_CLIP}"))
        return (*(frame.image for frame in frames), Text(question))

    @abstractmethod
    def _role(self) -> str:
        """Return the system prompt without search."""

    @abstractmethod
    def _question(self, query: str) -> str:
        """Return the question about one picture; `query` is one line."""
