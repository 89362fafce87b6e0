from __future__ import annotations

import builtins
import errno
import json
import os
import pathlib
import socket
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.zoo.data.conftest import encoded, fingerprint, picture, put
from zoo.data import Dataset, read, split
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.data.names import printable
from zoo.errors import DataError

Folder = Callable[..., Path]
posix = pytest.mark.skipif(os.name != "posix", reason="names and files that only POSIX systems have")


def paths(dataset: Dataset) -> list[str]:
    return [s.path for s in dataset.samples]


def reasons(dataset: Dataset) -> dict[str, str]:
    return {s.path: s.reason for s in dataset.skipped}


def labelled(dataset: Dataset) -> dict[str, str]:
    return {s.path: dataset.classes[s.label] for s in dataset.samples}


def error(source: object, **options: int) -> str:
    with pytest.raises(DataError) as caught:
        read(str(source), **options)
    assert caught.value.what
    assert caught.value.remedy
    return str(caught.value)


def test_the_folders_are_the_classes(folder: Folder) -> None:
    data = read(folder("dog/b.png", "cat/a.png", "dog/deep/er/c.png"))
    assert data.classes == ("cat", "dog")
    assert labelled(data) == {"cat/a.png": "cat", "dog/b.png": "dog", "dog/deep/er/c.png": "dog"}
    assert not data.given_splits
    assert {s.split for s in data.samples} == {None}
    assert data.name == "pictures"
    assert all(data.file(s).is_file() for s in data.samples)


def test_the_samples_are_in_the_order_of_their_paths(folder: Folder) -> None:
    data = read(folder("b/2.png", "b/10.png", "a/z.png", "a/Z.png", "b/1/x.png"))
    assert paths(data) == sorted(paths(data))


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Train", "Validation", "TEST"),
        ("training", "valid", "testing"),
        ("TRAIN", "dev", "test "),
    ],
)
def test_given_splits_are_read_whatever_they_are_called(folder: Folder, names: tuple[str, str, str]) -> None:
    data = read(folder(*(f"{split}/{label}/1.png" for split in names for label in ("cat", "dog"))))
    assert data.given_splits
    assert data.classes == ("cat", "dog")
    assert {s.path.split("/")[0]: s.split for s in data.samples} == dict(
        zip(names, ("train", "val", "test"), strict=True)
    )


def test_train_and_test_alone_are_splits(folder: Folder) -> None:
    data = read(folder(*(f"{s}/{c}/{i}.png" for s in ("train", "test") for c in "ab" for i in range(10))))
    assert data.given_splits
    done = split(data, seed=0)
    counts = {s: len(done.indices(s)) for s in ("train", "val", "test")}
    assert counts == {"train": 16, "val": 4, "test": 20}
    assert all(done.samples[i].path.startswith("train/") for i in done.indices("val"))


def test_a_class_may_be_called_train(folder: Folder) -> None:
    data = read(folder("train/1.png", "bus/1.png", "car/1.png", "train/deep/2.png"))
    assert data.classes == ("bus", "car", "train")
    assert not data.given_splits


def test_pictures_in_a_split_without_class_folders_are_an_error(folder: Folder) -> None:
    assert "no folder for each class" in error(folder("train/1.png", "test/1.png"))


def test_an_unlabelled_test_folder_is_left_out_with_a_reason(folder: Folder) -> None:
    data = read(folder("train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png"))
    assert paths(data) == ["train/cat/1.png", "train/dog/1.png"]
    assert reasons(data) == {"test/1.png": "it lies in no class folder", "test/2.png": "it lies in no class folder"}


def test_a_folder_beside_the_splits_is_left_out_and_said(folder: Folder) -> None:
    data = read(folder("train/a/1.png", "train/b/1.png", "val/a/1.png", "extra/a/1.png", "extra/a/2.png"))
    assert len(data) == 3
    assert any("'extra'" in w and "2 files" in w for w in data.warnings)


