"""The best accuracy that a data set allows, from below and from above, and a test of both on this very data.

From below: what the best control reaches on images it has not seen. From above: no classifier errs less than the Bayes
error, and the error of the nearest neighbour bounds that: at most twice as large, for infinitely many images (Cover
and Hart 1967, doi:10.1109/TIT.1967.1053964). For finitely many the neighbour errs more; how much less it would err with
many more is judged by how much more it errs with half. The embedding is chosen on one half of the images and judged on
the other. The bound holds for classifiers that see the images as the frozen models do, and no further.

The test (FeeBee, arXiv:2108.13034): labels are drawn anew at random for a share r of the images. The Bayes error must
move from R to R + r (1 - 1/C - R); how far the two ends stray from that is reported, and the upper end moved by it.

Wrong labels lower the ceiling on labels as given. On corrected labels it is higher by what they hide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnose.comparison import accuracy
from diagnose.context import Context
from diagnose.examination import examine, first_block
from diagnose.findings import Ceiling, Estimate, SelfTest
from diagnose.noise import NoiseRate
from diagnose.opinions import IntArray, Judges

SHARES = (0.1, 0.2, 0.4)
ENOUGH = 1000  # images a class, below which an interval under 5 points is not to be had (arXiv:2506.03159)


def estimated_ceiling(context: Context, reached: Estimate) -> Ceiling:
    """The ceiling of the person's data, above what the best control reaches on its held-out images."""
    block = first_block(context)
    return ceiling(
        block.judges,
        block.labels,
        examine(context).held_out_noise,
        num_classes=context.num_classes,
        reached=reached,
        seed=context.seed,
    )


def ceiling(
    judges: Judges,
    labels: IntArray,
    noise: NoiseRate,
    *,
    num_classes: int,
    reached: Estimate | None = None,
    seed: int = 0,
) -> Ceiling:
    """Bound the accuracy that this data allows.

    Args:
        judges: Classifiers made ready on the features.
        labels: Given labels, ``(n,)``.
        noise: The rate of wrong labels.
        num_classes: C, at least 2.
        reached: What the best control reaches on images that it has not seen; what the judges reach unless given.
        seed: Chooses halves, and the labels that are drawn anew.
    """
    rng = np.random.default_rng(seed)
    half = rng.random(len(labels)) < 0.5
    own = accuracy(judges(labels, num_classes).predicted == labels)
    best = own if reached is None else reached
    bound = bayes_bound(judges, labels, half, num_classes=num_classes)
    test = _self_test(judges, labels, half, (own.value, bound.value), num_classes=num_classes, rng=rng)
    top = min(1.0, max(bound.interval[1], best.interval[1]) + test.short)
    given = Estimate(value=best.value, interval=(best.interval[0], top))
    smallest = int(np.bincount(labels, minlength=num_classes).min())
    return Ceiling(
        given=given,
        corrected=corrected(given, noise),
        self_test=test,
        smallest_class=smallest,
        enough=smallest >= ENOUGH,
    )


def corrected(given: Estimate, noise: NoiseRate) -> Estimate:
    """The ceiling on right labels: a model that is right where the label is wrong is no longer counted wrong."""
    value, (low, high) = noise.rate.value, noise.rate.interval
    raised = [
        min(1.0, end / max(1 - rate, 1e-6))
        for end, rate in zip((*given.interval, given.value), (low, high, value), strict=True)
    ]
    return Estimate(value=raised[2], interval=(raised[0], raised[1]))


def bayes_bound(judges: Judges, labels: IntArray, half: npt.NDArray[np.bool_], *, num_classes: int) -> Estimate:
    """The largest accuracy that the error of the nearest neighbour leaves room for.

    Args:
        judges: Classifiers made ready on the features.
        labels: Class numbers, ``(n,)``.
        half: The images that the embedding is chosen on, ``(n,)``; it is judged on the others, and half of the
            neighbours are taken away to see what their number does.
        num_classes: C.
    """
    wrong = judges.nearest_label(labels) != labels
    best = int(wrong[:, half].mean(axis=1).argmin())
    error = 1 - accuracy(~wrong[best, ~half]).value
    fewer = float((judges.nearest_label(labels, among=half)[best, ~half] != labels[~half]).mean())
    gain = max(fewer - error, 0.0)  # what the last doubling won; all further ones are taken to win as much together
    spread = 2 * float(np.sqrt(max(error * (1 - error), 1e-9) / max(int((~half).sum()), 1)))
    ends = [1 - cover_hart(float(np.clip(e, 0, 1)), num_classes) for e in (error - gain, error, error - gain - spread)]
    return Estimate(value=ends[0], interval=(ends[1], ends[2]))


def cover_hart(error: float, num_classes: int) -> float:
    """The least Bayes error under which the nearest neighbour can err so often (Cover and Hart 1967)."""
    most = (num_classes - 1) / num_classes
    return most * (1 - float(np.sqrt(max(0.0, 1 - error / most))))


def _self_test(
    judges: Judges,
    labels: IntArray,
    half: npt.NDArray[np.bool_],
    ends: tuple[float, float],
    *,
    num_classes: int,
    rng: np.random.Generator,
) -> SelfTest:
    """Draw labels anew for growing shares of the images, and look where the two ends go."""
    found = np.empty((2, len(SHARES)))
    for i, share in enumerate(SHARES):
        drawn = labels.copy()
        rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
        drawn[rows] = rng.integers(0, num_classes, len(rows))
        found[0, i] = (judges(drawn, num_classes).predicted == drawn).mean()
        found[1, i] = bayes_bound(judges, drawn, half, num_classes=num_classes).value
    shares = np.array(SHARES)
    expected = np.outer(ends, 1 - shares) + shares / num_classes
    return SelfTest(shares=SHARES, expected=_rows(expected), found=_rows(found))


def _rows(ends: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(map(float, ends[0])), tuple(map(float, ends[1]))
