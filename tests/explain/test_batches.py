from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from explain.batches import images_a_pass, in_batches, spread
from tests.explain.conftest import PatchNet, tiny
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


def spread_over(model: nn.Module, threads: int) -> tuple[torch.Tensor, set[str]]:
    """Scores of ten pictures, and the threads that made them."""
    torch.set_num_threads(threads)
    pictures, names = torch.randn(10, 3, 64, 64, generator=torch.Generator().manual_seed(0)), set[str]()
    told: list[int] = []

    def work(start: int, stop: int) -> torch.Tensor:
        names.add(threading.current_thread().name)
        assert not torch.is_grad_enabled()
        found: torch.Tensor = model(pictures[start:stop])
        return found

    with torch.no_grad():
        found = torch.cat(spread(work, 10, model=model, inputs=pictures, most=3, tell=told.append))
    assert sum(told) == 10
    return found, names


def test_cores_share_the_work_and_the_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.lanes.cores", lambda: 2)
    model = tiny("test_resnet", num_classes=5)
    alone, names = spread_over(model, 1)
    assert names == {threading.current_thread().name}
    together, names = spread_over(model, 2)
    assert all(name.startswith("lane-") for name in names)
    torch.testing.assert_close(together, alone)
    assert torch.get_num_threads() == 2


def test_a_model_of_unknown_make_or_with_hooks_is_run_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.lanes.cores", lambda: 2)
    here = {threading.current_thread().name}
    assert spread_over(PatchNet().eval(), 2)[1] == here
    hooked = tiny("test_resnet", num_classes=5)
    hooked.register_forward_hook(lambda *_: None)
    assert spread_over(hooked, 2)[1] == here