def test_a_lone_wrapper_folder_is_stepped_into_and_said(folder: Folder) -> None:
    data = read(folder("v2/images/cat/1.png", "v2/images/dog/1.png", ".DS_Store"))
    assert data.classes == ("cat", "dog")
    assert paths(data) == ["cat/1.png", "dog/1.png"]
    assert sum("one folder only" in w for w in data.warnings) == 2


def test_clutter_is_not_worth_a_word(folder: Folder) -> None:
    root = folder("cat/1.png", "dog/1.png")
    for name in ("Thumbs.db", "cat/.DS_Store", "cat/._1.png", "dog/desktop.ini", "__MACOSX/cat/._1.png", ".git/x.png"):
        put(root / name, b"clutter")
    data = read(root)
    assert paths(data) == ["cat/1.png", "dog/1.png"]
    assert data.skipped == ()


def test_other_files_are_left_out_by_their_name(folder: Folder) -> None:
    root = folder("cat/1.png", "dog/1.png")
    for name in ("cat/notes.txt", "cat/1.xml", "dog/film.mp4", "dog/raw.CR2", "cat/LICENSE", "README.md"):
        put(root / name, b"no picture")
    assert reasons(read(root)) == {
        "cat/notes.txt": "not a picture (.txt)",
        "cat/1.xml": "not a picture (.xml)",
        "dog/film.mp4": "a film, not a picture (.mp4)",
        "dog/raw.CR2": "a raw camera file: convert it to JPEG (.cr2)",
        "cat/LICENSE": "not a picture, by its name and by its content",
    }


def test_a_name_that_tells_nothing_is_decided_by_the_content(folder: Folder) -> None:
    root = folder("cat/0a1b2c", "dog/1.png", "dog/picture.2024-01-02")
    put(root / "cat" / "other", b"text")
    data = read(root)
    assert paths(data) == ["cat/0a1b2c", "dog/1.png", "dog/picture.2024-01-02"]
    assert reasons(data) == {"cat/other": "not a picture, by its name and by its content"}


