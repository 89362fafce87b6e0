"""Shortcuts: suspected from heatmaps, confirmed only by an experiment.

Heatmaps alone must not claim a shortcut: Adebayo et al., "Post hoc explanations may be ineffective for detecting
unknown spurious correlation", ICLR 2022, arXiv:2212.04629.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from explain.claims import BACKGROUND, Evidence, Level, Shortcut, ShortcutSettings
from explain.interventions import Experiments
from explain.regions import Backgrounds, backgrounds, standard_regions


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
    experiments = Experiments(model=model, evidence=evidence, backgrounds=found, settings=settings, batch=batch)
    generator = torch.Generator().manual_seed(seed)
    # Bonferroni over classes, their suspects and the two experiments.
    tests = max(1, 2 * len(suspected))
    tested = [experiments.run(suspect, tests, generator) for suspect in suspected]
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
