"""The one pass over the images: read, hash, decode, measure, embed, store. Whatever was stored is never done again.

Features and statistics are kept by the content of the file, so a folder that was moved or renamed costs nothing, ten
new images cost ten, and copies of one file are looked at once.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from zoo import cache, engine, weights
from zoo.card import Card
from zoo.data.dataset import Dataset, IntArray, Skipped
from zoo.data.decode import UnusableImage, decode_picture
from zoo.devices import processes, torch_device
from zoo.errors import StorageError
from zoo.fileindex import FileIndex, Stamp, stamp
from zoo.predict import decoded_side
from zoo.progress import ProgressCallback, silent
from zoo.statistics import STATISTICS, measure
from zoo.store import Digests, Table, as_digests, digest, mark_used

_FORMAT = 1  # of what is stored; counts up when measuring or embedding changes
_FLUSH = 1024  # images held in memory before they are stored
_IN_MEMORY = 512 * 2**20  # bytes; a larger matrix is mapped from a temporary file

Half = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the pass found.

    Attributes:
        dataset: The images that can be used; the others are in its ``skipped``, with the reason.
        statistics: One record of dtype ``STATISTICS`` an image, ``(n,)``.
    """

    dataset: Dataset
    statistics: npt.NDArray[np.void]
    _digests: Digests
    _tables: dict[str, Table]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the backbones, in the order they were asked for."""
        return tuple(self._tables)

    def matrix(self, name: str) -> Half:
        """Features of one backbone, ``(n, d)`` float16, one row a sample of ``dataset``."""
        table = self._tables[name]
        width = table.dtype.shape[0]
        out = _empty(len(self._digests), width)
        table.read(table.locate(self._digests), out=out)
        return out


def embed(
    dataset: Dataset,
    cards: Sequence[Card],
    *,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Features:
    """Look at every image once, with every backbone.

    Under ``accelerate launch`` each process looks at its share; all of them get the whole.

    Args:
        dataset: The images.
        cards: The backbones; none for the statistics alone.
        device: Where to compute.
        offline: Make no network call.
        progress: Told how many images are done.

    Raises:
        ModelError: A backbone cannot be had.
        DeviceError: There is no such device.
        StorageError: The cache is full or may not be written.
        KeyboardInterrupt: After Ctrl-C; what was done is stored.
    """
    index = FileIndex(cache.root() / "files.sqlite")
    files = [dataset.file(sample) for sample in dataset.samples]
    run = engine.choose(torch_device(device))
    tables = _Tables(cards, run, offline=offline)
    known = index.digests(files)
    state = processes()
    todo = _missing(known, tables, index)[state.process_index :: state.num_processes]
    if len(todo):
        known_now = _Pass(files, cards, run, tables, index, offline=offline, progress=progress).run(todo)
        for position, content in known_now.items():
            known[position] = content
    state.wait_for_everyone()
    if state.num_processes > 1:
        known = [a or b for a, b in zip(known, _digest_again(index, files, known), strict=True)]
    return _collect(dataset, known, tables, index)


class _Tables:
    """The statistics' table, and one of features for each backbone."""

    def __init__(self, cards: Sequence[Card], run: engine.Engine, *, offline: bool) -> None:
        root = cache.root()
        self.statistics = Table(root / "statistics" / f"v{_FORMAT}", STATISTICS)
        self._folders = {
            card.name: root / "features" / _key(card, run, weights.fingerprint(card, offline=offline)) for card in cards
        }
        self.features: dict[str, Table] = {}
        self.refresh()

    def refresh(self) -> None:
        """See what was stored meanwhile, by any process."""
        self.statistics.refresh()
        for name, folder in self._folders.items():
            if (width := _read_width(folder)) is not None:
                self.features[name] = Table(folder, np.dtype(("f2", (width,))))
                mark_used(folder)

    def create(self, name: str, width: int) -> Table:
        """The table of a backbone whose features have this width."""
        if name not in self.features:
            folder = self._folders[name]
            with cache.atomic(folder / "about.json") as part:
                part.write_text(json.dumps({"model": name, "width": width}), encoding="utf-8")
            self.features[name] = Table(folder, np.dtype(("f2", (width,))))
        return self.features[name]

    def complete(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Whether everything about a content is stored, ``(n,)``."""
        done = self.statistics.locate(digests) >= 0
        for name in self._folders:
            table = self.features.get(name)
            done &= table.locate(digests) >= 0 if table is not None else np.zeros(len(digests), dtype=bool)
        return done


def _key(card: Card, run: engine.Engine, fingerprint: str) -> str:
    """Names everything that features depend on besides the image."""
    parts = (_FORMAT, card.name, fingerprint, card.preprocess, run.precision)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _read_width(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "about.json").read_text(encoding="utf-8"))["width"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _missing(known: list[bytes | None], tables: _Tables, index: FileIndex) -> IntArray:
    """Positions of the files that must be looked at."""
    have = np.flatnonzero([content is not None for content in known])
    missing = np.ones(len(known), dtype=bool)
    if len(have):
        contents = [known[i] or b"" for i in have]
        missing[have] = ~tables.complete(as_digests(contents))
        unsure = [i for i in np.flatnonzero(missing) if known[i] is not None]
        faults = index.faults({known[i] or b"" for i in unsure})
        missing[[i for i in unsure if known[i] in faults]] = False
    return np.flatnonzero(missing)


class _Pass:
    """One run over the files that are not known yet."""

    def __init__(
        self,
        files: Sequence[Path],
        cards: Sequence[Card],
        run: engine.Engine,
        tables: _Tables,
        index: FileIndex,
        *,
        offline: bool,
        progress: ProgressCallback,
    ) -> None:
        self._files, self._cards, self._run, self._tables, self._index = files, cards, run, tables, index
        self._offline, self._progress = offline, progress
        self._backbones: dict[str, engine.Backbone] = {}
        self._side = decoded_side(*(card.preprocess for card in cards))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._seen: set[bytes] = set()
        self._contents: dict[int, bytes] = {}
        self._unstored: list[_Looked] = []
        self._read: list[tuple[Path, Stamp, bytes]] = []
        self._done = 0

    def run(self, todo: IntArray) -> dict[int, bytes]:
        """Look at these files; gives the digest of each that could be read."""
        self._backbones = {
            card.name: engine.Backbone(weights.load(card, offline=self._offline), card.preprocess, self._run)
            for card in self._cards
        }
        parts = [todo[start : start + self._run.batch] for start in range(0, len(todo), self._run.batch)]
        queue = iter(parts)
        try:
            with engine.one_thread_a_lane(), ThreadPoolExecutor(self._run.lanes) as pool:
                lanes = [pool.submit(self._lane, queue, len(todo)) for _ in range(min(self._run.lanes, len(parts)))]
                try:
                    for lane in lanes:
                        lane.result()
                finally:
                    self._stop.set()  # after an error or Ctrl-C the other lanes end with their batch
        finally:
            self._flush()
        self._tables.refresh()
        return self._contents

    def _lane(self, queue: Any, total: int) -> None:
        torch.set_num_threads(1)
        while not self._stop.is_set():
            with self._lock:
                part = next(queue, None)
            if part is None:
                return
            looked = self._embed(self._look(part))
            with self._lock:
                self._unstored += looked
                self._done += len(part)
                self._progress("images", self._done, total)
                if len(self._unstored) >= _FLUSH:
                    self._flush()

    def _look(self, part: IntArray) -> list[_Looked]:
        """Read, hash, decode and measure; contents that are stored or being looked at are passed over."""
        read = [(int(i), *_read(self._files[i])) for i in part]
        fresh: list[tuple[bytes, bytes]] = []
        with self._lock:
            for position, at, data in read:
                if at is None or data is None:
                    continue
                content = digest(data)
                self._contents[position] = content
                self._read.append((self._files[position], at, content))
                if content not in self._seen:
                    self._seen.add(content)
                    fresh.append((content, data))
        if not fresh:
            return []
        done = self._tables.complete(as_digests([content for content, _ in fresh]))
        return [self._decode(content, data) for (content, data), known in zip(fresh, done, strict=True) if not known]

    def _decode(self, content: bytes, data: bytes) -> _Looked:
        try:
            picture = decode_picture(data, short_side=self._side)
        except UnusableImage as error:
            return _Looked(content=content, fault=error.reason)
        pixels = {card.name: card.preprocess.pixels(picture.image) for card in self._cards}
        return _Looked(content=content, record=measure(picture, len(data)), pixels=pixels)

    def _embed(self, looked: list[_Looked]) -> list[_Looked]:
        usable = [item for item in looked if item.fault is None]
        for name, backbone in self._backbones.items():
            if usable:
                rows = backbone(torch.from_numpy(np.stack([item.pixels[name] for item in usable])))
                limit = float(np.finfo(np.float16).max)
                for item, row in zip(usable, rows.clamp(-limit, limit).numpy().astype(np.float16), strict=True):
                    item.features[name] = row
        for item in usable:
            item.pixels.clear()
        return looked

    def _flush(self) -> None:
        """Store what was looked at. Statistics come last: a content counts as known once everything is there."""
        looked, self._unstored = self._unstored, []
        usable = [item for item in looked if item.fault is None]
        if usable:
            digests = as_digests([item.content for item in usable])
            for name in self._backbones:
                rows = np.stack([item.features[name] for item in usable])
                self._tables.create(name, rows.shape[1]).append(digests, rows)
            self._tables.statistics.append(
                digests, np.stack([item.record for item in usable if item.record is not None])
            )
        self._index.remember_faults((item.content, item.fault) for item in looked if item.fault is not None)
        read, self._read = self._read, []
        self._index.remember(read)


class _Looked:
    """One content on its way through the pass."""

    __slots__ = ("content", "fault", "features", "pixels", "record")

    def __init__(
        self,
        *,
        content: bytes,
        fault: str | None = None,
        record: npt.NDArray[np.void] | None = None,
        pixels: dict[str, npt.NDArray[np.uint8]] | None = None,
    ) -> None:
        self.content, self.fault, self.record = content, fault, record
        self.pixels = pixels or {}
        self.features: dict[str, Half] = {}


def _read(file: Path) -> tuple[Stamp | None, bytes | None]:
    at = stamp(file)
    if at is None:
        return None, None
    try:
        return at, file.read_bytes()
    except OSError:
        return None, None


def _digest_again(index: FileIndex, files: Sequence[Path], known: Sequence[bytes | None]) -> list[bytes | None]:
    """Digests of files that other processes looked at: from the index, else by reading."""
    found = index.digests(files)
    for i, content in enumerate(known):
        if content is None and found[i] is None and (data := _read(files[i])[1]) is not None:
            found[i] = digest(data)
    return found


def _collect(dataset: Dataset, known: list[bytes | None], tables: _Tables, index: FileIndex) -> Features:
    usable = np.zeros(len(known), dtype=bool)
    have = np.flatnonzero([content is not None for content in known])
    digests = as_digests([known[i] or b"" for i in have])
    if len(have):
        usable[have] = tables.complete(digests)
    faults = index.faults({known[i] or b"" for i in have if not usable[i]})
    skipped = [
        Skipped(path=dataset.samples[i].path, reason=_reason(dataset.file(dataset.samples[i]), known[i], faults))
        for i in np.flatnonzero(~usable)
    ]
    digests = digests[usable[have]]
    records = np.zeros(len(digests), dtype=STATISTICS)
    if len(digests):
        tables.statistics.read(tables.statistics.locate(digests), out=records)
    return Features(dataset=dataset.without(skipped), statistics=records, _digests=digests, _tables=tables.features)


def _reason(file: Path, content: bytes | None, faults: dict[bytes, str]) -> str:
    if content is not None and content in faults:
        return faults[content]
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        return error.strerror or "cannot be read"
    raise StorageError(f"What was seen of {file} is not in the cache.", remedy="Is the disk full? See: zoo doctor")


def _empty(rows: int, width: int) -> Half:
    """Room for features; beyond some size it lies in a temporary file, which is gone with the process."""
    if rows * width * 2 <= _IN_MEMORY:
        return np.empty((rows, width), dtype=np.float16)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float16, mode="w+", shape=(rows, width))
