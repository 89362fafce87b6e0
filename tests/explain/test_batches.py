from __future__ import annotations

import pytest
import torch

from explain.batches import images_a_pass, in_batches
from zoo.errors import DeviceError


def test_a_processor_gets_few_large_images_at_a_time_and_many_small_ones() -> None:
    torch.set_num_threads(2)
    assert images_a_pass(torch.empty(16, 3, 224, 224), 16) == 4
    assert images_a_pass(torch.empty(16, 3, 32, 32), 16) == 16
    assert images_a_pass(torch.empty(1, 3, 4000, 4000), 16) == 2
    assert images_a_pass(torch.empty(1, 3, 4000, 4000), 1) == 1
    assert images_a_pass(torch.empty(0, 3, 0, 0), 16) == 16


def test_an_accelerator_gets_all_that_it_may() -> None:
    assert images_a_pass(torch.empty(16, 3, 4000, 4000, device="meta"), 16) == 16


def test_running_out_of_memory_halves_the_batch_and_never_fails() -> None:
    sizes = []

    def work(start: int, stop: int) -> int:
        sizes.append(stop - start)
        if stop - start > 2:
            raise torch.OutOfMemoryError("out of memory")
        return stop - start

    assert sum(in_batches(work, 9, 8)) == 9
    assert sizes[:3] == [8, 4, 2]
    with pytest.raises(DeviceError, match="Not even one"):
        in_batches(lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")), 3, 2)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def work(_start: int, _stop: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(work, 3, 2)
