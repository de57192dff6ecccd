"""Read what the state says: counters, the last sampled turn, and the action that it asks for."""

from graphs.actions import Action, LookCloser, Malformed
from graphs.context import Context
from graphs.endings import Ending
from graphs.state import PlainFailure, State
from tools.errors import SegscoutError


def understand(text: str, *, cut: bool, state: State, context: Context) -> Action:
    """Parse a sampled turn, and check what only the episode can know: whether the frame exists, whether it was cut.

    Any frame of the clip may be looked at, also one that the task did not show.
    """
    action = context.dialect.parse(text)
    if isinstance(action, LookCloser) and action.frame >= len(context.media):
        shown = ", ".join(str(index) for index in state.get("shown", []))
        return Malformed(f"there is no frame {action.frame}", f"The frames are {shown}.")
    if isinstance(action, Malformed) and cut:
        return Malformed("it was too long and was cut off", f"Think less. {action.hint}")
    return action


def last_text(state: State) -> str:
    """Return the text of the last sampled turn."""
    return "".join(str(part.get("text", "")) for part in state["turns"][-1]["parts"])


def last_action(state: State, context: Context) -> Action:
    """Return the action of the last sampled turn."""
    return understand(last_text(state), cut=state.get("cut", False), state=state, context=context)


def count(state: State, name: str) -> int:
    """Return a counter, 0 if it was never set."""
    return int(state.get("counts", {}).get(name, 0))


def elapsed(state: State) -> float:
    """Return the seconds that all nodes took so far; a resumed episode does not pay for the pause."""
    return sum(state.get("seconds", {}).values())


def spent(state: State, context: Context) -> Ending | None:
    """Return the ending that is due before another turn is sampled, or None."""
    return context.budget.spent(
        turns=count(state, "turns"), tokens=count(state, "completion_tokens"), seconds=elapsed(state)
    )


def last_turn(state: State, context: Context) -> bool:
    """Whether the next turn should be announced as the last."""
    return context.budget.last_turn(
        turns=count(state, "turns"), tokens=count(state, "completion_tokens"), seconds=elapsed(state)
    )


def as_plain(error: SegscoutError) -> PlainFailure:
    """Turn an error into the data that state and results hold."""
    return {"boundary": error.boundary, "message": error.message, "remedy": error.remedy}
