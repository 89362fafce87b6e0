"""Shortcuts: suspected from heatmaps, confirmed only by an experiment.

Heatmaps alone must not claim a shortcut: Adebayo et al., "Post hoc explanations may be ineffective for detecting
unknown spurious correlation", ICLR 2022, arXiv:2212.04629. So every suspect is tried twice on the pixels: what does
the class lose when the place is redrawn, and what do other classes' images gain when it is pasted into them, both
against a control with the same artefacts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from explain.batches import images_a_pass, in_batches
from explain.isolation import isolated
from explain.regions import Backgrounds, backgrounds, erase, paste, random_regions, recolour, standard_regions
from explain.structure import logits

IntArray = npt.NDArray[np.int64]
BACKGROUND = "background colour"


class Level(StrEnum):
    """How much is claimed."""

    SUSPECT = "suspect"  # seen in heatmaps or colours, not tested
    NOT_CONFIRMED = "not confirmed"  # tested; the interval reaches down to 0
    CONFIRMED = "confirmed"  # tested; effect minus control lies above 0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A paired experiment, in units of the class's probability.

    Attributes:
        effect: Mean change by the intervention.
        control: Mean change by its control.
        interval: Of ``effect - control``: 95 % for all tests of a run together (Bonferroni).
        sample_size: Image pairs.
    """

    effect: float
    control: float
    interval: tuple[float, float]
    sample_size: int

    @property
    def difference(self) -> float:
        """Effect minus control."""
        return self.effect - self.control


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """One place that may decide one class.

    Attributes:
        label: Index of the class.
        region: Name of the place.
        level: What is claimed.
        relevance: Share of the class's positive relevance that lies in the place.
        area: Share of the picture that the place takes.
        erased: Loss of probability where the place is redrawn, against the control.
        pasted: Gain of probability in other classes' images that receive the place, against the control.
        examples: Positions of images that show it, most telling first.
    """

    label: int
    region: str
    level: Level
    relevance: float
    area: float
    erased: Effect | None = None
    pasted: Effect | None = None
    examples: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShortcutSettings:
    """Thresholds of the search.

    Attributes:
        most_suspects: Places tested for each class, the most suspect first; besides the rim and the background's
            colour.
        most_images: Image pairs for each test.
        fewest_images: With fewer images of a class, or of other classes, nothing is tested.
        smallest_effect: A difference below this (probability) is never confirmed, however certain.
        density: Relevance share over area share from which a place is suspect.
    """

    most_suspects: int = 3
    most_images: int = 32
    fewest_images: int = 8
    smallest_effect: float = 0.02
    density: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the search works on.

    Attributes:
        inputs: Normalised images ``(n, channels, rows, columns)``.
        labels: Their true classes ``(n,)``.
        maps: Heatmaps for the true class ``(n, rows, columns)``, signed.
    """

    inputs: Tensor
    labels: IntArray
    maps: Tensor


def find_shortcuts(
    model: nn.Module, evidence: Evidence, *, settings: ShortcutSettings | None = None, seed: int = 0, batch: int = 64
) -> tuple[Shortcut, ...]:
    """Suspects of every class, tested where there are images enough; confirmed ones first.

    Args:
        model: The classifier; it is left as it came.
        evidence: Labelled images with heatmaps, better none that the model was trained on.
        settings: Thresholds.
        seed: Of pairs and controls.
        batch: Images a pass.
    """
    settings = settings or ShortcutSettings()
    found = backgrounds(evidence.inputs)
    suspected = suspects(evidence, found, settings)
    trial = _Trial(model=model, evidence=evidence, backgrounds=found, settings=settings, batch=batch)
    generator = torch.Generator().manual_seed(seed)
    # Bonferroni over classes, their suspects and the two experiments.
    tests = max(1, 2 * len(suspected))
    tested = [trial.run(suspect, tests, generator) for suspect in suspected]
    order = (Level.CONFIRMED, Level.NOT_CONFIRMED, Level.SUSPECT)
    return tuple(sorted(tested, key=lambda s: (order.index(s.level), -(s.pasted.difference if s.pasted else 0.0))))


def suspects(evidence: Evidence, found: Backgrounds, settings: ShortcutSettings) -> list[Shortcut]:
    """Places where a class's maps hold more than the places' share, and more than other classes' maps hold there."""
    regions = standard_regions(evidence.inputs.shape[2], evidence.inputs.shape[3])
    positive = evidence.maps.clamp_min(0).double()
    total = positive.sum((1, 2)).clamp_min(1e-12)
    shares = {name: (positive[:, mask].sum(1) / total).numpy() for name, mask in regions.items()}
    areas = {name: float(mask.double().mean()) for name, mask in regions.items()}
    suspected = []
    for label in np.unique(evidence.labels):
        own = evidence.labels == label
        if own.all():
            continue
        ranked = sorted(regions, key=lambda name: -(shares[name][own].mean() - shares[name][~own].mean()) / areas[name])
        # The rim is made of edges and corners, which may each look a little more suspect than the whole.
        for name in dict.fromkeys([*ranked[: settings.most_suspects], "rim"]):
            relevance = float(shares[name][own].mean())
            if relevance > settings.density * areas[name] and relevance > shares[name][~own].mean():
                suspected.append(_suspect(int(label), name, relevance, areas[name]))
        if _colour_stands_out(found, own):
            masks = found.masks[torch.from_numpy(own)].cpu()
            inside = (positive[torch.from_numpy(own)] * masks).sum((1, 2)) / total[torch.from_numpy(own)]
            suspected.append(_suspect(int(label), BACKGROUND, float(inside.mean()), float(masks.double().mean())))
    return suspected


