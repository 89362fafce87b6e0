"""The known-good model on the pictures that an algorithm is examined on: a probe on features that are at hand.

It learns from the very pictures that theirs learns from and is judged on the same others, and no budget cuts it short.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from diagnose.algorithm_context import REFERENCE
from diagnose.context import Context
from diagnose.sandbox.measurements import RunFacts
from diagnose.sandbox.pictures import Pictures

#: The known-good model's run: number of training pictures, of validation pictures, seed of the draw.
KnownGood = Callable[[int, int, int], RunFacts]


def probed(context: Context, pictures: Pictures) -> KnownGood:
    """What stands in for training the known-good recipe.

    Args:
        context: The data, with its features.
        pictures: Drawn from it; their rows are known.
    """
    rows = [np.asarray(rows, dtype=np.int64) for rows in pictures.rows]
    numbers = np.array([pictures.classes.index(n) if n in pictures.classes else -1 for n in context.dataset.classes])

    def run(train: int, validation: int, seed: int) -> RunFacts:
        begun = time.monotonic()
        first, second = pictures.positions(train, validation, seed)
        said = numbers[context.fit_predict(rows[0][first], np.concatenate([rows[1][second], rows[0][first]]))]
        guesses, learnt = said[: len(second)], said[len(second) :]
        labels = np.asarray(pictures.validation_labels)[second]
        right = float((guesses == labels).mean())
        return RunFacts(
            variant=REFERENCE,
            data="theirs",
            seed=seed,
            images=len(first),
            validation=len(second),
            finished=True,
            curve=(),
            predictions=tuple(guesses.tolist()),
            labels=tuple(labels.tolist()),
            train_accuracy=float((learnt == np.asarray(pictures.train_labels)[first]).mean()),
            relabelled=right,
            restated=None,
            flipped=None,
            training_mode=0.0,
            evaluation_mode=0.0,
            clipped=0.0,
            score=None,
            seconds=time.monotonic() - begun,
            step_seconds=0.0,
        )

    return run
