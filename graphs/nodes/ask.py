"""ask: stop until a person has chosen among the candidates."""

from dataclasses import asdict
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from graphs.candidates import question_of
from graphs.context import Context
from graphs.nodes.timing import timed
from graphs.state import State


@timed
async def ask(state: State, runtime: Runtime[Context]) -> Command[Literal["localize"]]:
    """Interrupt the run with the question; it goes on with the number of the chosen candidate, 0 for none of them."""
    number = interrupt(asdict(question_of(state)))
    return Command(goto="localize", update={"chosen": int(number)})