def _suspect(label: int, region: str, relevance: float, area: float) -> Shortcut:
    return Shortcut(label=label, region=region, level=Level.SUSPECT, relevance=relevance, area=area)


def _colour_stands_out(found: Backgrounds, own: npt.NDArray[np.bool_]) -> bool:
    """Whether a class's plain backgrounds differ in colour from the others' by more than they vary (0.8)."""
    plain = found.plain.cpu().numpy()
    mine, others = found.colours.cpu()[own & plain].numpy(), found.colours.cpu()[~own & plain].numpy()
    if min(len(mine), len(others)) < 2 or plain[own].mean() < 0.5:
        return False
    spread = np.sqrt((mine.var(0, ddof=1) + others.var(0, ddof=1)) / 2)
    return bool((np.abs(mine.mean(0) - others.mean(0)) > 0.8 * np.maximum(spread, 1e-6)).any())


@dataclass(frozen=True, kw_only=True)
class _Trial:
    model: nn.Module
    evidence: Evidence
    backgrounds: Backgrounds
    settings: ShortcutSettings
    batch: int

    def run(self, suspect: Shortcut, tests: int, generator: torch.Generator) -> Shortcut:
        """The suspect, tested where there are images enough."""
        usable = torch.from_numpy(self.evidence.labels == suspect.label)
        others = ~usable
        if suspect.region == BACKGROUND:
            usable, others = usable & self.backgrounds.plain.cpu(), others & self.backgrounds.plain.cpu()
        own, other = usable.nonzero()[:, 0], others.nonzero()[:, 0]
        if min(len(own), len(other)) < self.settings.fewest_images:
            return suspect
        make = self._recoloured if suspect.region == BACKGROUND else self._redrawn
        erased, pasted, order = make(suspect, own, other, generator)
        effects = _effect(*erased, tests), _effect(*pasted, tests)
        least = self.settings.smallest_effect
        sure = all(e.interval[0] > 0 and e.difference > least for e in effects)
        level = Level.CONFIRMED if sure else Level.NOT_CONFIRMED
        return Shortcut(
            label=suspect.label,
            region=suspect.region,
            level=level,
            relevance=suspect.relevance,
            area=suspect.area,
            erased=effects[0],
            pasted=effects[1],
            examples=tuple(int(k) for k in order[:6]),
        )

    def _pairs(self, pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` members of ``pool``, each about as often as the others."""
        rounds = -(-count // len(pool))
        return torch.cat([pool[torch.randperm(len(pool), generator=generator)] for _ in range(rounds)])[:count]

    def _redrawn(
        self, suspect: Shortcut, own: Tensor, other: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        inputs, most = self.evidence.inputs, self.settings.most_images
        mask = standard_regions(inputs.shape[2], inputs.shape[3])[suspect.region]
        mine = self._pairs(own, min(most, len(own)), generator)
        controls = random_regions(mask, 2 * len(mine), generator)
        before = self._probability(lambda k: inputs[mine[k]], len(mine), suspect.label)
        loss = before - self._probability(lambda k: erase(inputs[mine[k]], mask), len(mine), suspect.label)
        moved = self._probability(
            lambda k: erase(inputs[mine[k % len(mine)]], controls[k]), len(controls), suspect.label
        )
        control = before - moved.view(2, len(mine)).mean(0)
        receivers = self._pairs(other, min(most, len(other)), generator)
        donors = self._pairs(own, len(receivers), generator), self._pairs(other, len(receivers), generator)

        def pasted(source: Tensor) -> Tensor:
            return self._probability(
                lambda k: paste(inputs[receivers[k]], inputs[source[k]], mask), len(source), suspect.label
            )

        gains = [pasted(source) for source in donors]
        return (loss, control), (gains[0], gains[1]), mine[(loss - control).argsort(descending=True)]

    def _recoloured(
        self, suspect: Shortcut, own: Tensor, other: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        inputs, colours, most = self.evidence.inputs, self.backgrounds.colours, self.settings.most_images

        def painted(to: Tensor, source: Tensor) -> Tensor:
            return self._probability(
                lambda k: recolour(inputs[to[k]], self.backgrounds, to[k], colours[source[k]]), len(to), suspect.label
            )

        mine = self._pairs(own, min(most, len(own)), generator)
        before = self._probability(lambda k: inputs[mine[k]], len(mine), suspect.label)
        loss = before - painted(mine, self._pairs(other, len(mine), generator))
        control = before - painted(mine, self._pairs(own, len(mine), generator))
        receivers = self._pairs(other, min(most, len(other)), generator)
        gain = painted(receivers, self._pairs(own, len(receivers), generator))
        none = painted(receivers, self._pairs(other, len(receivers), generator))
        return (loss, control), (gain, none), mine[(loss - control).argsort(descending=True)]

    def _probability(self, pictures: Callable[[Tensor], Tensor], count: int, label: int) -> Tensor:
        """Probability of ``label`` for ``count`` pictures, made batch by batch."""

        def part(start: int, stop: int) -> Tensor:
            scores = logits(self.model(pictures(torch.arange(start, stop)))).float()
            return scores.softmax(1)[:, label].cpu()

        with isolated(self.model), torch.no_grad():
            return torch.cat(in_batches(part, count, images_a_pass(self.evidence.inputs, self.batch))).double()


def _effect(change: Tensor, control: Tensor, tests: int) -> Effect:
    """Mean paired difference with Student's interval, 95 % for ``tests`` tests together."""
    from scipy.stats import t as student  # slow to import

    difference = (change - control).numpy()
    count = len(difference)
    half = float(student.ppf(1 - 0.025 / tests, count - 1) * difference.std(ddof=1) / np.sqrt(count))
    mean = float(difference.mean())
    return Effect(
        effect=float(change.mean()),
        control=float(control.mean()),
        interval=(mean - half, mean + half),
        sample_size=count,
    )


@dataclass(frozen=True, kw_only=True)
class MapCluster:
    """Maps of one class that look alike (SpRAy: Lapuschkin et al., Nature Communications 10:1096, 2019).

    Attributes:
        label: The class.
        members: Positions of its images, the most typical first.
    """

    label: int
    members: tuple[int, ...]


def map_clusters(maps: Tensor, labels: IntArray, *, most: int = 4, seed: int = 0) -> tuple[MapCluster, ...]:
    """Strategies of a model: spectral clusters of each class's maps, as many as the largest gap of eigenvalues says."""
    clusters: list[MapCluster] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 10:
            continue
        small = nn.functional.adaptive_avg_pool2d(maps[torch.from_numpy(members)][:, None], (8, 8)).flatten(1).double()
        points = (small / small.norm(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
        for group in _spectral_groups(points, most, seed):
            centre = points[group].mean(0)
            typical = group[np.argsort(-(points[group] @ centre), kind="stable")]
            clusters.append(MapCluster(label=int(label), members=tuple(int(i) for i in members[typical])))
    return tuple(clusters)


def _spectral_groups(points: npt.NDArray[np.float64], most: int, seed: int) -> Sequence[IntArray]:
    from sklearn.cluster import KMeans  # slow to import

    affinity = np.exp(-np.square(points[:, None] - points[None]).sum(2))
    degree = np.sqrt(affinity.sum(1))
    values, vectors = np.linalg.eigh(np.eye(len(points)) - affinity / degree[:, None] / degree[None])
    gaps = np.diff(values[: min(most, len(points) - 1) + 1])
    count = int(gaps.argmax()) + 1
    assigned = KMeans(count, n_init=4, random_state=seed).fit_predict(vectors[:, :count])
    return [np.flatnonzero(assigned == k) for k in range(count)]
