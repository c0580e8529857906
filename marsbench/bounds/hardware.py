"""The hardware that a run was played on, made again from what its folder says."""

from __future__ import annotations

from pathlib import Path

from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.runs import RunConfig
from marsbench.text.words import listed

WORDS = ("model", "gpu", "precision", "kv_dtype")
"""What names a hardware that marsbench ships."""


def hardware_of(path: Path, config: RunConfig, profile: Path | None = None) -> Hardware:
    """The run's own, known by its hash; from `profile`, where it had one of its own.

    Raises UsageError where what is made is not what it ran on.
    """
    known = config.hardware
    if profile is None:
        missing = [name for name in WORDS if known.get(name) is None]
        if missing:
            raise UsageError(
                f"{path} does not say the {listed(missing)} that it was played on; give the "
                "profile with --hardware FILE."
            )
        named = [known[name] for name in WORDS[:-1]]
        group = known.get("tensor_parallel")
        found = load_hardware(*named, kv_dtype=known[WORDS[-1]], tp=group)
    else:
        found = load_hardware(profile=profile)
    if found.hash != known.get("hash"):
        raise UsageError(
            f"{path} was played on a profile of one's own or with scaled step times: this needs "
            "the hardware that it ran on; give the profile with --hardware FILE."
        )
    return found
