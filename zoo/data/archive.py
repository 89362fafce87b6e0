"""A zip file: its pictures are unpacked into the cache, once, and nowhere else."""

from __future__ import annotations

import json
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.cache import file_digest
from zoo.data.dataset import Dataset, Skipped
from zoo.data.files import MAX_BYTES
from zoo.data.folder import read_folder
from zoo.data.formats import Kind, kind_of, other_reason
from zoo.data.materialise import INDEX, once
from zoo.data.names import printable
from zoo.errors import DataError

#: Pictures are packed already and hardly shrink in a zip: one that unpacks to more than this many times its size, and
#: to more than ``_BOMB_BYTES``, is no collection of pictures.
_BOMB_RATIO = 50
_BOMB_BYTES = 2**30
_BLOCK = 2**20
_RULES = 1  # version of what is unpacked; part of the key
_LONGEST_NAME = 255
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, IndexError)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What of an archive is unpacked, and where to, relative to the folder for it; what is not, and why."""

    members: tuple[tuple[zipfile.ZipInfo, str], ...]
    skipped: tuple[Skipped, ...]


def read_zip(path: Path, *, name: str) -> Dataset:
    """The pictures in a zip file, labelled by the folders they lie in, as ``read_folder`` does.

    They lie in the cache afterwards, under the archive's SHA-256: a second call unpacks nothing. No entry leaves that
    folder: absolute names, ``..``, links and names of devices are left out with their reason.

    Raises:
        DataError: It is damaged, encrypted, or unpacks to far more than pictures do.
        StorageError: The cache has no room for it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            plan = _plan(archive)
            _require_pictures(path, plan)
            _refuse_bombs(path, plan)
            needed = sum(info.file_size for info, _ in plan.members)
            folder = once(
                "zip", f"{file_digest(path)}-{_RULES}", lambda part: _unpack(archive, plan, part), needed=needed
            )
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(
            f"{printable(str(path))} is a damaged zip file: {printable(str(error))}.",
            remedy="Download or pack it again, or unpack it and give the folder.",
        ) from error
    dataset = read_folder(folder / "files", name=name, shown=str(path))
    damaged = [Skipped(**entry) for entry in json.loads((folder / INDEX).read_text("utf-8"))]
    skipped = sorted((*dataset.skipped, *plan.skipped, *damaged), key=lambda s: s.path)
    return replace(dataset, skipped=tuple(skipped))


def _plan(archive: zipfile.ZipFile) -> _Plan:
    members: list[tuple[zipfile.ZipInfo, str]] = []
    skipped: list[Skipped] = []
    taken: set[str] = set()
    for info in archive.infolist():
        target = info.filename.replace("\\", "/")
        parts = target.split("/")
        if info.is_dir() or any(kind_of(part) is Kind.CLUTTER and part not in (".", "..") for part in parts):
            continue
        reason = _unsafe(info, target, parts) or _no_picture(parts[-1])
        if reason is None and target.casefold() in taken:
            reason = "its name is twice in the archive"
        if reason is None:
            taken.add(target.casefold())
            members.append((info, target))
        else:
            skipped.append(Skipped(path=info.filename, reason=reason))
    folders = {"/".join(target.split("/")[:i]) for _, target in members for i in range(1, target.count("/") + 1)}
    clashing = [(info, target) for info, target in members if target in folders]
    skipped.extend(Skipped(path=target, reason="a file and a folder go by this name") for _, target in clashing)
    return _Plan(
        members=tuple(m for m in members if m not in clashing) if clashing else tuple(members), skipped=tuple(skipped)
    )


def _unsafe(info: zipfile.ZipInfo, target: str, parts: list[str]) -> str | None:
    """Why an entry must not be unpacked; judged alike on every system."""
    mode = info.external_attr >> 16
    reasons = {
        "its name is absolute: it would leave the folder": target.startswith("/") or re.match(r"[A-Za-z]:", target),
        "its name has '..' in it: it would leave the folder": ".." in parts,
        "a link in an archive": stat.S_ISLNK(mode),
        "not a regular file": stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK),
        "encrypted": info.flag_bits & 1,
        "the name of a device on Windows": any(_DEVICE.fullmatch(part.rstrip(" .")) for part in parts),
        "its name cannot be a file name": not all(_can_be_a_name(part) for part in parts),
        "too large": info.file_size > MAX_BYTES,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _can_be_a_name(part: str) -> bool:
    return part not in ("", ".") and "\0" not in part and len(part.encode("utf-8", "replace")) <= _LONGEST_NAME


def _no_picture(name: str) -> str | None:
    return other_reason(name) if kind_of(name) is Kind.OTHER else None


def _refuse_bombs(path: Path, plan: _Plan) -> None:
    unpacked = sum(info.file_size for info, _ in plan.members)
    if unpacked > max(_BOMB_BYTES, _BOMB_RATIO * path.stat().st_size):
        raise DataError(
            f"{printable(str(path))} would unpack from {path.stat().st_size / 2**20:,.1f} MiB to "
            f"{unpacked / 2**20:,.0f} MiB: pictures do not shrink like this, a zip bomb does.",
            remedy="If you trust it, unpack it yourself and give the folder.",
        )


def _require_pictures(path: Path, plan: _Plan) -> None:
    if plan.members:
        return
    if any(s.reason == "encrypted" for s in plan.skipped):
        raise DataError(f"{printable(str(path))} is encrypted.", remedy="Unpack it yourself and give the folder.")
    raise DataError(
        f"{printable(str(path))} holds no picture ({len(plan.skipped)} other files).",
        remedy="Pack a folder with one folder of pictures for each class (cat/1.jpg).",
    )


def _unpack(archive: zipfile.ZipFile, plan: _Plan, folder: Path) -> None:
    damaged: list[dict[str, str]] = []
    (folder / "files").mkdir()
    for info, target in plan.members:
        destination = folder / "files" / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(archive, info, destination)
        except _DAMAGE:
            destination.unlink(missing_ok=True)
            damaged.append({"path": target, "reason": "damaged in the archive"})
    (folder / INDEX).write_text(json.dumps(damaged), "utf-8")


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, destination: Path) -> None:
    """One entry. ``zipfile`` checks its CRC, and gives no more bytes than the directory of the archive announces."""
    with archive.open(info) as source, destination.open("xb") as file:
        while block := source.read(_BLOCK):
            file.write(block)
