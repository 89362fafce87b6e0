"""A copy of a person's code: what lies in its folder and may be imported or read, but no pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

_COPIED = {
    ".py",
    ".sh",
    ".json",
    ".yaml",
    ".yml",
    ".toml",
    ".txt",
    ".cfg",
    ".ini",
    ".csv",
    ".safetensors",
    ".pt",
    ".pth",
}
_LEFT_OUT = {"venv", "site-packages", "node_modules"}
_MOST_BYTES = 512 * 2**20
_MOST_FILES = 5000
_DEEPEST = 4


def copy_code(folder: Path, target: Path) -> None:
    """Copy a folder's small files into a new folder, at most four levels deep and 512 MiB in all."""
    target.mkdir()
    total = 0
    for number, path in enumerate(_files(folder)):
        total += path.stat().st_size
        if total > _MOST_BYTES or number >= _MOST_FILES:
            break
        copied = target / path.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)


def _files(folder: Path, depth: int = 1) -> list[Path]:
    """The files to copy, a folder's own first: what is near is what is needed."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    found = [path for path in entries if path.suffix in _COPIED and not path.name.startswith(".") and path.is_file()]
    if depth < _DEEPEST:
        for path in entries:
            hidden = path.name.startswith((".", "__pycache__")) or path.name in _LEFT_OUT
            if path.is_dir() and not hidden and not path.is_symlink():
                found += _files(path, depth + 1)
    return found
