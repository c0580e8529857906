"""Which tests stay together when several processes share them out."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

ONE_PROCESS = ("tests/cli/", "tests/report/")
"""What these folders' tests share once a session, each process would make anew."""


def group(nodeid: str) -> str:
    """A file, for what its tests share is made once; or a folder of `ONE_PROCESS`."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in ONE_PROCESS if file.startswith(folder)), file)


class ByFile(LoadScopeScheduling):
    """Deals out groups. (`--dist loadgroup` of xdist 3.8 does not see groups under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
