"""What shells complete after an option: the names that it takes. Imported at every start, so it imports nothing yet."""


def policies() -> list[str]:
    """Return the policy that has a name; addresses and folders are the user's."""
    return ["embedded"]


def profiles() -> list[str]:
    """Return the names of the profiles."""
    from graphs.profiles import PROFILES

    return list(PROFILES)


def dialects() -> list[str]:
    """Return the names of the dialects."""
    from graphs.profiles import DIALECTS

    return list(DIALECTS)


def segmenters() -> list[str]:
    """Return the names of the segmenters."""
    from tools.segmenters import NAMES

    return list(NAMES)


def searches() -> list[str]:
    """Return what can be searched, by name."""
    from tools.search.choosing import KB
    from tools.search.loading import PROVIDERS

    return [KB, *PROVIDERS]


def devices() -> list[str]:
    """Return the kinds of devices."""
    return ["cpu", "cuda"]
