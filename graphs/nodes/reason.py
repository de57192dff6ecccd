"""reason: sample the turn after an observation."""

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.context import Context
from graphs.endings import Ending
from graphs.nodes.reading import as_plain
from graphs.nodes.sampling import Next, sample_turn
from graphs.nodes.timing import timed
from graphs.pictures import restore
from graphs.state import State
from tools.errors import MediaError


@timed
async def reason(state: State, runtime: Runtime[Context]) -> Command[Next]:
    """Sample the next turn of the conversation; a resumed episode makes its pictures again first."""
    try:
        restore(runtime.context, state.get("pictures", {}))
    except MediaError as error:
        return Command(goto="localize", update={"ending": Ending.MEDIA_BROKEN.value, "failure": as_plain(error)})
    return await sample_turn("reason", state, runtime)
