"""Threads that do a round's parts together.  Native calls run without Python's lock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeAlias

Part: TypeAlias = Callable[[int, int], object]

# The main thread wakes up this often while it waits, so that Ctrl-C is seen.
WAKE_SECONDS = 0.1


class Team:
    """``size`` workers, of which the caller is number 0; the others start when needed."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self, part: Part, count: int) -> None:
        """Call ``part(worker, number)`` for each number below ``count``, in any order.

        Raises what a part raised, after all workers have stopped.
        """
        if self.size == 1 or count <= 1:
            for number in range(count):
                part(0, number)
            return
        self._start()
        job = _Job(part, count)
        others = min(self.size, count) - 1
        for _ in range(others):
            self._jobs.put(job)
        job.work(0)
        job.wait(others)

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self) -> None:
        while len(self._threads) < self.size - 1:
            worker = len(self._threads) + 1
            thread = threading.Thread(target=self._serve, args=(worker,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, worker: int) -> None:
        while (job := self._jobs.get()) is not None:
            job.work(worker)
            job.finished.put(worker)


class _Job:
    """One round's parts; each worker takes the next until none is left."""

    def __init__(self, part: Part, count: int) -> None:
        self.part, self.count = part, count
        self.numbers: Iterator[int] = itertools.count()  # next() is atomic in CPython
        self.finished: SimpleQueue[int] = SimpleQueue()
        self.error: BaseException | None = None

    def work(self, worker: int) -> None:
        try:
            while self.error is None and (number := next(self.numbers)) < self.count:
                self.part(worker, number)
        except BaseException as error:
            self.error = error

    def wait(self, others: int) -> None:
        for _ in range(others):
            while True:
                try:
                    self.finished.get(timeout=WAKE_SECONDS)
                    break
                except Empty:
                    continue
        if self.error is not None:
            raise self.error
