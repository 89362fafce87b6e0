"""Work spread over threads, each with one core: no stage waits for another, and nothing piles up between stages.

A lane takes the next chunk, does everything that is to be done with it, and takes another. Decoding and PyTorch both
release the interpreter's lock. On a processor this keeps every core busy to the end; where the forward pass runs on an
accelerator, the other lanes decode meanwhile.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(work: Callable[[T], int], chunks: Iterable[T], *, lanes: int, done: Callable[[int], None]) -> None:
    """Does ``work`` on every chunk.

    An error in one lane, or Ctrl-C, lets every lane finish the chunk it is at, and is then raised here.

    Args:
        work: Called with a chunk, from several threads at once; PyTorch uses one core in it. Gives how many items
            it did.
        chunks: Taken one by one, never ahead of need.
        lanes: How many threads.
        done: Told in this thread how many more items are done.
    """
    before = torch.get_num_threads()
    crew = _Crew(work, iter(chunks), lanes)
    try:
        crew.watch(done)
    finally:
        crew.dismiss()
        torch.set_num_threads(before)  # the count is each thread's own, but new threads take the last one set
    if crew.error is not None:
        raise crew.error


class _Crew(Generic[T]):
    def __init__(self, work: Callable[[T], int], chunks: Iterator[T], lanes: int) -> None:
        self.error: BaseException | None = None
        self._work, self._chunks = work, chunks
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._reports: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._lane, name=f"lane-{i}", daemon=True) for i in range(lanes)]
        for thread in self._threads:
            thread.start()

    def watch(self, done: Callable[[int], None]) -> None:
        """Passes reports on until every lane has ended."""
        at_work = len(self._threads)
        while at_work:
            report = self._reports.get()
            if report is None:
                at_work -= 1
            else:
                done(report)

    def dismiss(self) -> None:
        """Waits until every lane has finished its chunk."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _lane(self) -> None:
        torch.set_num_threads(1)
        try:
            while (chunk := self._next()) is not None:
                self._reports.put(self._work(chunk))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self.error = self.error or error
            self._stop.set()
        finally:
            self._reports.put(None)

    def _next(self) -> T | None:
        with self._turn:
            return None if self._stop.is_set() else next(self._chunks, None)
