"""Reading one file that may be anything: gone, a pipe, unreadable, endless."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from zoo.data.decode import UnusableImage

#: Largest file that is read; a picture of ``MAX_PIXELS`` in 32-bit RGBA without compression fits.
MAX_BYTES = 512 * 2**20

_REASONS = {
    errno.ENOENT: "it is not there any more",
    errno.ENOTDIR: "it is not there any more",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ELOOP: "a link that leads to itself",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EIO: "the disk cannot read it",
    errno.ESTALE: "the network drive has lost it",
    errno.ENXIO: "not a regular file",
    errno.EISDIR: "a folder",
}


def read_file(path: Path | str, *, limit: int = MAX_BYTES) -> bytes:
    """The whole content of a regular file.

    Never blocks on a pipe or a device.

    Raises:
        UnusableImage: Where it cannot be read, with the reason.
    """
    try:
        with open(path, "rb", buffering=0, opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnusableImage("not a regular file")
            if status.st_size == 0:
                raise UnusableImage("an empty file")
            if status.st_size > limit:
                raise UnusableImage(f"too large: {status.st_size / 2**20:,.0f} MiB")
            return _read_all(file.fileno(), status.st_size)
    except OSError as error:
        raise UnusableImage(os_reason(error)) from error
    except ValueError:  # a null byte in the name, from a manifest
        raise UnusableImage("its name is not a file name") from None


def _open(path: str, flags: int) -> int:
    # Opening a pipe would else wait for a writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_all(descriptor: int, size: int) -> bytes:
    """``size`` bytes, less where the file was cut meanwhile: the decoder will say "truncated"."""
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def os_reason(error: OSError) -> str:
    """Why the operating system refused, in words."""
    return _REASONS.get(error.errno or 0, (error.strerror or "it cannot be read").lower())
