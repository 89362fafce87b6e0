"""The cache folder: where it is, and that what is in it is whole or absent."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path

import pytest

from zoo import cache
from zoo.errors import StorageError


def test_the_cache_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "here"))
    assert cache.root() == tmp_path / "here"


@pytest.mark.parametrize(
    ("platform", "end"),
    [("linux", "xdg/zoovet"), ("darwin", "Library/Caches/zoovet"), ("win32", "local/zoovet/cache")],
)
def test_each_platform_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, end: str) -> None:
    monkeypatch.delenv("ZOO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr(cache.sys, "platform", platform)
    assert cache.root().as_posix().endswith(end)


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with cache.replacing(path) as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"disk is full.*ZOO_CACHE"), cache.replacing(tmp_path / "file"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_digest_is_that_of_the_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    expected = hashlib.sha256(b"hello").hexdigest()
    assert cache.file_digest(path) == cache.file_digest(path) == expected


def test_an_unchanged_file_is_not_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    digest = cache.file_digest(path)
    monkeypatch.setattr(cache.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert cache.file_digest(path) == digest


@pytest.mark.parametrize("note", ["", "{", "[]", '{"stamp": 1}'])
def test_a_damaged_note_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, note: str) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    digest = cache.file_digest(path)
    (kept,) = (tmp_path / "cache" / "digests").iterdir()
    kept.write_text(note)
    assert cache.file_digest(path) == digest


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, where the folder should be")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_bytes(b"hello")
    assert cache.file_digest(tmp_path / "file") == hashlib.sha256(b"hello").hexdigest()


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write(letter: str) -> None:
        with cache.replacing(path) as part:
            part.write_text(letter * 10_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(path.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_remembered_is_recalled_and_a_damaged_or_absent_note_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    assert cache.recall("notes/a.json", int) is None
    cache.remember("notes/a.json", {"of": 7 + 0j}, plain=lambda value: int(value.real))
    assert cache.recall("notes/a.json", lambda content: content["of"]) == 7
    assert cache.recall("notes/a.json", lambda content: content["other"]) is None
    (tmp_path / "cache" / "notes" / "a.json").write_text('{"of": 7', "utf-8")
    assert cache.recall("notes/a.json", lambda content: content["of"]) is None


def test_a_cache_that_cannot_be_written_forgets_without_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    cache.remember("a.json", 1)
    assert cache.recall("a.json", int) is None
