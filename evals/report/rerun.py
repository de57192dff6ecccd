"""The command that a run was: what to say to have the same again."""

import shlex
from dataclasses import fields, replace

from evals.runs.spec import NO_SEARCH, RunSpec
from graphs.policies.loading import without_credentials

_SWITCHES = {("search", NO_SEARCH): "--no-search", ("reasoning", "off"): "--no-reasoning"}


def command_of(spec: RunSpec) -> str:
    """Return the command line, quoted for a POSIX shell; credentials in the policy's address are left out."""
    words = ["segscout", "eval", spec.benchmark]
    shown = replace(spec, policy=without_credentials(spec.policy))
    for field in fields(shown):
        value = getattr(shown, field.name)
        if field.name == "benchmark" or value == field.default:
            continue
        option = f"--{field.name.replace('_', '-')}"
        switch = _SWITCHES.get((field.name, value), option if value is True else "")
        words += [switch] if switch else [option, str(value)]
    return shlex.join(words)
