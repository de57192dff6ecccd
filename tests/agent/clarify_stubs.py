"""A policy of two minds, and the agent that asks because of it."""

from agent_stubs import frames
from graph_stubs import BoxSegmenter

from agent import Clarify, SegmentationAgent
from graphs.dialects.seg_research import absent_turn, answer_turn
from graphs.policies.replay import ReplayPolicy
from tools.errors import PolicyError

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.6), (0.6, 0.2, 0.9, 0.6)
LEFT_PIXELS, RIGHT_PIXELS = (8.0, 10.0, 24.0, 30.0), (48.0, 10.0, 72.0, 30.0)
PICTURE = frames(1)[0]


def turn(box) -> str:
    return answer_turn("That one.", box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))


class Torn:
    """Answers greedily with the first turn, and with the others in order where it is sampled."""

    name = "torn"

    def __init__(self, *turns: str, fails: bool = False) -> None:
        self.turns, self.fails = turns, fails
        self.seeds: list[int] = []

    async def complete(self, turns, images, *, max_tokens, stop, sampling):
        self.seeds.append(sampling.seed)
        if sampling.temperature > 0 and self.fails:
            raise PolicyError("gone.", remedy="Start it.")
        text = self.turns[min(len(self.seeds), len(self.turns)) - 1]
        return await ReplayPolicy([text]).complete(
            turns[:1], images, max_tokens=max_tokens, stop=stop, sampling=sampling
        )


def torn(*turns: str, clarify: bool | Clarify = True, fails: bool = False, **changes) -> tuple[SegmentationAgent, Torn]:
    policy = Torn(*turns, fails=fails)
    return SegmentationAgent(policy, segmenter=BoxSegmenter(), clarify=clarify, **changes), policy


TIED = (turn(LEFT), turn(RIGHT), turn(LEFT), turn(RIGHT), absent_turn("No."))
