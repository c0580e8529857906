"""Play a sweep on a Ray cluster: `marsbench sweep --ray ADDRESS`.

A run folder is the only thing that crosses: each cell is played in a temporary folder of its node
and comes back whole as an archive, so the nodes need no file system in common. They need the same
marsbench, and the files that the sweep names; a node that differs refuses the cell.
"""

from __future__ import annotations

import io
import logging
import os
import platform
import tarfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from marsbench.errors import MarsbenchError, UsageError
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash, play
from marsbench.judge.sweep.workers import Outcome
from marsbench.outputs import unpack

LOCAL = "local"
"""The address of a cluster that is started on this machine and stopped at the end."""

Play = Callable[[Order], None]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a node sends back: the cell's folder as a tar archive, or why there is none."""

    archive: bytes = b""
    error: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A player of sweeps. `address` as Ray takes it: "auto", "HOST:PORT", "ray://…", "local"."""

    address: str
    play: Play = play

    def __call__(
        self, groups: Sequence[Sequence[Order]], jobs: int | None
    ) -> Iterator[Outcome[Order]]:
        """Outcomes as they come, `jobs` cells at a time (one a CPU of the cluster).

        Raises UsageError when there is no such cluster.
        """
        with _connected(self.address, jobs) as ray:
            at_once = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            # A node that dies fails the cell that it played; nothing is played twice unseen.
            remote = ray.remote(num_cpus=1, max_retries=0)(play_away)
            waiting = iter(list(chain.from_iterable(groups)))
            busy = {remote.remote(self.play, order): order for order in islice(waiting, at_once)}
            while busy:
                ready, _ = ray.wait(list(busy), num_returns=1)
                order = busy.pop(ready[0])
                busy.update({remote.remote(self.play, o): o for o in islice(waiting, 1)})
                yield _settled(ray, order, ready[0])


def play_away(play: Play, order: Order) -> Returned:
    """Play an order on whatever node this is. Every failure is an answer."""
    try:
        _check_same(order)
        with TemporaryDirectory(prefix="marsbench-") as root:
            play(replace(order, root=Path(root)))
            return Returned(_packed(Path(root) / order.cell.name))
    except MarsbenchError as error:
        return Returned(error=str(error), detail=traceback.format_exc())
    except Exception as error:
        return Returned(error=f"{type(error).__name__}: {error}", detail=traceback.format_exc())


def _check_same(order: Order) -> None:
    if inputs_hash(order.cell) != order.inputs:
        raise MarsbenchError(
            f"Node {platform.node()} has another marsbench, or other files, than the machine that "
            "asks; install the same on all."
        )


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _settled(ray: Any, order: Order, reference: Any) -> Outcome[Order]:
    """The cell's folder put in its place, or why it failed."""
    try:
        returned: Returned = ray.get(reference)
    except ray.exceptions.RayError as error:
        first_line = str(error).strip().partition("\n")[0]
        return Outcome(order, f"its node or worker was lost: {first_line}", str(error))
    if returned.error is None:
        folder, name = SweepFolder(order.root), order.cell.name
        with tarfile.open(fileobj=io.BytesIO(returned.archive)) as archive:
            unpack(archive, folder.draft(name))
        folder.keep(name, order.cell.place, order.inputs)
    return Outcome(order, returned.error, returned.detail)


@contextmanager
def _connected(address: str, jobs: int | None) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    own: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UsageError(
            f"No Ray cluster answers at --ray {address}: {reason}; give HOST:PORT of its head, "
            "auto for the one of this machine, or local to start one."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
