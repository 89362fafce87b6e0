"""What is right: rows of the benchmark against what the diagnosis said. Computes only; ``report`` prints.

A case whose fault costs less than three points is a remark: it is scored on whether the fault is named at all, and its
verdict counts nowhere. Nor does that of a healthy set of which nobody can say whether it has too few pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
VERDICTS = ("data", "algorithm", "both", "nothing", "undetermined")
LEAST = 0.03  # accuracy that a fault costs at least to count
#: Accuracy that twice the pictures win on fresh ones: up to where a healthy set has enough, and from where it has too few.
ENOUGH, TOO_FEW = 0.04, 0.1
_UNDER = 0.03  # by which a sound file may lie under the known-good recipe
#: What the points of a cause claim, by the names of ``truth.Claims``; causes that are left out claim none of these.
_CLAIMS = {
    **dict.fromkeys(("label-noise", "off-topic", "image-quality", "split-shift", "class-overlap"), "lost"),
    **dict.fromkeys(("split-leakage", "group-leakage", "duplicates"), "inflated"),
    "class-imbalance": "balanced",
    "too-few-images": "doubling",
}


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One case.

    Attributes:
        expected: The right verdict; ``remark`` where the fault costs too little to be one.
        said: The verdict.
        rank: At which place the first right cause stands, from 1; 0 where it is not among the causes.
        named: Whether a right cause is named at all, remarks included.
    """

    row: Row
    expected: str
    said: str
    rank: int
    named: bool

    @property
    def right(self) -> bool:
        """Whether the verdict is the right one."""
        return self.said == self.expected

    @property
    def wrong(self) -> bool:
        """Whether it is another one, and not that it cannot tell."""
        return not self.right and self.said != "undetermined"


def score(rows: Sequence[Row]) -> list[Scored]:
    """Every case that ran to its end."""
    healthy = {
        (row["source"], row["seed"], row["file"]): row for row in rows if row["kind"] == "healthy" and "said" in row
    }
    return [_scored(row, healthy) for row in rows if "said" in row]


def _scored(row: Row, healthy: dict[tuple[Any, ...], Row]) -> Scored:
    said = row["said"]
    names = [cause["name"] for cause in said["causes"]]
    accepted = {*row["data_causes"], *row["code_causes"]}
    rank = next((place for place, name in enumerate(names, 1) if name in accepted), 0)
    remarked = accepted & {remark["name"] for remark in said["remarks"]}
    return Scored(
        row=row, expected=expected(row, healthy), said=said["verdict"], rank=rank, named=bool(rank or remarked)
    )


def expected(row: Row, healthy: dict[tuple[Any, ...], Row]) -> str:
    """The right verdict: what each planted fault costs beside the healthy twin says whether it counts."""
    data = row["data"] is not None and row["cost"] >= LEAST
    code = row["code"] is not None and code_cost(row, healthy) >= LEAST
    if row["kind"] == "healthy" and row["file"] and short_of_reference(row):
        return "algorithm"
    if row["kind"] == "healthy" and row.get("doubling", 0.0) >= TOO_FEW:
        return "data"
    if row["kind"] == "healthy" and row.get("doubling", 0.0) > ENOUGH:
        return "remark"
    if data and code:
        return "both"
    if data or code:
        return "data" if data else "algorithm"
    return "nothing" if row["kind"] == "healthy" else "remark"


def code_cost(row: Row, healthy: dict[tuple[Any, ...], Row]) -> float:
    """What a fault in the code costs: the healthy file's accuracy in the same world minus this one's."""
    if not row["measured"]:
        return 1.0
    if "code_cost" in row:
        return float(row["code_cost"])
    twin, own = healthy.get((row["source"], row["seed"], row["file"])), _theirs(row)
    if own is None:
        return 1.0  # it did not even train
    if row["data"] is not None:
        return _known_good(row) - own
    reached = None if twin is None else _theirs(twin)
    return (_known_good(row) if reached is None else reached) - own


def short_of_reference(row: Row) -> bool:
    """Whether a file in which nothing was planted does worse than the known-good recipe all the same."""
    own = _theirs(row)
    return own is not None and _known_good(row) - own >= _UNDER


def _theirs(row: Row) -> float | None:
    found = row["said"]["controls"].get("theirs")
    return None if found is None else float(found[0])


def _known_good(row: Row) -> float:
    controls = row["said"]["controls"]
    return float(controls.get("known-good", controls.get("reference", [0.0]))[0])


def share(flags: Iterable[bool]) -> tuple[float, int]:
    """How many are true, as a fraction, and of how many."""
    found = list(flags)
    return (sum(found) / len(found) if found else float("nan")), len(found)


def confusion(scored: Sequence[Scored]) -> dict[str, dict[str, int]]:
    """Counts by right verdict and given one."""
    return {
        right: {given: sum(s.expected == right and s.said == given for s in scored) for given in VERDICTS}
        for right in (*VERDICTS[:4], "remark")
    }


def coverage(scored: Sequence[Scored]) -> dict[str, tuple[float, int]]:
    """How often intervals hold the truth, by what they are of."""
    noise = []
    for s in scored:
        row = s.row
        found = [c for c in (*row["said"]["causes"], *row["said"]["remarks"]) if c["name"] == "label-noise"]
        if found and found[0]["rate"] and found[0]["rate"]["interval"] and not row["code"]:
            (low, high), (least, most) = found[0]["rate"]["interval"], row["noise"]
            noise.append(low <= most and least <= high)
    points = [
        _holds(cause["points"], s.row["points"][claim])
        for s in scored
        if s.row["kind"] == "data" and s.rank
        for cause in s.row["said"]["causes"][s.rank - 1 : s.rank]
        if cause["points"] and (claim := _CLAIMS.get(cause["name"])) in s.row["points"]
    ]
    return {"noise rate": share(noise), "points of the cause": share(points)}


def _holds(said: Row, truth: Sequence[float]) -> bool:
    """Whether an interval holds what was measured: the measurement's own error is added to it in squares."""
    (value, error), (low, high) = truth, said["interval"]
    reach = said["value"] - low if value < said["value"] else high - said["value"]
    return abs(value - said["value"]) <= (reach**2 + (1.96 * error) ** 2) ** 0.5


def always_algorithm(scored: Sequence[Scored]) -> list[bool]:
    """The baseline that blames the code whatever it sees."""
    return [s.expected == "algorithm" for s in scored]


def bare_rule(scored: Sequence[Scored], threshold: float) -> list[bool]:
    """The baseline that blames the data where a probe is under a threshold, else the code where there is some."""

    def says(s: Scored) -> str:
        if s.row["said"]["controls"].get("reference", [0.0])[0] < threshold:
            return "data"
        return "algorithm" if s.row["file"] else "nothing"

    return [says(s) == s.expected for s in scored]


def best_threshold(scored: Sequence[Scored]) -> float:
    """The threshold with which the bare rule is right most often; to be chosen on the development half."""
    return max((t / 100 for t in range(30, 100)), key=lambda t: sum(bare_rule(scored, t)))
