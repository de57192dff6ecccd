"""`segscout doctor`: what works here, what is missing for which feature, and the command that mends it."""

from dataclasses import asdict

from rich.text import Text

from agent.display import print_step
from agent.doctor import Check, examine
from agent.reporting import FAILED, console_for, write_json
from agent.versions import segscout_version


def run_doctor(*, as_json: bool) -> None:
    """Examine the installation and report; exits with 1 if something needed is missing, extras do not count."""
    checks = examine()
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


def _mark(check: Check) -> tuple[str, str]:
    if check.ok:
        return "ok", "green"
    return ("missing", "red") if check.needed else ("without", "yellow")
