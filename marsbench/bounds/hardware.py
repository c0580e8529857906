"""The hardware that a run was played on, made again from what its folder says."""

from __future__ import annotations

from pathlib import Path

from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.runs import RunConfig


def hardware_of(path: Path, config: RunConfig, profile: Path | None = None) -> Hardware:
    """The run's own, known by its hash; from `profile`, where it had one of its own.

    Raises UsageError where what is made is not what it ran on.
    """
    known = config.hardware
    if profile is None:
        # Folders of before KV types were told apart name none, and have another hash.
        kv_dtype = known.get("kv_dtype", "auto")
        found = load_hardware(known["model"], known["gpu"], known["precision"], kv_dtype=kv_dtype)
    else:
        found = load_hardware(profile=profile)
    if found.hash != known.get("hash"):
        raise UsageError(
            f"{path} was played on a profile of one's own or with scaled step times: this needs "
            "the hardware that it ran on; give the profile with --hardware FILE."
        )
    return found
