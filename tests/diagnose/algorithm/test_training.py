"""A training that its time limit ends is measured as one that ended by itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from benchmarks.faults.registry import source_of
from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.probe import Certainty
from diagnose.sandbox.training import train
from diagnose.sandbox.workbench import Workbench


@dataclass(frozen=True, kw_only=True)
class Ending(Workbench):
    """A bench whose time is over from the n-th time on that somebody asks."""

    asked: list[None]
    after: int

    @property
    def late(self) -> bool:
        self.asked.append(None)
        return len(self.asked) > self.after


@pytest.mark.parametrize("after", range(5, 13))
def test_their_score_and_ours_are_of_the_same_pictures_wherever_time_runs_out(after, bench_of):
    plain = bench_of(source_of("base"))  # five batches an epoch: six questions, and one at its end
    bench = Ending(theirs=plain.theirs, known_good=plain.known_good, pictures=plain.pictures, asked=[], after=after)

    run = train(bench)

    assert not run.finished
    assert run.score == pytest.approx(run.accuracy)
    context = AlgorithmContext(num_classes=10, runs=(run,))
    assert [o.certainty for o in ALGORITHM_CHECKS["evaluation"]().observe(context)] == [Certainty.NONE]
