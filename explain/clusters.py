"""Strategies of a model: groups of a class's maps that look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

IntArray = npt.NDArray[np.int64]


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
