"""A worker that is kept from computing is waited for; one that sleeps, or computes without end, is not."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from diagnose.sandbox.patience import processor_seconds, starved, wants_to_run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


@pytest.fixture
def started():
    """A Python process of this text, given a moment."""
    processes = []

    def start(text: str) -> int:
        process = subprocess.Popen([sys.executable, "-c", f"print(flush=True)\n{text}"], stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        return process.pid

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_process_that_computes_wants_to_and_its_time_is_counted(started):
    pid = started("while True: pass")
    before = processor_seconds(pid)
    time.sleep(1.0)

    assert wants_to_run(pid)
    assert 0 < processor_seconds(pid) - before <= 1.2


def test_it_is_starved_until_it_has_had_half_of_what_it_was_given(started):
    pid = started("while True: pass")
    had = processor_seconds(pid)

    assert starved(pid, before=had, seconds=60.0)
    assert not starved(pid, before=had - 31.0, seconds=60.0)


def test_a_process_that_sleeps_is_not_starved(started):
    pid = started("import time\ntime.sleep(60)")

    assert not wants_to_run(pid)
    assert not starved(pid, before=processor_seconds(pid), seconds=60.0)


def test_a_process_that_is_gone_is_not_starved():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert not starved(process.pid, before=0.0, seconds=60.0)
