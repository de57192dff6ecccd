"""`segscout doctor`: what works here, what is missing for which feature, and the command that mends it.

A policy and a search that are named, on the command line or in the settings, are tried, too.
"""

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from agent.display import print_step
from agent.doctor import Check, examine
from agent.reporting import FAILED, console_for, write_json
from agent.versions import segscout_version
from graphs.policies.loading import EMBEDDED
from tools.errors import InputError
from tools.search.choosing import KB
from tools.settings import read_settings


@dataclass(frozen=True)
class Preflight:
    """What the command line names to be tried, too; None: what the settings name, if they do."""

    policy: str | None = None
    model: str | None = None
    search: str | None = None
    kb: Path | None = None
    live: bool = False
    seconds: float = 30.0


def run_doctor(preflight: Preflight, *, as_json: bool) -> None:
    """Examine the installation and report; exits with 1 if something needed is missing, extras do not count."""
    checks = [*examine(), *asyncio.run(_try(preflight))]
    console = console_for(as_json=as_json)
    for check in checks:
        mark, style = _mark(check)
        print_step(console, mark, f"{check.name}: {check.found}", style)
        if not check.ok:
            print_step(console, "", Text(f"for {check.feature}: {check.remedy}", style="dim"))
    ok = all(check.ok for check in checks if check.needed)
    console.print("Everything needed is here." if ok else "Something needed is missing.")
    if as_json:
        write_json({"segscout": segscout_version(), "ok": ok, "checks": [asdict(check) for check in checks]})
    if not ok:
        raise SystemExit(FAILED)


async def _try(preflight: Preflight) -> list[Check]:
    """Try what is named; settings that cannot be read are told by `examine`, and nothing can be tried with them."""
    try:
        settings = read_settings()
    except InputError:
        return []
    policy = preflight.policy or (settings.policy if settings.policy != EMBEDDED else None)
    kb = preflight.kb or settings.kb
    search = preflight.search or (KB if preflight.kb is not None else settings.search or (KB if kb else None))
    if policy is None and search is None:
        return []
    from agent.preflight import examine_policy, examine_search

    checks: list[Check] = []
    if policy is not None:
        model, key = preflight.model or settings.model, settings.secret()
        checks += await examine_policy(policy, model=model, key=key, seconds=preflight.seconds)
    if search is not None:
        live, seconds = preflight.live, preflight.seconds
        checks.append(await examine_search(search, kb=preflight.kb, settings=settings, live=live, seconds=seconds))
    return checks


def _mark(check: Check) -> tuple[str, str]:
    if check.ok:
        return "ok", "green"
    return ("missing", "red") if check.needed else ("without", "yellow")
