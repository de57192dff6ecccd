"""`segscout replay`: does our dialect act on every recorded turn as the recorded run did?"""

from pathlib import Path

from rich.text import Text

from agent.reporting import FAILED, console_for, write_json
from graphs.profiles import get_profile, make_dialect
from graphs.replay import replay_rollouts


def run_replay(rollouts: Path, dialect: str, *, as_json: bool) -> None:
    """Compare and report; exits with 1 if a turn disagrees for no known reason. Raises InputError for a bad file.

    A folder holds our own records, which name their dialect; a file, rollouts of Seg-ReSearch.
    """
    if rollouts.is_dir():
        from rl.replay import replay_records  # late: rollouts need nothing of rl/

        report = replay_records(rollouts)
    else:
        report = replay_rollouts(rollouts, make_dialect(dialect, get_profile("seg-research-4b").view))
    console = console_for(as_json=as_json)
    counts = ", ".join(f"{count} {kind}" for kind, count in report.actions.items())
    console.print(f"{report.records} records, {report.turns} turns: {counts}")
    console.print(f"{report.agree} agree, {len(report.disagree)} disagree, {report.unexplained} of them unexplained")
    for one in report.disagree:
        console.print(Text(f"  record {one.record}, turn {one.turn}: {one.reason or 'no known reason'}"))
    if as_json:
        write_json(report.as_dict())
    if report.unexplained:
        raise SystemExit(FAILED)
