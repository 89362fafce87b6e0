"""Every image is looked at once: ``embed`` reads, decodes, measures and embeds what the store does not hold yet.

    files -> known contents? -> the missing ones, in lanes: read, hash, decode, measure, resize, run, store -> rows

Rows are keyed by content, so a second run, another name for a folder or a copied picture cost nothing, and a run that
was stopped goes on where it was. Several backbones share one decode, several processes share the images.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zoo import cache, device_name
from zoo.backbone import Backbone, pretrained
from zoo.card import Card
from zoo.data.dataset import Dataset, Skipped
from zoo.progress import ProgressCallback, silent
from zoo.statistics import STATISTICS
from zoo.store import Digests, Table

if TYPE_CHECKING:
    from zoo.onepass import Pass

_IN_MEMORY = 512 * 2**20  # bytes; a larger table is a file that the system may drop from memory


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the pass found, one row a sample.

    Attributes:
        dataset: The images that can be used; the others are in ``dataset.skipped``, with the reason.
        statistics: Records of ``zoo.statistics.STATISTICS``, ``(n,)``.
        digests: What names each image's content, ``(n, 2)``; equal for exact copies.
        computed: How many images this call had to decode.
    """

    dataset: Dataset
    statistics: npt.NDArray[np.void]
    digests: Digests
    computed: int
    _tables: Mapping[str, Table | None] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The backbones."""
        return tuple(self._tables)

    def matrix(self, name: str) -> npt.NDArray[np.float16]:
        """The features of one backbone, ``(n, d)``, in the order of the samples. A large one lies on the disk."""
        table = self._tables[name]
        if table is None or not len(self.digests):
            return np.zeros((0, 0 if table is None else table.dtype.shape[0]), dtype=np.float16)
        return np.asarray(gathered(table, self.digests), dtype=np.float16)


def embed(
    dataset: Dataset,
    models: Sequence[Card | Backbone],
    *,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Features:
    """Statistics and features of every image, from the store as far as it has them.

    Under ``accelerate launch`` every process takes its share of the images, and all return the same.

    Args:
        dataset: Images; labels are not looked at.
        models: The backbones; none gives the statistics only.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        offline: Make no network call.
        progress: Told how many images are done, of those that have to be read.

    Raises:
        OptionError: No device is called so.
        HubError: A backbone's weights are needed and cannot be had.
        DeviceError: There is no such device, or its memory is too small.
        StorageError: The cache cannot be written.
        KeyboardInterrupt: After Ctrl-C; what was done is stored.
    """
    device_name.parse(device)
    from zoo import devices  # torch: seconds that a caller's other mistakes need not wait for
    from zoo.column import Column
    from zoo.onepass import Pass

    files = [os.path.join(dataset.root, sample.path) for sample in dataset.samples]  # noqa: PTH118 - maybe a million
    backbones = [pretrained(model, offline=offline) if isinstance(model, Card) else model for model in models]
    columns = [Column(backbone, device=device) for backbone in backbones]
    work = Pass(files, columns)
    processes = devices.processes()
    work.run(progress, share=(processes.process_index, processes.num_processes))
    if processes.num_processes > 1:
        processes.wait_for_everyone()
        work.run(silent, share=(0, 1))  # nothing to embed any more; names what the others read
    return _collect(dataset, work)


def stored(dataset: Dataset, backbone: Backbone) -> npt.NDArray[np.bool_]:
    """Which images have a row in the store, ``(n,)``; none is read.

    Raises:
        OptionError: ``$ZOO_ENGINE`` names none.
    """
    from zoo.column import Column  # torch
    from zoo.onepass import Pass

    files = [os.path.join(dataset.root, sample.path) for sample in dataset.samples]  # noqa: PTH118 - maybe a million
    return Pass(files, [Column(backbone, device="cpu")]).stored()


def gathered(table: Table, digests: Digests) -> npt.NDArray[np.generic]:
    """The table's rows of these contents, ``(n, ...)``. Many lie on the disk."""
    numbers = table.locate(digests)
    if len(numbers) * table.dtype.itemsize <= _IN_MEMORY:
        return table.read(numbers)
    with tempfile.TemporaryFile(dir=cache.root()) as file:  # without a name: gone with the last that uses it
        kept = np.memmap(file, dtype=table.dtype.base, mode="w+", shape=(len(numbers), *table.dtype.shape))
    for start in range(0, len(numbers), 8192):
        table.read(numbers[start : start + 8192], kept[start : start + 8192])
    return kept


def _collect(dataset: Dataset, work: Pass) -> Features:
    reasons = work.reasons()
    skipped = [Skipped(path=dataset.samples[position].path, reason=reason) for position, reason in reasons.items()]
    usable = np.setdiff1d(np.arange(len(work.files)), np.fromiter(reasons, dtype=np.int64, count=len(reasons)))
    digests = work.digests[usable]
    tables = {column.card.name: column.table for column in work.columns}
    return Features(
        dataset=dataset.without(skipped) if skipped else dataset,
        statistics=gathered(work.statistics, digests).view(STATISTICS),
        digests=digests,
        computed=work.computed,
        _tables=tables,
    )
