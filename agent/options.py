"""Options that several commands have: the parts of an agent and its budget, in one place for all that make one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_type_hints

import typer

from agent import completion

if TYPE_CHECKING:
    from agent.commands.request import Request

Policy = Annotated[
    str | None,
    typer.Option(
        help="embedded, an address http://host:8000/v1, or a checkpoint folder.", autocompletion=completion.policies
    ),
]
Model = Annotated[str | None, typer.Option(help="Which of the endpoint's models.")]
Profile = Annotated[
    str | None,
    typer.Option(help="embedded, qwen3-vl, native, vision-reasoner-7b, …", autocompletion=completion.profiles),
]
Dialect = Annotated[
    str | None,
    typer.Option(help="Another way of talking than the profile's.", autocompletion=completion.dialects),
]
Segmenter = Annotated[str | None, typer.Option(help="sam2 or grabcut.", autocompletion=completion.segmenters)]
Sam2Model = Annotated[str | None, typer.Option(help="A SAM 2 checkpoint: hub id or folder.")]
KnowledgeBase = Annotated[Path | None, typer.Option(help="A knowledge base folder in Seg-ReSearch's format.")]
Search = Annotated[
    str | None,
    typer.Option(
        help="kb, tavily, serper or duckduckgo; default: kb where there is a knowledge base.",
        autocompletion=completion.searches,
    ),
]
SearchCache = Annotated[
    Literal["record", "replay", "off"] | None,
    typer.Option(help="Record what the web answers, or replay it and send nothing; default: off."),
]
SearchFolder = Annotated[Path | None, typer.Option(help="Where recordings and pictures lie; default runs/search.")]
SearchCalls = Annotated[
    int | None, typer.Option(min=1, help="Requests that a run may send to the web search; default 200.")
]
ReadPages = Annotated[
    bool | None, typer.Option("--read-pages/--no-read-pages", help="Read the pages of the texts found; default: no.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1; default: the first GPU.", autocompletion=completion.devices)
]
Turns = Annotated[int | None, typer.Option(min=1, help="Turns of the policy; default: the profile's.")]
Searches = Annotated[int | None, typer.Option(min=0, help="Searches; default: the profile's.")]
Tokens = Annotated[int | None, typer.Option(min=16, help="Tokens of all turns; default: the profile's.")]
Seconds = Annotated[float | None, typer.Option(min=0, help="Seconds for all turns; default: the profile's.")]


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What the command line says of an agent; None is "not said", so the settings or the profile decide."""

    policy: Policy = None
    model: Model = None
    profile: Profile = None
    dialect: Dialect = None
    segmenter: Segmenter = None
    sam2_model: Sam2Model = None
    kb: KnowledgeBase = None
    search: Search = None
    search_cache: SearchCache = None
    search_folder: SearchFolder = None
    search_calls: SearchCalls = None
    read_pages: ReadPages = None
    device: Device = None
    turns: Turns = None
    searches: Searches = None
    tokens: Tokens = None
    seconds: Seconds = None

    def request(self, **more: Any) -> "Request":
        """Return the request for such an agent; `more` are the fields of Request that the command itself says."""
        from agent.commands.request import Request, given
        from tools.search.choosing import SearchRequest

        return Request(
            policy=self.policy, model=self.model, profile=self.profile, dialect=self.dialect,
            segmenter=self.segmenter, sam2_model=self.sam2_model, device=self.device,
            search=SearchRequest(
                self.search, self.kb, self.search_cache, self.search_folder, self.search_calls, self.read_pages
            ),
            limits=given(turns=self.turns, searches=self.searches, tokens=self.tokens, seconds=self.seconds),
            **more,
        )  # fmt: skip


def with_agent_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every field of AgentOptions, in the place of its parameter `agent`.

    All its parameters are to be keywords.
    """
    hints = get_type_hints(AgentOptions, include_extras=True)
    names = [field.name for field in fields(AgentOptions)]
    kind = inspect.Parameter.KEYWORD_ONLY
    expanded = [inspect.Parameter(name, kind, default=None, annotation=hints[name]) for name in names]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        parameters += expanded if parameter.name == "agent" else [parameter]

    @wraps(command)
    def run(**said: Any) -> None:
        command(agent=AgentOptions(**{name: said.pop(name) for name in names}), **said)

    cast(Any, run).__signature__ = inspect.Signature(parameters)  # which is what Typer reads
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
