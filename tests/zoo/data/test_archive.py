from __future__ import annotations

import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.zoo.data.conftest import encoded, picture
from zoo.data import Dataset, read
from zoo.data.decode import decode
from zoo.data.files import read_file
from zoo.errors import DataError, StorageError

GOOD = {f"{c}/{i}.png": encoded(picture(seed=i)) for c in ("cat", "dog") for i in range(3)}


def pack(path: Path, entries: dict[str, bytes] | list[tuple[zipfile.ZipInfo | str, bytes]], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:  # type: ignore[call-overload]
        for name, data in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, data)
    return path


def reasons(data: Dataset) -> dict[str, str]:
    return {s.path: s.reason for s in data.skipped}


def error(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.remedy
    return str(caught.value)


def test_a_zip_is_read_like_the_folder_in_it(tmp_path: Path) -> None:
    data = read(pack(tmp_path / "pets.zip", GOOD))
    assert data.classes == ("cat", "dog")
    assert [s.path for s in data.samples] == sorted(GOOD)
    assert data.name == "pets"
    assert {s.path: read_file(data.file(s)) for s in data.samples} == GOOD


def test_splits_and_a_wrapper_folder_are_found(tmp_path: Path) -> None:
    entries = {f"pets-main/{s}/{name}": data for s in ("train", "test") for name, data in GOOD.items()}
    data = read(pack(tmp_path / "pets.zip", entries))
    assert data.given_splits
    assert {s.split for s in data.samples} == {"train", "test"}


def test_it_is_unpacked_once_into_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "pets.zip", GOOD | {"cat/notes.txt": b"x"})
    one = read(path)
    assert cache in one.root.parents
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pets.zip"]

    def refuse(*_args: object) -> None:
        raise AssertionError("unpacked again")

    monkeypatch.setattr("zoo.data.archive._unpack", refuse)
    assert read(path) == one
    assert read(shutil.copy(path, tmp_path / "copy.zip")).root == one.root


def test_another_content_is_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    one = read(pack(path, GOOD))
    path.unlink()
    other = read(pack(path, GOOD | {"cat/new.png": encoded(picture(seed=99))}))
    assert (len(one), len(other)) == (6, 7)
    assert one.root != other.root


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def test_no_entry_leaves_the_folder(tmp_path: Path, cache: Path) -> None:
    evil = encoded(picture(seed=66))
    bad: list[tuple[zipfile.ZipInfo | str, bytes]] = [
        ("../evil.png", evil),
        ("cat/../../evil.png", evil),
        ("..\\evil.png", evil),
        ("/evil.png", evil),
        ("C:/evil.png", evil),
        ("c:evil.png", evil),
        ("\\\\server\\share\\evil.png", evil),
        ("cat/con.png", evil),
        ("NUL/1.png", evil),
        ("cat//1.png", evil),
        ("cat/./1.png", evil),
        ("cat/" + "x" * 300 + ".png", evil),
        link("cat/link.png", "/etc/passwd"),
        link("dog/out", "../.."),
    ]
    outside = {p for p in tmp_path.parent.rglob("*") if cache not in (p, *p.parents)}
    path = pack(tmp_path / "evil.zip", [*GOOD.items(), *bad, ("dog/out/evil.png", evil)])
    data = read(path)
    assert {p for p in tmp_path.parent.rglob("*") if cache not in (p, *p.parents)} == outside | {path}
    assert [s.path for s in data.samples] == sorted([*GOOD, "dog/out/evil.png"])
    inside = [p for p in cache.rglob("*") if p.is_file()]
    assert not any(p.is_symlink() for p in cache.rglob("*"))
    assert sum(p.read_bytes() == evil for p in inside) == 1
    said = reasons(data)
    assert len(said) == len(bad)
    assert said["../evil.png"] == "its name has '..' in it: it would leave the folder"
    assert (
        said["/evil.png"]
        == said["C:/evil.png"]
        == said["c:evil.png"]
        == "its name is absolute: it would leave the folder"
    )
    assert said["cat/con.png"] == "the name of a device on Windows"
    assert said["cat/link.png"] == "a link in an archive"
    assert said["cat//1.png"] == "its name cannot be a file name"


def test_only_pictures_are_unpacked(tmp_path: Path, cache: Path) -> None:
    extra = {"readme.txt": b"hello", "cat/film.mp4": b"\0" * 1000, "__MACOSX/cat/._0.png": b"x", "cat/.DS_Store": b"x"}
    data = read(pack(tmp_path / "pets.zip", GOOD | extra))
    assert reasons(data) == {"readme.txt": "not a picture (.txt)", "cat/film.mp4": "a film, not a picture (.mp4)"}
    assert {p.suffix for p in cache.rglob("files/**/*") if p.is_file()} == {".png"}