def test_listing_opens_no_picture(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("cat/1.png", "dog/1.jpg")

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(pathlib.Path, "open", refuse)
    assert len(read(root)) == 2


def test_bad_files_get_a_reason_when_they_are_decoded_and_the_rest_goes_on(folder: Folder) -> None:
    root = folder("cat/good.png", "dog/good.png")
    put(root / "cat/empty.jpg", b"")
    put(root / "cat/text.jpg", b"this is a text")
    put(root / "cat/cut.jpg", encoded(picture(200, 200), "JPEG")[:800])
    put(root / "cat/really_a_png.jpg", encoded(picture()))
    data, found = read(root), {}
    for sample in data.samples:
        try:
            decode(read_file(data.file(sample)))
        except UnusableImage as bad:
            found[sample.path] = bad.reason
    assert found == {
        "cat/empty.jpg": "an empty file",
        "cat/text.jpg": "not a picture but text",
        "cat/cut.jpg": "truncated",
    }


@posix
def test_links_pipes_and_sockets_are_left_out_and_never_block(tmp_path: Path, folder: Folder) -> None:
    root = folder("cat/1.png", "dog/1.png")
    (root / "cat/broken.png").symlink_to(root / "nowhere.png")
    (root / "cat/itself.png").symlink_to("itself.png")
    os.mkfifo(root / "cat/pipe.png")
    os.mkfifo(root / "dog/pipe")
    (root / "cat/device.png").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(root / "cat")  # the name of a socket must be short
    try:
        server.bind("socket.png")
    finally:
        os.chdir(here)
        server.close()
    data = read(root)
    assert paths(data) == ["cat/1.png", "dog/1.png"]
    assert reasons(data) == {
        "cat/broken.png": "a link to a file that is not there",
        "cat/itself.png": "a link that leads to itself",
        "cat/pipe.png": "a pipe, not a file",
        "cat/device.png": "a device, not a file",
        "cat/socket.png": "a socket, not a file",
        "dog/pipe": "a pipe, not a file",
    }


@posix
def test_links_that_loop_are_read_once(folder: Folder) -> None:
    root = folder("cat/1.png", "cat/deep/2.png", "dog/1.png")
    (root / "cat/self").symlink_to(".")
    (root / "cat/deep/up").symlink_to("..")
    (root / "cat/root").symlink_to(root)
    (root / "cat/above").symlink_to(root.parent)
    (root / "cat/also_deep").symlink_to("deep")
    (root / "loop").symlink_to(root)
    (root / "around").symlink_to("around")
    data = read(root)
    assert paths(data) == ["cat/1.png", "cat/deep/2.png", "dog/1.png"]
    assert data.classes == ("cat", "dog")
    loops = {p for p, r in reasons(data).items() if r == "a link to a folder that is read already"}
    assert loops == {"cat/self", "cat/deep/up", "cat/root", "cat/above", "cat/also_deep", "loop"}


@posix
def test_a_class_may_be_a_link(tmp_path: Path, folder: Folder) -> None:
    root = folder("cat/1.png", "../elsewhere/dogs/1.png")
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dogs")
    (root / "cat" / "linked.png").symlink_to(tmp_path / "elsewhere" / "dogs" / "1.png")
    assert labelled(read(root)) == {"cat/1.png": "cat", "cat/linked.png": "cat", "dog/1.png": "dog"}


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_odd_names_survive_reading_printing_and_json(folder: Folder) -> None:
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    names = [
        "cat/two words.png",
        "cat/two\nlines.png",
        "cat/tab\t.png",
        f"cat/{latin}.png",
        "cat/'quoted\".png",
        "cat/-rf.png",
    ]
    root = folder(*names, f"dog {latin}/1.png", "bird/雪.png")
    data = read(root)
    assert set(paths(data)) == {*names, f"dog {latin}/1.png", "bird/雪.png"}
    for sample in data.samples:
        assert decode(read_file(data.file(sample))).size == (24, 16)
        assert json.loads(json.dumps(sample.path)) == sample.path
        shown = printable(sample.path)
        assert shown.encode("utf-8").decode("utf-8").splitlines() == [shown]
    assert data.classes == ("bird", "cat", "dog caf\\xe9")


def test_a_class_is_the_same_in_composed_and_decomposed_letters(folder: Folder) -> None:
    one, other = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    data = read(folder(f"train/{one}/1.png", f"test/{other}/1.png", "train/tea/1.png"))
    assert data.classes == (one, "tea")


def test_class_names_that_differ_by_a_typing_slip_are_warned_of(folder: Folder) -> None:
    data = read(folder("cat/1.png", "cat/2.png", "Cat /1.png", "dog/1.png", "ice_cream/1.png", "ice-cream/1.png"))
    said = " ".join(data.warnings)
    assert "'Cat ' and 'cat' have nearly the same name" in said
    assert "'ice-cream' and 'ice_cream'" in said


def test_names_that_differ_are_not_warned_of(tmp_path: Path) -> None:
    for name in ("cat", "cats", "dog"):
        put(tmp_path / name / "1.png")
        put(tmp_path / name / "2.png")
    assert read(tmp_path).warnings == ()


def test_a_class_with_one_image_is_warned_of(folder: Folder) -> None:
    data = read(folder("cat/1.png", "dog/1.png", "dog/2.png"))
    assert [w for w in data.warnings if "Only one training image in 'cat'" in w]


def test_an_empty_class_folder_is_warned_of(folder: Folder) -> None:
    root = folder("cat/1.png", "dog/1.png")
    (root / "bird").mkdir()
    data = read(root)
    assert data.classes == ("cat", "dog")
    assert any("'bird' holds no picture" in w for w in data.warnings)


def test_a_class_that_only_test_knows_is_left_out_and_said(folder: Folder) -> None:
    data = read(folder("train/a/1.png", "train/c/1.png", "test/a/1.png", "test/b/1.png", "test/c/1.png"))
    assert data.classes == ("a", "c")
    assert labelled(data)["test/c/1.png"] == "c"
    assert reasons(data) == {"test/b/1.png": "its class 'b' has no training image"}
    assert any("No training image for 'b'" in w for w in data.warnings)


def test_splits_without_a_class_in_common_are_an_error(folder: Folder) -> None:
    said = error(folder("train/a/1.png", "train/b/1.png", "test/A1/1.png", "test/B1/1.png"))
    assert "no class in common: train has 'a', 'b', test has 'A1', 'B1'" in said


def test_a_missing_folder_is_an_error_with_the_nearest_name(folder: Folder) -> None:
    root = folder("cat/1.png")
    assert f"Did you mean {root}?" in error(root.with_name("picture"))
    assert "There is no folder" in error(root / "no" / "such" / "place")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    assert "is empty" in error(tmp_path)


def test_one_class_only_is_an_error_but_not_for_measuring(folder: Folder) -> None:
    root = folder("cat/1.png", "cat/2.png")
    assert "1 class only: 'cat'" in error(root)
    assert len(read(root, minimum_classes=1)) == 2


def test_pictures_without_class_folders_are_an_error(folder: Folder) -> None:
    assert "holds 2 pictures but no folder for each class" in error(folder("1.png", "2.png"))


def test_loose_pictures_beside_the_classes_are_left_out_with_a_reason(folder: Folder) -> None:
    data = read(folder("cat/1.png", "dog/1.png", "loose.png"))
    assert reasons(data) == {"loose.png": "it lies in no class folder"}


def test_a_table_beside_loose_files_is_suggested(tmp_path: Path) -> None:
    put(tmp_path / "labels.csv", b"path,label\n")
    assert str(tmp_path / "labels.csv") in error(tmp_path)


def test_folders_without_pictures_are_an_error(folder: Folder) -> None:
    root = folder()
    put(root / "cat/1.txt", b"text")
    put(root / "dog/1.txt", b"text")
    assert "no picture that can be used" in error(root)


def test_a_file_of_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    assert "no kind of data that zoo knows" in error(put(tmp_path / "data.bin", b"\x00\x01"))
    assert "single picture" in error(put(tmp_path / "one.png"))
    assert "spreadsheet" in error(put(tmp_path / "table.xlsx", b"PK\x03\x04"))
    assert "Unpack it" in error(put(tmp_path / "data.tar.gz", b"\x1f\x8b"))


@posix
def test_a_pipe_in_place_of_data_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert "neither a folder nor a regular file" in error(tmp_path / "pipe.csv")


def test_a_folder_without_permission_is_an_error(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("cat/1.png", "dog/1.png")

    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    said = error(root)
    assert "no permission to read it" in said
    assert "permissions" in said


def test_a_class_folder_without_permission_is_left_out(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real = folder("cat/1.png", "dog/1.png", "owl/1.png"), os.scandir

    def refuse_cat(path: object) -> object:
        if str(path).rstrip("/").endswith("cat"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse_cat)
    data = read(root)
    assert data.classes == ("dog", "owl")
    assert reasons(data) == {"cat": "a folder: no permission to read it"}


def test_nothing_on_the_disk_is_changed(folder: Folder) -> None:
    root = folder("train/cat/1.png", "train/dog/1.png", "train/dog/2.png", "test/cat/1.png", "test/bird/1.png")
    put(root / "train/cat/broken.jpg", b"broken")
    put(root / "train/cat/empty.jpg", b"")
    (root / "train/cat/link.png").symlink_to("nowhere")
    before = fingerprint(root)
    data = split(read(root), seed=0)
    for sample in data.samples:
        try:
            decode(read_file(data.file(sample)))
        except UnusableImage:
            continue
    assert fingerprint(root) == before


def test_the_order_in_which_the_disk_lists_does_not_matter(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(*(f"{c}/{d}/{i}.png" for c in "abc" for d in "xy" for i in range(3)))
    expected, real = read(root), os.scandir

    class Reversed:
        def __init__(self, path: object) -> None:
            with real(path) as entries:  # type: ignore[call-overload]
                self.entries = list(entries)[::-1]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Reversed)
    assert read(root) == expected


def test_reading_a_folder_imports_neither_torch_nor_pandas(folder: Folder) -> None:
    import subprocess

    root = folder("cat/1.png", "dog/1.png")
    code = (
        "import sys; from zoo.data import read, split; split(read(sys.argv[1]), seed=0);"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'datasets', 'pyarrow', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
