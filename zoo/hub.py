"""Files from the Hugging Face hub and from plain addresses: the cache first, then the network, every byte checked.

What is cached is used as it is, without asking the hub: the same name means the same weights tomorrow, with or
without a network. Deadlines are short until the first byte arrives: a machine without a network is told so at once.
A download may then take as long as it likes while it moves; one that stalls is given up after some seconds.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from zoo.cache import replacing, storage_error
from zoo.errors import HubError, WeightsError

T = TypeVar("T")

#: Seconds one request may wait for an answer, and the longest that finding out about a file may take in all.
TIMEOUT, DEADLINE = 4.0, 8.0
#: Seconds without a byte after which a download from the hub is given up; ``$HF_HUB_DOWNLOAD_TIMEOUT`` goes before it.
STALL = 8
_CHUNK = 1 << 20


def _hub() -> Any:
    """``huggingface_hub`` with its errors, which bring its HTTP client."""
    _constants()
    import huggingface_hub  # 0.4 s that bundled models need not pay
    import huggingface_hub.errors  # what is in a submodule is not there before it is imported

    return huggingface_hub


def _constants() -> Any:
    """The hub's settings, told before their import to keep statistics to itself and how long to wait for a byte."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", str(STALL))
    from huggingface_hub import constants

    return constants


def split(origin: str) -> tuple[str, str | None]:
    """``hf-hub:owner/name@revision`` as repository and revision; ``None`` where no revision is given."""
    repository, _, revision = origin.partition(":")[2].partition("@")
    return repository, revision or None


def cached(origin: str, filename: str) -> Path | None:
    """The file in the hub's cache, or ``None``. Never uses the network.

    Raises:
        HubError: No repository can have such a name.
    """
    repository, revision = split(origin)
    try:
        path = _hub().try_to_load_from_cache(repository, filename, revision=revision)
    except _hub().errors.HFValidationError as error:
        raise HubError(f"{repository!r} is not a name of a repository.", remedy="Write hf-hub:owner/name.") from error
    return Path(path) if isinstance(path, str) else None


def cached_repositories() -> set[str]:
    """``owner/name`` of all model repositories of which something is in the hub's cache."""
    folder = Path(_constants().HF_HUB_CACHE)
    prefix = "models--"
    return {path.name.removeprefix(prefix).replace("--", "/") for path in folder.glob(f"{prefix}*")}


def fetch(origin: str, filename: str, *, offline: bool = False) -> Path | None:
    """A file of a hub repository, from the cache or from the hub; ``None`` where the repository has no such file.

    Raises:
        HubError: It is not cached and the hub cannot be reached, refuses or stalls, or there is no such repository.
        WeightsError: What arrived is not what the hub promised; the next attempt starts afresh.
        StorageError: The disk is full.
    """
    if (path := cached(origin, filename)) is not None:
        return path
    hub = _hub()
    if offline or hub.constants.HF_HUB_OFFLINE:
        raise HubError(f"{filename} of {origin!r} is not in the cache, and offline work was asked for.", remedy="")
    repository, revision = split(origin)
    url = hub.hf_hub_url(repository, filename, revision=revision)
    try:
        promised = _within(DEADLINE, lambda: hub.get_hf_file_metadata(url, timeout=TIMEOUT), host_of(url))
        with _impatient(host_of(url)):
            path = Path(hub.hf_hub_download(repository, filename, revision=revision, etag_timeout=TIMEOUT))
    except hub.errors.EntryNotFoundError as error:
        if isinstance(error, hub.errors.LocalEntryNotFoundError):
            raise _unreachable(host_of(url), error) from error
        return None
    except (hub.errors.HfHubHTTPError, OSError, hub.errors.HTTPError) as error:
        raise _translated(error, repository, host_of(url)) from error
    _check(path, promised.etag, origin)
    return path


def endpoint() -> str:
    """The address of the hub: ``$HF_ENDPOINT``, or the public one."""
    return str(_constants().ENDPOINT)


def is_offline() -> bool:
    """Whether ``$HF_HUB_OFFLINE`` forbids every network call."""
    return bool(_hub().constants.HF_HUB_OFFLINE)


def obstacle(url: str) -> str:
    """Why nothing can be had from an address, in words; empty where it answers. Takes ``DEADLINE`` at most."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the person's own endpoint
    try:
        _within(DEADLINE, lambda: urllib.request.urlopen(request, timeout=TIMEOUT).close(), host_of(url))  # noqa: S310
    except urllib.error.HTTPError as error:  # an answer, if only that it has no such page
        error.close()
        return f"{host_of(url)} answers with HTTP {error.code}" if error.code >= 500 else ""
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"{host_of(url)}: {getattr(reason, 'strerror', None) or reason}"
    except HubError as error:
        return error.what.rstrip(".")
    return ""


@contextmanager
def _impatient(host: str) -> Iterator[None]:
    """Downloads of this thread end where they stall, and are plain HTTP.

    After a time without a byte, huggingface_hub tries five more times, a minute in all, and has no setting for that. It
    warns before each attempt, still handling the exception; the filter lets that go on instead. Connections that break
    are taken up again as ever. Xet, the other way of transfer, has no time limit, so it is left out.
    """
    constants, log = _hub().constants, logging.getLogger("huggingface_hub.file_download")
    thread, xet = threading.get_ident(), constants.HF_HUB_DISABLE_XET

    def give_up(_: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]
        if threading.get_ident() == thread and error is not None and _is_timeout(error):
            raise HubError(
                f"The download from {host} stalled: no byte in time.",
                remedy="Try again in a while: nothing of it was kept.",
            ) from error
        return True

    log.addFilter(give_up)
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        log.removeFilter(give_up)


def _is_timeout(error: BaseException) -> bool:
    return bool({"TimeoutException", "Timeout", "TimeoutError"} & {kind.__name__ for kind in type(error).__mro__})


def _translated(error: Exception, repository: str, host: str) -> Exception:
    errors = _hub().errors
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{repository!r} is given only to people who accept its terms.",
            remedy=f"Accept them at https://{host}/{repository}, then run: hf auth login",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return HubError(
            f"{host} refuses {repository!r}: it is private, or does not exist, or the token is wrong (HTTP {status}).",
            remedy="Check the name. If it is right, log in: hf auth login (or set HF_TOKEN).",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{repository!r} has no such revision.", remedy=f"See https://{host}/{repository}/tree/main")
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return HubError(
            f"There is no repository {repository!r} on {host}.", remedy="Check the name: hf-hub:owner/name."
        )
    if status is not None:
        return HubError(f"{host} answers with HTTP {status} for {repository!r}.", remedy="Try again in a while.")
    return _unreachable(host, error) if _is_network(error) else _incomplete(error, repository)


def _is_network(error: Exception) -> bool:
    """Whether there was no answer at all, rather than one that broke off or a disk that is full."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ConnectError", "ConnectionError", "TimeoutException", "Timeout", "ProxyError", "gaierror"})


