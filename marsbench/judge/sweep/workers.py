"""A few processes that each import the simulator once and play many cells.

A cell that raises, or takes its process with it, is a failed cell and no more: the others go on.
When this process dies, however it dies, its workers follow at once.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from marsbench.errors import MarsbenchError

Task = TypeVar("Task")
_KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Task]):
    """A task that is over: error is None or one sentence, detail what a programmer wants."""

    task: Task
    error: str | None = None
    detail: str | None = None


@dataclass
class Queue(Generic[Task]):
    """Tasks in groups that share work: a worker stays in its group, then takes a fresh one.

    Only when no group is untouched do workers help each other out.
    """

    groups: list[list[Task]]
    _taken: dict[int, int] = field(default_factory=dict)

    def next(self, worker: int) -> Task | None:
        """The next task for this worker; None when all are taken."""
        order = [self._taken.get(worker), *self._untouched(), *range(len(self.groups))]
        for place in order:
            if place is not None and self.groups[place]:
                self._taken[worker] = place
                task: Task = self.groups[place].pop(0)
                return task
        return None

    def _untouched(self) -> list[int]:
        taken = set(self._taken.values())
        return [place for place in range(len(self.groups)) if place not in taken]


@dataclass(slots=True)
class _Worker(Generic[Task]):
    number: int
    process: BaseProcess
    orders: Connection
    task: Task


def play_all(
    groups: Sequence[Sequence[Task]], play: Callable[[Task], None], jobs: int
) -> Iterator[Outcome[Task]]:
    """Outcomes as they come. `play` and the tasks must be picklable.

    Leaving the iteration early, by Ctrl-C say, stops every worker.
    """
    queue = Queue([list(group) for group in groups if group])
    busy: dict[Connection, _Worker[Task]] = {}
    try:
        for number in range(min(jobs, sum(map(len, groups)))):
            _employ(number, queue, play, busy)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                yield _collect(ready, queue, play, busy)
    finally:
        for worker in busy.values():
            worker.process.kill()
        for worker in busy.values():
            worker.process.join()


def _employ(
    number: int,
    queue: Queue[Task],
    play: Callable[[Task], None],
    busy: dict[Connection, _Worker[Task]],
) -> None:
    """Start a worker on the next task, if there is one."""
    task = queue.next(number)
    if task is None:
        return
    # A fresh interpreter: vLLM and its threads do not survive a fork.
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, play), daemon=True)
    process.start()
    there.close()
    here.send(task)
    busy[here] = _Worker(number, process, here, task)


def _collect(
    ready: Connection,
    queue: Queue[Task],
    play: Callable[[Task], None],
    busy: dict[Connection, _Worker[Task]],
) -> Outcome[Task]:
    """What came of a worker's task; it gets the next one, or its successor does."""
    worker = busy[ready]
    done = worker.task
    try:
        error, detail = ready.recv()
    except (EOFError, OSError):
        del busy[ready]
        _employ(worker.number, queue, play, busy)
        return Outcome(done, _last_words(worker.process))
    task = queue.next(worker.number)
    ready.send(task)
    if task is None:
        del busy[ready]
        worker.process.join()
    else:
        worker.task = task
    return Outcome(done, error, detail)


def _last_words(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode
    why = ", killed: perhaps out of memory, try fewer --jobs" if code == _KILLED else ""
    return f"its process ended (exit code {code}{why})"


def _serve(orders: Connection, play: Callable[[Task], None]) -> None:
    """A worker's life: play until there is nothing left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # One core each: more threads than that only fight over them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    while (task := orders.recv()) is not None and not _orphaned():
        orders.send(_tried(play, task))


def _tried(play: Callable[[Task], None], task: Task) -> tuple[str | None, str | None]:
    try:
        play(task)
    except MarsbenchError as error:
        return str(error), traceback.format_exc()
    except Exception as error:
        return f"{type(error).__name__}: {error}", traceback.format_exc()
    return None, None


def _die_with_parent() -> None:
    _orphaned(None)
    os._exit(1)


def _orphaned(within_s: float | None = 0.0) -> bool:
    """Whether the parent has ended, or ends within these seconds; None waits for it."""
    parent = parent_process()
    assert parent is not None
    return bool(wait([parent.sentinel], within_s))
