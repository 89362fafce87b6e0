"""Code that stops: an exception, a hang, ``exit()``, no memory, numbers that are not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import Mishap

_KINDS = {
    "crash": "raises",
    "hang": "hangs",
    "exit": "ends the process",
    "memory": "runs out of memory",
    "died": "ends the process",
}
_REMEDIES = {
    "crash": "Mend the line; run it by hand on one batch to see the whole traceback.",
    "hang": "Look for a loop without end, an input(), or a lock on that line.",
    "exit": "Take the exit() away, or guard it with `if __name__ == '__main__':`.",
    "memory": "Use smaller batches or pictures, or free what is kept between steps (loss.item()).",
    "died": "Look for native code that crashes on that line.",
}


@ALGORITHM_CHECKS.register("crash")
@dataclass(frozen=True, kw_only=True)
class Crash(Probe):
    """Does the code run to its end?

    What it does: Collects what stopped the experiments: exceptions, no answer in time, ``exit()``, no memory, an
    output that is not a tensor where the default step needs one, a loss that is not a number from the first step
    on.

    Why it is bad: Nothing was trained.

    Known problems: A time limit that suits a small experiment can be too short on a busy machine; the limit is in
    the message.

    Remedy: The line that did it is named.

    References: Zhang et al., An Empirical Study on Program Failures of Deep Learning Jobs (ICSE 2020).
    """

    name = "crash"
    causes = ("crash",)

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation: the first mishap of the algorithm as it stands."""
        if context.mishaps:
            return [_of_mishap(context.mishaps[0])]
        step = context.step
        if step is not None and not math.isfinite(step.initial_loss) and not math.isfinite(step.cross_entropy):
            message = "The loss of the very first step is not a number."
            remedy = "Look for a division by zero, log(0) or raw 0-255 pixels on the way to the loss."
            return [Observation(cause="crash", certainty=Certainty.HINT, message=message, remedy=remedy)]
        return [Observation(cause="crash", certainty=Certainty.NONE)]


def _of_mishap(mishap: Mishap) -> Observation:
    where = f" at {mishap.file}:{mishap.line} `{mishap.source}`" if mishap.line is not None else ""
    return Observation(
        cause="crash",
        certainty=Certainty.SURE,
        message=f"The code {_KINDS[mishap.kind]}{where} ({mishap.experiment}): {mishap.error}.",
        remedy=_REMEDIES[mishap.kind],
        evidence=(Evidence(statistic="line", value=float(mishap.line or 0)),),
    )
