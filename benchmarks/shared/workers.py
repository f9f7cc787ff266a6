"""Process pool: jobs in processes of their own, each with one thread and a limit of time."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar, cast

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Failure:
    """Why a task has no result."""

    reason: str


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    seconds_a_task: float = math.inf,
    seconds: float = math.inf,
) -> Iterator[tuple[Task, Result | Failure]]:
    """Do the tasks, and yield each with its result as soon as it is there.

    A task that takes too long, raises or kills its process yields a ``Failure`` and the others go on.

    Args:
        work: a function that another process can import.
        tasks: what to call it with; they are started in this order.
        jobs: how many processes.
        seconds_a_task: limit of one task.
        seconds: limit of all; what is not done then is not yielded.
    """
    until = time.monotonic() + seconds
    waiting = list(reversed(tasks))
    workers: list[_Worker[Task, Result]] = [_Worker(work) for _ in range(min(jobs, len(tasks)))]
    try:
        while time.monotonic() < until:
            for worker in workers:
                if worker.task is None and waiting:
                    worker.start(waiting.pop(), seconds_a_task)
            busy = {worker.connection: worker for worker in workers if worker.task is not None}
            if not busy:
                return
            deadline = min(until, *(worker.deadline for worker in busy.values()))
            ready = wait(list(busy), None if deadline == math.inf else max(0.0, deadline - time.monotonic()))
            for connection in ready:
                yield busy[cast(Connection, connection)].finish()
            for worker in workers:
                if worker.task is not None and time.monotonic() >= worker.deadline:
                    yield worker.give_up(f"not finished in {seconds_a_task:g} s")
    finally:
        for worker in workers:
            worker.stop()


class _Worker(Generic[Task, Result]):
    """One process, started again after each task that it did not survive."""

    def __init__(self, work: Callable[[Task], Result]) -> None:
        self._work = work
        self.task: Task | None = None
        self.deadline = math.inf
        self._launch()

    def start(self, task: Task, seconds: float) -> None:
        """Begin a task, once the process has done its imports.

        Raises:
            RuntimeError: the process has died of them.
        """
        if not self._ready:
            try:
                self._ready = self.connection.recv()
            except EOFError as error:
                raise RuntimeError("a worker process could not start; its error is on the standard error") from error
        self.task, self.deadline = task, time.monotonic() + seconds
        self.connection.send(task)

    def finish(self) -> tuple[Task, Result | Failure]:
        """The task and its result, which has arrived."""
        try:
            result: Result | Failure = self.connection.recv()
        except EOFError:
            return self.give_up("its process died")
        return self._done(), result

    def give_up(self, reason: str) -> tuple[Task, Result | Failure]:
        """End the process and take a new one."""
        self.stop()
        self._launch()
        return self._done(), Failure(reason)

    def stop(self) -> None:
        """End the process: one that has begun and has no task goes when the connection closes, and tidies up."""
        if self.task is not None or not self._ready:
            self._process.terminate()
        self.connection.close()
        self._process.join(_GRACE_SECONDS)
        if self._process.is_alive():
            self._process.kill()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ready = False
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._work, other), daemon=True)
        with _one_thread():
            self._process.start()
        other.close()

    def _done(self) -> Task:
        task, self.task = self.task, None
        if task is None:
            raise RuntimeError("a worker without a task has finished")
        return task


def _serve(work: Callable[[Task], Result], connection: Connection) -> None:
    """What a process does: say that it is there, then tasks until the other side hangs up."""
    connection.send(True)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            result: Result | Failure = work(task)
        except Exception as error:
            result = Failure(f"{type(error).__name__}: {error}".splitlines()[0])
        connection.send(result)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A process started within gets one thread, unless the user has said how many."""
    added = [name for name in _THREAD_SETTINGS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
