from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.zoo.data.conftest import put
from zoo.data import Dataset, read, read_unlabelled
from zoo.errors import DataError

Folder = Callable[..., Path]


def paths(data: Dataset) -> list[str]:
    assert {s.label for s in data.samples} == {-1}
    assert data.classes == ()
    assert all(data.file(s).is_file() for s in data.samples)
    return [s.path for s in data.samples]


def error(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_unlabelled(path)
    assert caught.value.remedy
    return str(caught.value)


def test_one_picture_is_read(folder: Folder) -> None:
    data = read_unlabelled(folder("a.png") / "a.png")
    assert paths(data) == ["a.png"]
    assert data.name == "a"


def test_all_pictures_below_a_folder_are_read_whatever_its_layout(folder: Folder) -> None:
    root = folder("a.png", "x/b.png", "x/y/c.png", "train/cat/d.png")
    put(root / "x" / "notes.txt", b"text")
    data = read_unlabelled(root)
    assert paths(data) == ["a.png", "train/cat/d.png", "x/b.png", "x/y/c.png"]
    assert [s.path for s in data.skipped] == ["x/notes.txt"]


def test_a_text_file_lists_one_path_a_line_in_its_order(folder: Folder, tmp_path: Path) -> None:
    root = folder("b.png", "x/a, b.png", "c.png")
    data = read_unlabelled(put(root / "list.txt", b"x/a, b.png\n\nb.png\r\ngone.png\nb.png\n" + bytes(root / "c.png")))
    assert paths(data) == ["x/a, b.png", "b.png", "c.png"]
    assert {s.path: s.reason for s in data.skipped} == {"gone.png": "there is no such file"}


def test_a_table_needs_a_path_and_no_label(folder: Folder) -> None:
    root = folder("a.png", "b.png")
    assert paths(read_unlabelled(put(root / "list.csv", b"id,path\n1,b.png\n2,a.png\n"))) == ["b.png", "a.png"]
    assert "no column 'path'" in error(put(root / "other.csv", b"id,label\n1,2\n"))


def test_what_names_no_picture_is_an_error(folder: Folder, tmp_path: Path) -> None:
    root = folder()
    assert "is empty" in error(root)
    assert "There is no folder or file" in error(root / "gone")
    assert "lists no image" in error(put(root / "list.txt", b"\n"))
    assert "None of the 1 images" in error(put(root / "list.txt", b"gone.png\n"))
    assert "neither a picture nor a list" in error(put(root / "x.bin", b"\x00\x01"))


@pytest.mark.skipif(os.name != "posix", reason="pipes in the file system are POSIX")
def test_a_pipe_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "neither a folder nor a regular file" in error(tmp_path / "pipe.png")


@pytest.mark.parametrize("reader", [read, read_unlabelled])
def test_a_folder_that_nobody_may_look_into_is_told(
    reader: Callable[[Path], Dataset], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = folder("a/1.png", "b/1.png") / "a"

    def refuse(path: Path, **_: object) -> os.stat_result:  # nothing is forbidden to root, who may run this
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        with pytest.raises(DataError, match="no permission") as caught:
            reader(secret)
    assert "ls -ld" in caught.value.remedy
