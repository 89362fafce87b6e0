"""Copies of one picture: exact ones, resized, re-encoded, flipped, turned and cropped ones.

Candidates come from hashes and features, in N log N: exact copies share a hash of their pixels; resized, re-encoded,
flipped and turned ones have perceptual hashes a few bits apart, found by multi-index Hamming search (Norouzi, Punjani,
Fleet 2012, doi:10.1109/CVPR.2012.6248043); crops are among the nearest neighbours in feature space. Whether a candidate
is a copy or only looks alike is then decided on small grey pictures, by laying one over the other
(``zoo.registration``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.blas import one_thread
from zoo.registration import FloatArray, mismatch, turned

Statistics = npt.NDArray[np.void]
HashArray = npt.NDArray[np.uint64]
IntArray = npt.NDArray[np.int64]

_SMALL = 200_000  # images up to which four bands of 16 bits keep the buckets short; three longer bands above
_CHUNK = 512  # pairs laid over each other at a time: few enough for a core's cache
_FLAT = 0.02  # contrast under which a picture has no structure to hash


@dataclass(frozen=True, kw_only=True)
class CopyRule:
    """When two images are copies.

    Attributes:
        bits: Perceptual hashes at most so many bits apart are candidates (at most 7, or 5 above 200,000 images).
        neighbours: How many nearest neighbours in feature space are candidates for crops.
        likeness: Cosine similarity of the features plus correlation of the 8 x 8 thumbnails that such a neighbour has.
        mismatch: Copies differ at most so much once laid over each other, in units of a shift by one pixel.
    """

    bits: int = 6
    neighbours: int = 10
    likeness: float = 1.25
    mismatch: float = 0.3


def duplicate_groups(
    statistics: Statistics,
    features: npt.NDArray[np.floating] | None = None,
    *,
    rule: CopyRule = CopyRule(),
) -> IntArray:
    """The group of each image: copies of one picture share a number.

    Args:
        statistics: Records of ``zoo.statistics.STATISTICS``, ``(n,)``.
        features: Embeddings, ``(n, d)``; without them crops are not looked for.
        rule: The thresholds.

    Returns:
        ``(n,)``, numbers from 0 in the order of first appearance.
    """
    return merge(np.arange(len(statistics)), copies(statistics, features, rule=rule))


def copies(
    statistics: Statistics,
    features: npt.NDArray[np.floating] | None = None,
    *,
    rule: CopyRule = CopyRule(),
) -> IntArray:
    """Pairs of images that are copies, ``(m, 2)``, enough of them to join each group; arguments as above."""
    exact = _exact(statistics["pixel_hash"])
    unique = np.flatnonzero(merge(np.arange(len(statistics)), exact, first=True) == np.arange(len(statistics)))
    structured = unique[statistics["contrast"][unique] > _FLAT]
    hashes = statistics["phash"][structured]
    near = structured[near_hashes(hashes, rule.bits)]
    candidates: IntArray = near
    if features is not None:
        candidates = np.concatenate([near, structured[_crop_candidates(statistics, features, structured, rule)]])
    return np.concatenate([exact, _confirmed(statistics, np.unique(np.sort(candidates, axis=1), axis=0), rule)])


def merge(groups: IntArray, pairs: IntArray, *, first: bool = False) -> IntArray:
    """Join the groups that the pairs connect (union-find), and number them in the order of first appearance.

    Args:
        groups: A group number for each image, ``(n,)``.
        pairs: Positions of images that belong together, ``(m, 2)``.
        first: Name each group by the position of its first image instead.
    """
    _, anchor, number = np.unique(groups, return_index=True, return_inverse=True)
    one = np.concatenate([pairs[:, 0], np.arange(len(groups))])
    two = np.concatenate([pairs[:, 1], anchor[number]])
    root = np.arange(len(groups))
    while True:  # every root takes the least root it is joined with; halving the paths bounds the rounds by log n
        least = np.minimum(root[one], root[two])
        joined = root.copy()
        np.minimum.at(joined, root[one], least)
        np.minimum.at(joined, root[two], least)
        joined = joined[joined]
        if np.array_equal(joined, root):
            break
        root = joined
    if first:
        return root
    return np.asarray(np.unique(root, return_inverse=True)[1], dtype=np.int64)


def near_hashes(hashes: HashArray, bits: int) -> IntArray:
    """Pairs of images whose hashes, under some flip or turn of one of them, are at most ``bits`` apart.

    Args:
        hashes: ``(n, 8)``: each image's hash under the eight flips and turns, as it is first.
        bits: At most 7 up to 200,000 images, at most 5 above.

    Returns:
        ``(m, 2)`` positions, the first smaller, no pair twice.
    """
    if len(hashes) < 2:
        return np.empty((0, 2), dtype=np.int64)
    plain, origin, number = np.unique(hashes[:, 0], return_index=True, return_inverse=True)
    same = np.stack([origin[number], np.arange(len(hashes))], axis=1)
    found = [same[same[:, 0] != same[:, 1]]]
    for variant in range(8):
        queries = hashes[origin, variant]
        found += [_search(plain, queries, origin, band, bits) for band in _bands(len(plain))]
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _bands(n: int) -> list[tuple[int, int]]:
    """Start and width, in bits, of the parts that a hash is cut into.

    Two hashes at most 7 bits apart have one of four parts at most 1 bit apart; at most 5, one of three.
    """
    return [(0, 16), (16, 16), (32, 16), (48, 16)] if n <= _SMALL else [(0, 22), (22, 21), (43, 21)]


def _search(plain: HashArray, queries: HashArray, origin: IntArray, band: tuple[int, int], bits: int) -> IntArray:
    """Pairs whose hashes differ by at most one bit within the band and by at most ``bits`` in all."""
    start, width = band
    mask = np.uint64((1 << width) - 1)
    keys = ((plain >> np.uint64(start)) & mask).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], np.arange((1 << width) + 1))
    wanted = ((queries >> np.uint64(start)) & mask).astype(np.int64)
    found = []
    for flip in [0, *(1 << bit for bit in range(width))]:
        begin, end = first[wanted ^ flip], first[(wanted ^ flip) + 1]
        length = end - begin
        query = np.repeat(np.arange(len(queries)), length)
        place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(begin, length)
        other = order[place]
        close = _distance(queries[query], plain[other]) <= bits
        found.append(np.stack([origin[query[close]], origin[other[close]]], axis=1))
    return np.concatenate(found)


_BITS = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)


def _distance(first: HashArray, second: HashArray) -> npt.NDArray[np.uint8]:
    """Bits in which the hashes differ, ``(m,)``; numpy counts bits itself only from version 2 on."""
    different = np.ascontiguousarray(first ^ second)
    return np.asarray(_BITS[different.view(np.uint16).reshape(-1, 4)].sum(axis=1), dtype=np.uint8)


def _exact(pixel_hash: HashArray) -> IntArray:
    """Each image with the first that has the same pixels, ``(m, 2)``."""
    _, origin, number = np.unique(pixel_hash, return_index=True, return_inverse=True)
    pairs = np.stack([origin[number], np.arange(len(pixel_hash))], axis=1)
    different: IntArray = pairs[pairs[:, 0] != pairs[:, 1]]
    return different


def _thumbnails(statistics: Statistics, pairs: IntArray) -> FloatArray:
    """Correlation of the grey 8 x 8 thumbnails of each pair, ``(m,)``."""
    grey = statistics["thumbnail"].astype(np.float32).mean(axis=3).reshape(len(statistics), 64)
    grey -= grey.mean(axis=1, keepdims=True)
    grey /= np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-3)
    alike: FloatArray = np.einsum("mi,mi->m", grey[pairs[:, 0]], grey[pairs[:, 1]])
    return alike


def _crop_candidates(
    statistics: Statistics, features: npt.NDArray[np.floating], rows: IntArray, rule: CopyRule
) -> IntArray:
    """Pairs of near neighbours, as positions among ``rows``, whose thumbnails agree too, ``(m, 2)``."""
    from zoo.neighbours import nearest, reduce

    found = nearest(reduce(features[rows]), rule.neighbours)
    query, rank = np.nonzero(found.index >= 0)
    pairs = np.stack([query, found.index[query, rank]], axis=1)
    likeness = 1 - found.distance[query, rank] + _thumbnails(statistics[rows], pairs)
    return pairs[likeness >= rule.likeness]


def _confirmed(statistics: Statistics, pairs: IntArray, rule: CopyRule) -> IntArray:
    """Those of the candidates whose pixels agree once laid over each other, under the best flip or turn."""
    from zoo import lanes  # 1 s of torch that a mistake in the arguments need not wait for

    keep = np.zeros(len(pairs), dtype=bool)

    def confirm(start: int) -> int:
        chunk = slice(start, start + _CHUNK)
        first, second = (statistics["grey"][side].astype(np.float32) for side in pairs[chunk].T)
        keep[chunk] = _best_mismatch(first, second) <= rule.mismatch
        return len(first)

    with one_thread():
        lanes.run(confirm, range(0, len(pairs), _CHUNK), lanes=lanes.cores(), done=lambda _: None)
    return pairs[keep]


def _best_mismatch(first: FloatArray, second: FloatArray) -> FloatArray:
    """The least mismatch as the pictures are, and under the flip or turn of ``second`` that fits best, ``(m,)``."""
    left = mismatch(first, second)
    variants = np.stack(list(turned(second)))
    centred = first - first.mean(axis=(1, 2), keepdims=True)
    chosen = np.einsum("mij,vmij->mv", centred, variants).argmax(axis=1)
    other = np.flatnonzero(chosen > 0)
    if len(other):
        left[other] = np.minimum(left[other], mismatch(first[other], variants[chosen[other], other]))
    return left
