"""plan: show the task to the policy and sample its first turn."""

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.budget import LAST_TURN
from graphs.context import Context
from graphs.conversation import Text, Turn, join
from graphs.endings import Ending
from graphs.nodes.reading import as_plain, last_turn
from graphs.nodes.sampling import Next, sample_turn
from graphs.nodes.timing import timed
from graphs.pictures import show_frame
from graphs.state import State
from tools.errors import MediaError
from tools.media import sample_frames


@timed
async def plan(state: State, runtime: Runtime[Context]) -> Command[Next]:
    """Render system prompt and task, with frames spread evenly over the clip, and sample the first turn."""
    context = runtime.context
    dialect, view = context.dialect, context.dialect.view
    indices = sample_frames(len(context.media), view.frames)
    try:
        pairs = [show_frame(context, index, view.frame_size) for index in indices]
    except MediaError as error:
        return Command(goto="localize", update={"ending": Ending.MEDIA_BROKEN.value, "failure": as_plain(error)})
    shown = [frame for frame, _ in pairs]
    notice = dialect.notice(LAST_TURN) if last_turn(state, context) else ()
    system = dialect.system(search=context.search is not None)
    opening = [
        *([Turn("system", (Text(system),))] if system else []),
        Turn("user", join(dialect.task(state["query"], shown), notice)),
    ]
    command = await sample_turn("plan", {**state, "shown": indices}, runtime, opening)
    pictures = {frame.image.sha256: picture for frame, picture in pairs}
    assert isinstance(command.update, dict)
    command.update.update(shown=indices, pictures=pictures)
    return command
