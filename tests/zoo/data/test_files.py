from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from zoo.data.decode import UnusableImage
from zoo.data.files import read_file


def reason(path: Path | str, **options: int) -> str:
    with pytest.raises(UnusableImage) as caught:
        read_file(path, **options)
    return caught.value.reason


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert read_file(tmp_path / "a") == b"x" * 100_000


def test_what_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert reason(tmp_path / "empty") == "an empty file"
    assert reason(tmp_path / "gone") == "it is not there any more"
    assert reason(tmp_path / "empty" / "below") == "it is not there any more"
    assert reason(tmp_path) == "a folder"
    assert reason(f"{tmp_path}/null\0byte") == "its name is not a file name"
    assert reason(tmp_path / ("x" * 300)) == "its name is too long"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(3 * 2**20)
    assert reason(tmp_path / "huge", limit=2**20) == "too large: 3 MiB"


@pytest.mark.skipif(os.name != "posix", reason="pipes in the file system are POSIX")
def test_pipes_devices_and_loops_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert reason(tmp_path / "pipe") == "not a regular file"
    assert reason("/dev/zero") == "not a regular file"
    assert reason(tmp_path / "loop") == "a link that leads to itself"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, "no permission to read it"),
        (errno.EIO, "the disk cannot read it"),
        (errno.ESTALE, "the network drive has lost it"),
        (errno.ENOTSUP, os.strerror(errno.ENOTSUP).lower()),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    """Root may read anything, so the refusal is staged."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "open", refuse)
    assert reason(tmp_path / "a") == expected


def test_no_file_stays_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("counts open files as Linux shows them")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        reason(tmp_path)
        reason("/dev/zero")
    assert len(list(descriptors.iterdir())) == before
