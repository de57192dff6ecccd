"""`segscout profiles`: what each public checkpoint needs, and the line that serves it."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from agent.reporting import console_for, write_json
from graphs.profiles import PROFILES, Profile, get_profile


def run_profiles(name: str | None, *, as_json: bool) -> None:
    """List the profiles, or tell all of one; InputError for an unknown name."""
    chosen = list(PROFILES.values()) if name is None else [get_profile(name)]
    console = console_for(as_json=as_json)
    # Not wrapped: the line that serves it is there to be copied.
    console.print(_table(chosen) if name is None else _whole(chosen[0]), soft_wrap=name is not None)
    if as_json:
        write_json({"profiles": [_plain(profile) for profile in chosen]})


def _table(profiles: list[Profile]) -> Table:
    table = Table("profile", "dialect", "frames", "look", "checkpoint", box=None)
    for one in profiles:
        view = one.view
        frames, look = f"{view.frames} x {view.frame_size}", str(view.keyframe_size)
        table.add_row(one.name, one.dialect, frames, look, one.model or ("any" if one.serve else "ships here"))
    return table


def _whole(profile: Profile) -> Text:
    view, budget = profile.view, profile.budget
    lines = {
        "profile": profile.name,
        "dialect": profile.dialect,
        "sees": f"{view.frames} frames of {view.frame_size}², a frame looked at closer in {view.keyframe_size}², "
        f"searched pictures in {view.image_size}²",
        "samples": f"{budget.turns} turns, {budget.tokens} tokens, {budget.turn_tokens} a turn, "
        f"temperature {profile.sampling.temperature:g}",
        "from": profile.source,
        "serve": profile.serve or "nothing to serve: it ships here",
    }
    return Text("\n".join(f"{key:>8}  {value}" for key, value in lines.items()))


def _plain(profile: Profile) -> dict[str, Any]:
    return {**asdict(profile), "serve": profile.serve}
