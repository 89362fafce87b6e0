"""One pass over files: read, hash, decode once, measure, run the backbones, store. See ``zoo.features``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL

from zoo import cache, contents, engine, lanes
from zoo.column import FORMAT, Column
from zoo.contents import Content, Contents
from zoo.data.dataset import IntArray
from zoo.data.decode import Picture, UnusableImage, decode_picture
from zoo.predict import decoded_side
from zoo.progress import ProgressCallback
from zoo.runner import AT_ONCE, Pixels
from zoo.statistics import STATISTICS, measure
from zoo.store import Digests, Table, Writer, as_digests, mark_used

_HELD = 64 * 2**20  # bytes of files that a lane holds at a time, beyond the last one
_LARGE = 16_000_000  # pixels; larger pictures are decoded one at a time
_REASON = 120  # bytes of a reason that are kept


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What is kept of a picture: its digest, its statistics, and its pixels as some columns want them, by number."""

    name: bytes
    record: npt.NDArray[np.void]
    pixels: dict[int, Pixels]


class Pass:
    """What is known of a list of files, and the work to know the rest.

    Args:
        files: Paths.
        columns: The backbones.

    Attributes:
        digests: What names each file's content, ``(n, 2)``, where ``known``.
        known: Whether the content of a file is known, ``(n,)``.
        statistics: The table of statistics.
        computed: How many pictures were decoded.
    """

    def __init__(self, files: Sequence[str], columns: Sequence[Column]) -> None:
        self.files, self.columns = files, columns
        self.contents = Contents()
        self.statistics = Table(cache.root() / f"statistics-{FORMAT}", STATISTICS)
        # Another version of the decoder may read what this one cannot.
        faults = cache.root() / f"faults-{FORMAT}-pillow-{PIL.__version__}"
        self.faults = Table(faults, np.dtype(f"S{_REASON}"))
        self.digests: Digests = np.zeros((len(files), 2), dtype=np.uint64)
        self.known = np.zeros(len(files), dtype=bool)
        self.computed = 0
        self._unreadable: dict[int, str] = {}
        self._side = decoded_side(*(column.card.preprocess for column in columns))
        self._lock, self._loading, self._large = threading.Lock(), threading.Lock(), threading.Lock()
        self._claimed: set[bytes] = set()
        self._writers: dict[str, Writer] = {}
        self._due = 0
        for table in (self.statistics, self.faults):
            mark_used(table.folder)

    def run(self, progress: ProgressCallback, *, share: tuple[int, int]) -> None:
        """Looks at every file whose content is not known yet or lacks a row.

        Args:
            progress: Told how many files are done, of those to be looked at.
            share: This process's number and how many there are; each looks at the files at its own positions.
        """
        self._refresh()
        self._recall()
        missing = self._missing()
        missing = missing[missing % share[1] == share[0]]
        self._due, count = len(missing), 0
        if not self._due:
            return

        def done(items: int) -> None:
            nonlocal count
            count += items
            progress("reading images", count, self._due)

        try:
            lanes.run(self._work, self._chunks(missing), lanes=self._lanes(), done=done)
        finally:
            for writer in self._writers.values():
                writer.flush()
            self._refresh()

    def stored(self) -> npt.NDArray[np.bool_]:
        """Which files are known with every row, ``(n,)``; none is read."""
        self._refresh()
        self._recall()
        found = self.known.copy()
        found[found] = self.statistics.locate(self.digests[found]) >= 0
        for column in self.columns:
            found[found] = column.has(self.digests[found])
        return found

    def reasons(self) -> dict[int, str]:
        """Positions of the files that cannot be used, in order, each with its reason."""
        numbers = self.faults.locate(self.digests)
        numbers[~self.known] = -1
        at = np.flatnonzero(numbers >= 0)
        texts = self.faults.read(numbers[at])
        faulty = {int(position): bytes(text).decode() for position, text in zip(at, texts, strict=True)}
        return dict(sorted({**self._unreadable, **faulty}.items()))

    def _recall(self) -> None:
        digests, known = self.contents.recall(self.files)
        fresh = known & ~self.known  # what was read in this pass is known better
        self.digests[fresh] = digests[fresh]
        self.known |= known

    def _missing(self) -> IntArray:
        """Positions of files to look at: of unknown content, and one of each known content that lacks a row."""
        lacking = np.flatnonzero(self.known)
        lacking = lacking[~self._complete(self.digests[lacking])]
        _, first = np.unique(self.digests[lacking], axis=0, return_index=True)
        return np.sort(np.concatenate([np.flatnonzero(~self.known), lacking[first]]))

    def _complete(self, digests: Digests) -> npt.NDArray[np.bool_]:
        rows = self.statistics.locate(digests) >= 0
        for column in self.columns:
            rows &= column.has(digests)
        return rows | (self.faults.locate(digests) >= 0)

    def _refresh(self) -> None:
        self.statistics.refresh()
        self.faults.refresh()
        for column in self.columns:
            column.refresh()

    def _lanes(self) -> int:
        # Those that wait for an accelerator leave their cores to others.
        waiting = AT_ONCE if any(column.device.type != "cpu" for column in self.columns) else 0
        return min(lanes.cores() + waiting, engine.MOST_LANES)

    def _chunks(self, missing: IntArray) -> Iterator[IntArray]:
        """Some positions at a time; less where there are few, so that no lane idles at the end."""
        most = max((engine.batch(column.device) for column in self.columns), default=engine.CPU_BATCH)
        size = max(1, min(most, -(-len(missing) // (4 * self._lanes()))))
        for start in range(0, len(missing), size):
            yield missing[start : start + size]

    def _work(self, positions: IntArray) -> int:
        """Everything that is to be done with some files; called in the lanes."""
        held: list[Content] = []
        for position in positions:
            try:
                content = contents.read(self.files[position])
            except UnusableImage as error:
                self._unreadable[int(position)] = error.reason
                continue
            self.digests[position] = as_digests([content.digest])[0]
            self.known[position] = True
            held.append(content)
            if sum(len(one.data) for one in held) > _HELD:
                self._finish(held)
                held = []
        self._finish(held)
        return len(positions)

    def _finish(self, held: Sequence[Content]) -> None:
        stamped = [content for content in held if content.stamp is not None]
        if stamped:
            rows = as_digests([content.digest for content in stamped])
            self._store(self.contents.table, [content.stamp for content in stamped if content.stamp], rows)
        claimed = self._claim(held)
        digests = as_digests([content.digest for content in claimed])
        wanted = np.stack([~column.has(digests) for column in self.columns], axis=1) if self.columns else digests[:, :0]
        seen = [look for content, row in zip(claimed, wanted, strict=True) if (look := self._look(content, row))]
        if not seen:
            return
        # Features first: a content with statistics but without features costs one more look, no more.
        for number, column in enumerate(self.columns):
            need = [look for look in seen if number in look.pixels]
            if need:
                with self._loading:
                    runner = column.runner(self._due)
                features = runner(np.stack([look.pixels[number] for look in need]))
                table = column.table or Table(column.folder, np.dtype(("<f2", features.shape[1:])))
                self._store(table, [look.name for look in need], features)
        self._store(self.statistics, [look.name for look in seen], np.stack([look.record for look in seen]))

    def _claim(self, held: Sequence[Content]) -> list[Content]:
        """Those that lack a row and that no lane has taken: copies of one picture are done once."""
        if not held:
            return []
        lacking = ~self._complete(as_digests([content.digest for content in held]))
        taken = []
        with self._lock:
            for content, lacks in zip(held, lacking, strict=True):
                if lacks and content.digest not in self._claimed:
                    self._claimed.add(content.digest)
                    taken.append(content)
            self.computed += len(taken)
        return taken

    def _look(self, content: Content, wanted: npt.NDArray[np.bool_]) -> _Look | None:
        """All that needs the picture itself, which may take 64 MB and is gone afterwards; ``None`` where it is none."""
        try:
            picture = self._decode(content.data)
        except UnusableImage as error:
            reason = np.array([error.reason.encode()[:_REASON]], dtype=f"S{_REASON}")
            self._store(self.faults, [content.digest], reason)
            return None
        columns = np.flatnonzero(wanted).tolist()
        pixels = {number: self.columns[number].card.preprocess.pixels(picture.image) for number in columns}
        return _Look(name=content.digest, record=measure(picture, len(content.data)), pixels=pixels)

    def _decode(self, data: bytes) -> Picture:
        try:
            return decode_picture(data, short_side=self._side, max_pixels=_LARGE)
        except UnusableImage as error:
            if not error.reason.startswith("too large"):
                raise
        with self._large:  # however many lanes there are, one such picture is in memory
            return decode_picture(data, short_side=self._side)

    def _store(self, table: Table, names: Sequence[bytes], rows: npt.NDArray[np.generic]) -> None:
        with self._lock:
            writer = self._writers.setdefault(str(table.folder), Writer(table))
            writer.add(names, rows)
