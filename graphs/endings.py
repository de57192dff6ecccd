"""How an episode can end: every way has its own name, so that a broken tool is never mistaken for "not there"."""

from enum import StrEnum


class Ending(StrEnum):
    """The named ways in which an episode ends."""

    FOUND = "found"
    """The policy answered with at least one target."""
    ABSENT = "absent"
    """The policy answered that nothing in the media matches."""
    TURNS_SPENT = "turns_spent"
    """The last allowed turn passed without an answer."""
    SEARCHES_SPENT = "searches_spent"
    """The policy kept on searching after it was told that no search is left."""
    TOKENS_SPENT = "tokens_spent"
    """The tokens that it may sample are spent, or its conversation has outgrown the room that the policy has."""
    SECONDS_SPENT = "seconds_spent"
    TOOL_BROKEN = "tool_broken"
    """Search failed again after the policy was told."""
    POLICY_BROKEN = "policy_broken"
    MALFORMED = "malformed"
    """Turns stayed unusable to the end, in spite of precise hints."""
    SEGMENTER_BROKEN = "segmenter_broken"
    """There was an answer, but no mask could be cut."""
    MEDIA_BROKEN = "media_broken"
    """A frame could not be read."""

    ASKED = "asked"
    """Not at its end: the policy's answers disagree, and a person must choose among them."""

    @property
    def answered(self) -> bool:
        """Whether the policy reached an answer and nothing broke after it."""
        return self in (Ending.FOUND, Ending.ABSENT)

    @property
    def broken(self) -> bool:
        """Whether a part of the system failed, as opposed to the policy's own doing."""
        return self.value.endswith("_broken")
