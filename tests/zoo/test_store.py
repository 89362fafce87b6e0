"""The store: never half a row, whatever happens to the processes that write it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zoo import store
from zoo.store import Table, Writer, as_digests, digest, prune, row_bytes, usage

ROW = np.dtype(("<f2", (8,)))


def names(start, stop):
    return as_digests([digest(str(i).encode()) for i in range(start, stop)])


def rows(start, stop):
    return np.repeat(np.arange(start, stop, dtype=np.float16)[:, None], 8, axis=1)


def holds(table, start, stop):
    found = table.locate(names(start, stop))
    return (found >= 0).all() and np.array_equal(table.read(found), rows(start, stop))


def test_rows_come_back_under_their_digests_and_in_the_order_asked_for(tmp_path):
    table = Table(tmp_path, ROW)
    table.append(names(0, 50), rows(0, 50))
    table.append(names(50, 80), rows(50, 80))
    table.refresh()
    order = np.random.default_rng(0).permutation(80)
    np.testing.assert_array_equal(table.read(table.locate(names(0, 80)[order])), rows(0, 80)[order])


def test_a_digest_that_was_never_stored_is_not_found(tmp_path):
    table = Table(tmp_path, ROW)
    assert (table.locate(names(0, 5)) == -1).all()
    table.append(names(0, 5), rows(0, 5))
    table.refresh()
    assert (table.locate(names(5, 10)) == -1).all()
    assert table.locate(names(0, 0)).shape == (0,)


def test_digests_that_share_their_first_word_are_told_apart(tmp_path):
    digests = np.array([[7, 1], [7, 2], [7, 3], [8, 1]], dtype=np.uint64)
    table = Table(tmp_path, ROW)
    table.append(digests, rows(0, 4))
    table.refresh()
    np.testing.assert_array_equal(table.read(table.locate(digests[::-1])), rows(0, 4)[::-1])
    assert table.locate(np.array([[7, 4], [8, 0]], dtype=np.uint64)).tolist() == [-1, -1]


def test_records_with_fields_are_stored_as_well_as_vectors(tmp_path):
    dtype = np.dtype([("size", "u8"), ("name", "S4")])
    table = Table(tmp_path, dtype)
    content = np.array([(3, b"abc"), (4, b"de")], dtype=dtype)
    table.append(names(0, 2), content)
    table.refresh()
    np.testing.assert_array_equal(table.read(table.locate(names(0, 2))), content)


@pytest.mark.parametrize("keep", [0, 10, 40, 200, -1])
def test_a_cut_shard_is_ignored_and_its_rows_can_be_stored_again(tmp_path, keep):
    table = Table(tmp_path, ROW)
    table.append(names(0, 30), rows(0, 30))
    (shard,) = tmp_path.glob("*.rows")
    shard.write_bytes(shard.read_bytes()[:keep])
    table.refresh()
    assert (table.locate(names(0, 30)) == -1).all()
    table.append(names(0, 30), rows(0, 30))
    table.refresh()
    assert holds(table, 0, 30)


def test_a_shard_whose_digests_were_overwritten_is_ignored(tmp_path):
    table = Table(tmp_path, ROW)
    table.append(names(0, 30), rows(0, 30))
    (shard,) = tmp_path.glob("*.rows")
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)
    assert len(Table(tmp_path, ROW)) == 0


def test_rows_of_another_width_are_not_mistaken_for_ours(tmp_path):
    Table(tmp_path, ROW).append(names(0, 4), rows(0, 4))
    assert len(Table(tmp_path, np.dtype(("<f2", (9,))))) == 0
    assert row_bytes(tmp_path) == 16


def test_small_shards_are_merged_and_nothing_is_lost_or_doubled(tmp_path):
    table = Table(tmp_path, ROW)
    for start in range(0, 200, 5):
        table.append(names(start, start + 10), rows(start, start + 10))
    assert len(list(tmp_path.glob("*.rows"))) < store._MANY
    table.compact()
    table.refresh()
    assert len(table) == 205
    assert holds(table, 0, 205)


def test_a_table_that_was_open_while_shards_were_merged_still_reads(tmp_path):
    table = Table(tmp_path, ROW)
    for start in range(0, 60, 20):
        table.append(names(start, start + 20), rows(start, start + 20))
    reader = Table(tmp_path, ROW)
    table.compact()
    assert holds(reader, 0, 60)
    reader.refresh()
    assert holds(reader, 0, 60)


def test_a_half_written_file_is_ignored_and_removed_once_it_is_old(tmp_path):
    table = Table(tmp_path, ROW)
    for start in (0, 10):
        table.append(names(start, start + 10), rows(start, start + 10))
    fresh, old = tmp_path / ".a.rows.01234567.tmp", tmp_path / ".b.rows.89abcdef.tmp"
    for part in (fresh, old):
        part.write_bytes(b"zoorows1 and then nothing")
    os.utime(old, (time.time() - 7200,) * 2)
    table.compact()
    table.refresh()
    assert holds(table, 0, 20)
    assert fresh.exists()
    assert not old.exists()


def test_a_writer_stores_what_it_collected_when_it_is_flushed(tmp_path):
    table = Table(tmp_path, ROW)
    writer = Writer(table)
    for start in range(0, 40, 10):
        writer.add([digest(str(i).encode()) for i in range(start, start + 10)], rows(start, start + 10))
    assert not list(tmp_path.glob("*.rows"))
    writer.flush()
    writer.flush()
    assert len(list(tmp_path.glob("*.rows"))) == 1
    table.refresh()
    assert holds(table, 0, 40)


def write_many(folder, worker):
    table = Table(folder, ROW)
    for start in range(worker * 200, worker * 200 + 200, 20):
        table.append(names(start, start + 20), rows(start, start + 20))


@pytest.mark.slow
def test_processes_that_write_and_merge_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(tmp_path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    reader = Table(tmp_path, ROW)
    before = np.zeros(0, dtype=np.int64)
    while any(worker.is_alive() for worker in workers):
        reader.refresh()
        found = reader.locate(names(0, 600))
        seen = np.flatnonzero(found >= 0)
        np.testing.assert_array_equal(reader.read(found[seen])[:, 0], seen)
        assert np.isin(before, seen).all(), "rows that were there are gone"
        before = seen
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    reader.refresh()
    assert holds(reader, 0, 600)


ENDLESS = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from tests.zoo.test_store import ROW, names, rows
from zoo.store import Table
table = Table(Path({folder!r}), ROW)
start = {start}
while True:
    table.append(names(start, start + 50), rows(start, start + 50))
    print(start, flush=True)
    start = (start + 50) % 2000
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_a_writer_killed_at_any_moment_leaves_all_rows_that_it_had_stored_and_none_that_is_wrong(tmp_path):
    root = str(Path(__file__).parents[2])
    stored = set()
    for start, appends, milliseconds in ((0, 1, 1), (500, 17, 3), (1000, 20, 7)):  # 16 shards are merged
        code = ENDLESS.format(path=[root], folder=str(tmp_path), start=start)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        lines = [process.stdout.readline() for _ in range(appends)]
        time.sleep(milliseconds / 1000)
        process.kill()
        rest, _ = process.communicate()
        for line in [*lines, *rest.splitlines()]:
            stored.update(range(int(line), int(line) + 50))
        table = Table(tmp_path, ROW)
        found = table.locate(names(0, 2000))
        seen = np.flatnonzero(found >= 0)
        np.testing.assert_array_equal(table.read(found[seen])[:, 0], seen.astype(np.float16))
        assert stored <= set(seen.tolist())
    table.append(names(0, 2000), rows(0, 2000))
    table.compact()
    table.refresh()
    assert holds(table, 0, 2000)


def test_a_merge_that_dies_before_its_file_is_in_place_loses_nothing(tmp_path, monkeypatch):
    table = Table(tmp_path, ROW)
    for start in range(0, 40, 10):
        table.append(names(start, start + 10), rows(start, start + 10))

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            table.compact()
    assert holds(Table(tmp_path, ROW), 0, 40)


def test_pruning_removes_the_tables_unused_for_longest_until_the_rest_fits(tmp_path):
    for age, name in enumerate(["newest", "older", "oldest"]):
        folder = tmp_path / "features" / name
        Table(folder, ROW).append(names(0, 100), rows(0, 100))
        (folder / "used").touch()
        os.utime(folder / "used", (time.time() - 1000 * age,) * 2)
    tables = usage(tmp_path)
    assert [table.folder.name for table in tables] == ["newest", "older", "oldest"]
    removed = prune(tables, tables[0].size + tables[1].size)
    assert [table.folder.name for table in removed] == ["oldest"]
    assert {table.folder.name for table in usage(tmp_path)} == {"newest", "older"}
    assert usage(tmp_path / "nothing") == ()
    assert row_bytes(tmp_path / "nothing") is None


def test_hundreds_of_thousands_of_digests_are_found_at_once(tmp_path):
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2**63, size=(300_000, 2), dtype=np.uint64)
    table = Table(tmp_path, np.dtype("u1"))
    for part in range(3):
        block = slice(part * 100_000, (part + 1) * 100_000)
        table.append(known[block], np.full(100_000, part, dtype=np.uint8))
    table.refresh()
    start = time.process_time()
    found = table.locate(known)
    assert time.process_time() - start < 3
    np.testing.assert_array_equal(table.read(found), np.arange(300_000) // 100_000)
