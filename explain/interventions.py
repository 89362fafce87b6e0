"""The experiments that confirm a shortcut: redraw the place, and paste it into other classes' images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explain.batches import images_a_pass, in_batches
from explain.claims import BACKGROUND, Effect, Evidence, Level, Shortcut, ShortcutSettings
from explain.isolation import isolated
from explain.regions import Backgrounds, erase, paste, random_regions, recolour, standard_regions
from explain.structure import logits


@dataclass(frozen=True, kw_only=True)
class Experiments:
    """Every suspect is tried twice on the pixels, each against a control with the same artefacts.

    What does the class lose when the place is redrawn, and what do other classes' images gain when it is pasted into
    them?

    Attributes:
        model: The classifier; it is left as it came.
        evidence: Labelled images.
        backgrounds: Theirs.
        settings: Thresholds.
        batch: Images a pass.
    """

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
        effects = paired_effect(*erased, tests), paired_effect(*pasted, tests)
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


def paired_effect(change: Tensor, control: Tensor, tests: int) -> Effect:
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
