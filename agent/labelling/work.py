"""Labelling as work for an engine: each item is one episode of an agent that every worker has of its own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.agent import SegmentationAgent
from agent.coco import to_coco
from agent.commands.request import Request
from agent.commands.segment import make_agent
from agent.labelling.plan import NOT_RUN, Item
from agent.result import Failure, Result
from evals.contexts import open_policy
from evals.runs.work import PlainRow, Play
from graphs.policies.loading import is_address
from tools.errors import SegscoutError, boundary
from tools.settings import read_settings


@dataclass(frozen=True)
class LabelWork:
    """Items of a folder, and the agent that `request` asks for."""

    folder: Path
    items: Mapping[int, Item]
    request: Request

    async def open(self) -> Play:
        """Make the agent; an endpoint is greeted first, so that one that is down is told once."""
        agent = make_agent(self.request, read_settings())
        if self.request.policy is not None and is_address(self.request.policy):
            await open_policy(self.request.policy, self.request.model)

        async def play(index: int) -> PlainRow:
            return await self._label(agent, index)

        return play

    def failed(self, index: int, error: SegscoutError) -> PlainRow:
        """Return the row of an item that has no result."""
        failure = Failure(error.boundary, error.message, error.remedy)
        return self._row(index, NOT_RUN, result=None, coco=None, failure=asdict(failure))

    async def _label(self, agent: SegmentationAgent, index: int) -> PlainRow:
        item = self.items[index]
        remedy = "Run `segscout segment` on it with --debug, and report it."
        try:
            with boundary(SegscoutError, f"{item.file.name} could not be labelled", remedy=remedy):
                result = await agent.asegment(self.folder / item.file.name, item.query)
                with result.media:
                    return self._told(index, result)
        except SegscoutError as error:
            return self.failed(index, error)

    def _told(self, index: int, result: Result) -> PlainRow:
        plain = result.to_dict()
        return self._row(index, result.ending.value, result=plain, coco=to_coco(result), failure=plain["failure"])

    def _row(self, index: int, ending: str, **told: Any) -> PlainRow:
        file, query = self.items[index].file, self.items[index].query
        known = {"file": file.name, "size": file.size, "written_ns": file.written_ns, "query": query}
        return {"index": index, **known, "ending": ending, **told}