def test_names_that_clash_are_left_out(tmp_path: Path) -> None:
    entries = [*GOOD.items(), ("CAT/0.png", b"other"), ("dog/x", GOOD["dog/0.png"]), ("dog/x/1.png", GOOD["dog/1.png"])]
    data = read(pack(tmp_path / "pets.zip", entries))
    assert reasons(data) == {
        "CAT/0.png": "its name is twice in the archive",
        "dog/x": "a file and a folder go by this name",
    }


def test_a_damaged_entry_is_left_out_and_the_rest_read(tmp_path: Path) -> None:
    path = pack(tmp_path / "pets.zip", GOOD, compression=zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    place = raw.find(GOOD["cat/1.png"])
    raw[place + 30] ^= 0xFF
    path.write_bytes(raw)
    for _ in range(2):
        data = read(path)
        assert len(data) == 5
        assert reasons(data) == {"cat/1.png": "damaged in the archive"}


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_a_damaged_archive_is_an_error(tmp_path: Path, cut: int) -> None:
    path = pack(tmp_path / "pets.zip", GOOD)
    path.write_bytes(path.read_bytes()[:cut])
    assert "damaged zip file" in error(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, cache: Path) -> None:
    zeros = bytes(64 * 2**20)
    path = pack(tmp_path / "bomb.zip", {f"a/{i}.png": zeros for i in range(17)}, compression=zipfile.ZIP_DEFLATED)
    assert "zip bomb" in error(path)
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix == ".png"] == []


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_announced(tmp_path: Path, cache: Path) -> None:
    path = pack(tmp_path / "liar.zip", GOOD | {"cat/liar.png": bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)
    raw = path.read_bytes().replace(struct.pack("<I", 10_000_000), struct.pack("<I", 1000))
    path.write_bytes(raw)
    data = read(path)
    assert reasons(data) == {"cat/liar.png": "damaged in the archive"}
    assert max(p.stat().st_size for p in cache.rglob("*") if p.is_file()) < 100_000


def test_one_entry_beyond_the_limit_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.archive.MAX_BYTES", 100_000)
    data = read(pack(tmp_path / "pets.zip", GOOD | {"cat/large.png": bytes(100_001)}))
    assert reasons(data) == {"cat/large.png": "too large"}


def test_an_encrypted_archive_is_an_error(tmp_path: Path) -> None:
    path = pack(tmp_path / "pets.zip", GOOD)
    raw = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(magic)
        while place >= 0:
            raw[place + offset] |= 1
            place = raw.find(magic, place + 4)
    path.write_bytes(raw)
    assert "is encrypted" in error(path)


def test_an_archive_without_pictures_is_an_error(tmp_path: Path) -> None:
    assert "holds no picture" in error(pack(tmp_path / "empty.zip", {}))
    assert "(2 other files)" in error(pack(tmp_path / "text.zip", {"a/1.txt": b"x", "b/1.txt": b"x"}))
    flat = error(pack(tmp_path / "flat.zip", {"1.png": GOOD["cat/0.png"]}))
    assert f"{tmp_path / 'flat.zip'} holds 1 picture but no folder for each class" in flat


def test_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "pets.zip", GOOD)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(StorageError, match="ZOO_CACHE"):
        read(path)
    assert [p for p in cache.rglob("*") if p.suffix == ".png"] == []


def test_a_disk_that_fills_meanwhile_leaves_nothing_half_done(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, written = pack(tmp_path / "pets.zip", GOOD), Path.open, [0]

    def fill(self: Path, *args: object, **options: object) -> object:
        written[0] += self.suffix == ".png"
        if written[0] > 3:
            raise OSError(28, "No space left on device")
        return real(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", fill)
    with pytest.raises(StorageError, match="disk is full"):
        read(path)
    monkeypatch.undo()
    os.environ["ZOO_CACHE"] = str(cache)
    assert [p for p in cache.rglob("*") if p.suffix == ".png"] == []
    assert len(read(path)) == 6


def test_two_that_unpack_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.data import archive

    path, real = pack(tmp_path / "pets.zip", GOOD), archive._unpack

    def slower(opened: zipfile.ZipFile, plan: archive._Plan, part: Path) -> None:
        monkeypatch.setattr(archive, "_unpack", real)
        read(path)  # the other process, which is done first
        real(opened, plan, part)

    monkeypatch.setattr(archive, "_unpack", slower)
    data = read(path)
    assert len(data) == 6
    assert [p.name for p in data.root.parents[1].iterdir()] == [data.root.parent.name]


def test_the_pictures_can_be_decoded(tmp_path: Path) -> None:
    data = read(pack(tmp_path / "pets.zip", GOOD))
    assert {decode(read_file(data.file(s))).size for s in data.samples} == {(24, 16)}


def test_a_zip_without_a_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    assert len(read(pack(tmp_path / "download", GOOD))) == 6
