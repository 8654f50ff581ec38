"""A warehouse on another machine: files are fetched once, checked, and read from the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalingdb._store import INCOMING, MANIFEST, REPLACED, Entry, file_entry, read_state, scratch_folder
from scalingdb.errors import WarehouseError
from scalingdb.notices import notice

__all__ = ["fetched", "is_address"]

AT_ONCE = 8
"""Files that are fetched at the same time."""

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def is_address(path: str) -> bool:
    """Whether this names a place on another machine, such as ``s3://bucket/warehouse``."""
    return "://" in path


def cache_folder() -> Path:
    """``$SCALINGDB_CACHE``, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("SCALINGDB_CACHE") or platformdirs.user_cache_path("scalingdb")) / "warehouses"


def fetched(address: str) -> Path:
    """Folder in the cache that holds the state that the warehouse at `address` has now.

    Its manifest is read each time; of the files it lists, those are fetched that no earlier state had.

    Raises
    ------
    WarehouseError
        If the place cannot be reached, has no manifest, or a file is not what the manifest says.
    """
    system, root = _file_system(address)
    try:
        text = system.cat_file(f"{root}/{MANIFEST}")
    except FileNotFoundError as error:
        raise WarehouseError(
            f"no warehouse at {address!r}: it has no {MANIFEST}",
            "give the address of a folder that 'scalingdb build' wrote, uploaded with all its files.",
        ) from error
    except Exception as error:  # each file system has errors of its own
        raise _unreachable(address, error) from error
    objects = cache_folder() / "objects"
    state = cache_folder() / f"{root.rpartition('/')[2]}-{hashlib.sha256(text).hexdigest()[:16]}"
    if _is_whole(state):
        return state
    try:
        objects.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(state, ignore_errors=True)
        with scratch_folder(cache_folder(), ".fetching-") as scratch:
            (scratch / MANIFEST).write_bytes(text)
            entries = dict(read_state(scratch).entries or {})
            size = sum(entry.size for entry in entries.values()) / 1e6
            notice(f"fetching what is new of {address}: at most {len(entries)} files, {size:.0f} MB")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs = [pool.submit(_object, system, root, address, *item, objects) for item in entries.items()]
                for name, content in zip(entries, (job.result() for job in jobs), strict=True):
                    (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                    _link(content, scratch / name)
            with contextlib.suppress(FileExistsError, OSError):  # another process was faster
                scratch.rename(state)
        if not _is_whole(state):
            raise OSError(f"{str(state)!r} cannot be written")
    except WarehouseError:
        raise
    except OSError as error:
        raise WarehouseError(
            f"the files of {address!r} cannot be kept: {error}", "set SCALINGDB_CACHE to a folder with room."
        ) from error
    return state


def _is_whole(state: Path) -> bool:
    """Whether every file of a state is there; a machine that lost its power may have lost some."""
    entries = read_state(state).entries if (state / MANIFEST).exists() else None
    return entries is not None and all(
        (state / name).exists() and (state / name).stat().st_size == entry.size for name, entry in entries.items()
    )


def _file_system(address: str) -> tuple[Any, str]:
    protocol = address.partition("://")[0]
    package = PACKAGES.get(protocol, "fsspec")
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise WarehouseError(f"{address!r}: {error}", f"pip install {package}") from error
    except ValueError as error:
        raise WarehouseError(f"{address!r}: {error}", "addresses begin with s3:// or https://, say.") from error
    return system, str(root).rstrip("/")


def _object(system: Any, root: str, address: str, name: str, entry: Entry, objects: Path) -> Path:
    """One file with the content that the manifest states, fetched where the cache lacks it."""
    kept = objects / f"{entry.sha256}{Path(name).suffix}"
    if kept.exists() and file_entry(kept) == entry:
        return kept
    is_another = False
    # while a build changes the files, their contents lie in one of the piles
    for place in (name, f"{INCOMING}/{kept.name}", f"{REPLACED}/{kept.name}"):
        try:
            content = system.cat_file(f"{root}/{place}")
        except FileNotFoundError:
            continue
        except Exception as error:
            raise _unreachable(address, error) from error
        if hashlib.sha256(content).hexdigest() == entry.sha256:
            number, scratch = tempfile.mkstemp(dir=objects)
            with os.fdopen(number, "wb") as file:
                file.write(content)
            Path(scratch).replace(kept)
            return kept
        is_another = True
    what = "has another content than its manifest states" if is_another else "is missing"
    raise WarehouseError(f"{name} of {address!r} {what}", "upload the warehouse again, its manifest last.")


def _link(content: Path, place: Path) -> None:
    try:
        os.link(content, place)
    except OSError:  # a file system without hard links
        shutil.copyfile(content, place)


def _unreachable(address: str, error: Exception) -> WarehouseError:
    return WarehouseError(
        f"{address!r} cannot be read: {type(error).__name__}: {error}",
        "credentials and endpoints are those of fsspec: environment variables, or its configuration file.",
    )
