"""A warehouse on another machine: files are fetched once, checked, and read from the user's cache."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalingdb._store import (
    INCOMING,
    MANIFEST,
    REPLACED,
    Entry,
    exclusive,
    file_entry,
    read_state,
    scratch_folder,
    user_folder,
)
from scalingdb.errors import WarehouseError
from scalingdb.notices import notice

__all__ = ["fetched", "is_address"]

AT_ONCE = 8
"""Files that are fetched at the same time."""

MOST_MANIFEST = 50_000_000
"""Bytes of a manifest: a quarter of a million files."""

SILENCE = 30.0
"""Seconds that an HTTP server may say nothing."""

UPLOAD = "upload the warehouse again, its manifest last."

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def is_address(path: str) -> bool:
    """Whether this names a place on another machine, such as ``s3://bucket/warehouse``."""
    return "://" in path


def cache_folder() -> Path:
    """``$SCALINGDB_CACHE``, else the user's cache folder."""
    return user_folder("cache") / "warehouses"


def fetched(address: str) -> Path:
    """Folder in the cache that holds the state that the warehouse at `address` has now.

    Its manifest is read each time; of the files it lists, those are fetched that no earlier state had.

    Raises
    ------
    WarehouseError
        If the place cannot be reached, has no manifest, or a file is not what the manifest says.
    """
    system, root = _file_system(address)
    cache, shown = cache_folder(), _public(address)
    objects = cache / "objects"
    try:
        objects.mkdir(parents=True, exist_ok=True)
        with scratch_folder(cache, ".fetching-") as scratch:
            try:
                _fetch(system, f"{root}/{MANIFEST}", scratch / MANIFEST, MOST_MANIFEST)
            except FileNotFoundError:
                raise WarehouseError(
                    f"no warehouse at {shown!r}: it has no {MANIFEST}",
                    "give the address of a folder that 'scalingdb build' wrote, uploaded with all its files.",
                ) from None
            except Exception as error:  # each file system has errors of its own
                raise _unreachable(shown, error) from None
            digest = file_entry(scratch / MANIFEST).sha256[:16]
            state = cache / f"{re.sub(r'[^A-Za-z0-9.-]', '-', _public(root).rpartition('/')[2])[:40]}-{digest}"
            if _is_whole(state):
                return state
            try:
                entries = dict(read_state(scratch).entries or {})
            except WarehouseError as error:
                raise WarehouseError(error.fact.replace(str(scratch), shown), UPLOAD) from None
            size = sum(entry.size for entry in entries.values()) / 1e6
            notice(f"fetching what is new of {shown}: at most {len(entries)} files, {size:.0f} MB")
            pool = ThreadPoolExecutor(AT_ONCE)
            try:
                jobs = [pool.submit(_object, system, root, shown, *item, objects, scratch) for item in entries.items()]
                for name, content in zip(entries, (job.result() for job in jobs), strict=True):
                    (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                    _link(content, scratch / name)
            except BaseException as error:
                pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)  # Ctrl-C waits for no server
                raise
            pool.shutdown()
            with exclusive(cache, wait=60):
                if not _is_whole(state):  # else another process was faster
                    shutil.rmtree(state, ignore_errors=True)
                    scratch.rename(state)
    except WarehouseError:
        raise
    except OSError as error:
        raise WarehouseError(
            f"the files of {shown!r} cannot be kept: {error}", "set SCALINGDB_CACHE to a folder with room."
        ) from error
    return state


def _is_whole(state: Path) -> bool:
    """Whether every file of a state is there as its manifest says; a disk may have lost or damaged some."""
    try:
        entries = read_state(state).entries
        return entries is not None and all(file_entry(state / name) == entry for name, entry in entries.items())
    except OSError:  # of which a damaged manifest is one
        return False


def _public(text: str) -> str:
    """An address, or a text with addresses, without user names, passwords and signed queries."""
    return re.sub(r"\?[^\s'\")]+", "?...", re.sub(r"(?<=://)[^/\s]*@", "...@", text))


def _file_system(address: str) -> tuple[Any, str]:
    protocol = address.partition("://")[0]
    try:
        import fsspec

        options: dict[str, Any] = {}
        if protocol in {"http", "https"}:
            import aiohttp

            # by default a file gets five minutes, and a silent server as long; bytes are hashed as they come
            timeout = aiohttp.ClientTimeout(sock_connect=SILENCE, sock_read=SILENCE)
            headers = {"Accept-Encoding": "identity"}
            options["client_kwargs"] = {"timeout": timeout, "auto_decompress": False, "headers": headers}
        system, root = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        package = PACKAGES.get(protocol, "fsspec")
        raise WarehouseError(f"{_public(address)!r}: {error}", f"pip install {package}") from error
    except Exception as error:
        raise WarehouseError(
            f"{_public(address)!r}: {_public(str(error))}", "addresses begin with s3:// or https://, say."
        ) from None
    return system, str(root).rstrip("/")


class _Limit:
    """Ends the transfer of a file that is longer than it should be; fsspec reports to it how far it is."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, _size: int | None, value: int) -> None:
        if value > self.most:
            raise TooLongError(f"more than the {self.most:,} bytes that it should have")


class TooLongError(Exception):
    """A file is longer than its manifest says."""


def _fetch(system: Any, place: str, file: Path, most: int) -> None:
    """Copy a file of at most so many bytes to the disk, piece by piece."""
    from fsspec.callbacks import Callback

    system.get_file(place, str(file), callback=Callback(hooks={"limit": _Limit(most)}))


def _object(system: Any, root: str, shown: str, name: str, entry: Entry, objects: Path, scratch: Path) -> Path:
    """One file with the content that the manifest states, fetched where the cache lacks it."""
    kept = objects / f"{entry.sha256}{Path(name).suffix}"
    if _holds(kept, entry):
        return kept
    if kept.is_dir():
        shutil.rmtree(kept)
    number, part = tempfile.mkstemp(dir=scratch)
    os.close(number)
    is_another = False
    # while a build changes the files, their contents lie in one of the piles
    for place in (name, f"{INCOMING}/{kept.name}", f"{REPLACED}/{kept.name}"):
        try:
            _fetch(system, f"{root}/{place}", Path(part), entry.size)
        except FileNotFoundError:
            continue
        except TooLongError:
            is_another = True
            continue
        except Exception as error:
            raise _unreachable(shown, error) from None
        if file_entry(Path(part)) == entry:
            Path(part).replace(kept)
            return kept
        is_another = True
    what = "has another content than its manifest states" if is_another else "is missing"
    raise WarehouseError(f"{name} of {shown!r} {what}", UPLOAD)


def _holds(file: Path, entry: Entry) -> bool:
    with contextlib.suppress(OSError):  # not there, or no file
        return file_entry(file) == entry
    return False


def _link(content: Path, place: Path) -> None:
    try:
        os.link(content, place)
    except FileExistsError:  # two names of a manifest are one to this disk: never write through to the content
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(content, place)


def _unreachable(shown: str, error: Exception) -> WarehouseError:
    return WarehouseError(
        f"{shown!r} cannot be read: {type(error).__name__}: {_public(str(error))}",
        "credentials and endpoints are those of fsspec: environment variables, or its configuration file.",
    )