def _incomplete(error: Exception, what: str) -> Exception:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
        return storage_error(error, Path(error.filename or "the cache"))
    return WeightsError(
        f"The download of {what} broke off: {str(error).splitlines()[0][:200]}",
        remedy="Nothing of it was kept. Run the same command again.",
    )


def _unreachable(host: str, error: BaseException | None) -> HubError:
    reason = f" ({str(error).splitlines()[0][:100]})" if error is not None and str(error) else ""
    return HubError(f"{host} cannot be reached{reason}.", remedy="")


def host_of(url: str) -> str:
    """The host that an address names, with its port."""
    return urlsplit(url).netloc


def _within(seconds: float, call: Callable[[], T], host: str) -> T:
    """``call()``, given up after some seconds: looking up a name takes as long as it likes and has no time limit."""
    outcome: list[T] = []
    failure: list[Exception] = []

    def attempt() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001  # carried to the caller's thread, where it is raised again
            failure.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not outcome:
        raise _unreachable(host, TimeoutError(f"no answer in {seconds:.0f} s"))
    return outcome[0]


def _check(path: Path, etag: str | None, origin: str) -> None:
    """Compare a fresh file with the digest that the hub names it by, and remove it where they differ."""
    blob = path.resolve()
    size = blob.stat().st_size
    if etag and re.fullmatch(r"[0-9a-f]{64}", etag):
        digest = hashlib.sha256()
    elif etag and re.fullmatch(r"[0-9a-f]{40}", etag):  # git's own name for a small file
        digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    else:
        return
    with blob.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != etag:
        discard(path)
        raise WeightsError(
            f"{path.name} of {origin!r} was damaged on its way: its checksum is not the hub's.",
            remedy="It was removed. Run the same command again.",
        )


def discard(path: Path) -> None:
    """Remove a damaged file from the cache, so that the next attempt fetches it again."""
    blob = path.resolve()
    path.unlink()
    blob.unlink(missing_ok=True)  # the hub's cache keeps the content apart and links to it


def cached_url(url: str) -> Path:
    """Where the file of a plain address is kept: where torch.hub would keep it. It need not exist."""
    return torch_hub() / "checkpoints" / Path(urlsplit(url).path).name


def torch_hub() -> Path:
    """What ``torch.hub.get_dir()`` says, without loading torch where nobody can have changed it."""
    if "torch.hub" in sys.modules:
        return Path(sys.modules["torch.hub"].get_dir())
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(home).expanduser() / "hub"


def fetch_url(url: str, *, offline: bool = False) -> Path:
    """The file of a plain address, from torch.hub's cache or from the network.

    torch.hub itself waits for ever on a host that does not answer, hence our own reading. Its convention is kept:
    ``name-0123abcd.pth`` promises the first digits of the file's SHA-256.

    Raises:
        HubError: It is not cached and the host cannot be reached or refuses.
        WeightsError: The file is damaged or cut; the next attempt starts afresh.
        StorageError: The disk is full.
    """
    path = cached_url(url)
    if path.is_file():
        return path
    if offline or os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}:
        raise HubError(f"{path.name} is not in the cache, and offline work was asked for.", remedy="")
    try:
        answer = _within(DEADLINE, lambda: urllib.request.urlopen(url, timeout=TIMEOUT), host_of(url))  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        raise HubError(f"{url} answers with HTTP {error.code}.", remedy="Choose another model: zoo list") from error
    except (OSError, HTTPException) as error:
        raise _unreachable(host_of(url), error) from error
    with answer, replacing(path) as part:
        _receive(answer, part, url)
    return path


def _receive(answer: Any, part: Path, url: str) -> None:
    digest, received = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                received += len(chunk)
                file.write(chunk)
    except (TimeoutError, ConnectionError, HTTPException) as error:
        raise _incomplete(ConnectionError(f"the connection broke after {received} bytes ({error})"), url) from error
    promised = re.search(r"-([0-9a-f]{8,})\.", url)
    length = answer.headers.get("Content-Length")
    if (length and received != int(length)) or (promised and not digest.hexdigest().startswith(promised[1])):
        raise WeightsError(
            f"The download of {url} is damaged or cut ({received} of {length or 'unknown'} bytes).",
            remedy="Nothing of it was kept. Run the same command again.",
        )
