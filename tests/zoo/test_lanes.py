"""Lanes: every chunk once, errors and interrupts clean."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from zoo import lanes


def test_every_chunk_is_done_once_and_counted():
    seen, counts = [], []
    lanes.run(lambda chunk: seen.append(chunk) or 2, range(50), lanes=4, done=counts.append)
    assert sorted(seen) == list(range(50))
    assert counts == [2] * 50


def test_chunks_are_not_taken_ahead_of_need():
    taken = []

    def chunks():
        for i in range(100):
            taken.append(i)
            yield i

    def work(chunk):
        if chunk == 3:
            raise ValueError("stop")
        return 1

    with pytest.raises(ValueError, match="stop"):
        lanes.run(work, chunks(), lanes=2, done=lambda _: None)
    assert len(taken) < 20


def test_pytorch_has_one_core_in_a_lane_and_its_cores_back_afterwards():
    before = torch.get_num_threads()
    counts = []
    lanes.run(lambda _: counts.append(torch.get_num_threads()) or 1, range(3), lanes=2, done=lambda _: None)
    assert counts == [1, 1, 1]
    assert torch.get_num_threads() == before


def test_an_interrupt_lets_the_lanes_finish_their_chunk():
    finished = []

    def work(chunk):
        time.sleep(0.001)  # or all is done before the interrupt comes
        finished.append(chunk)
        return 1

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lanes.run(work, range(10_000), lanes=2, done=interrupt)
    assert 1 <= len(finished) < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
