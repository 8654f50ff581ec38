"""Folders of files whose state changes in one step, and files that appear whole.

``manifest.json`` of such a folder lists its files with size and SHA-256, and is the only pointer to its state: the
content of a file of the manifest is ``.objects/replaced/<sha256>.<suffix>`` or ``.objects/incoming/...`` where there
is one, else the file of its own name. :func:`commit` puts new contents among the incoming ones and those they replace
among the replaced ones, renames the new manifest into place (the one step that counts) and then gives every file its
own name. Whoever reads the old manifest still finds the old contents, for :data:`KEEP_SECONDS`. What a crash leaves
behind is finished or removed by the next :func:`recover`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import IO, Literal

from scalingdb.errors import OutputError, ScalingDBError, WarehouseError

__all__ = [
    "INCOMING",
    "MANIFEST",
    "OBJECTS",
    "REPLACED",
    "Entry",
    "State",
    "check_target",
    "commit",
    "exclusive",
    "file_entry",
    "listing",
    "read_file",
    "read_state",
    "recover",
    "replace_durably",
    "scratch_folder",
    "sync_folder",
    "user_folder",
    "write_manifest",
    "write_whole",
]

MANIFEST = "manifest.json"
OBJECTS = ".objects"
REPLACED, INCOMING = f"{OBJECTS}/replaced", f"{OBJECTS}/incoming"
LOCK = ".lock"
KEEP_SECONDS = 3600.0
"""How long replaced contents are kept for those who still read them."""


@dataclass(frozen=True)
class Entry:
    """Content of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class State:
    """What a folder held when its manifest was read.

    Attributes
    ----------
    folder : Path
    entries : mapping of str to Entry, or None
        Files by their path in the folder; None where the folder has no manifest.
    token : tuple
        Identity of the manifest file: another one, another state.
    """

    folder: Path
    entries: Mapping[str, Entry] | None
    token: tuple[int, ...]

    def is_current(self) -> bool:
        """Whether the folder still has this state."""
        return self.current_token() == self.token

    def current_token(self) -> tuple[int, ...]:
        """Identity of the manifest that the folder has now."""
        return _token(self.folder / MANIFEST)

    def has_objects(self) -> bool:
        """Whether any content may lie elsewhere than under its own name."""
        return (self.folder / OBJECTS).is_dir()

    def path(self, name: str, *, look: bool = True) -> Path:
        """Where the content of a file of this state lies now; without `look`, its own name."""
        if look and self.entries is not None:
            for pile in (REPLACED, INCOMING):
                kept = self.folder / _object(pile, name, self.entries[name])
                if kept.exists():
                    return kept
        return self.folder / name

    def files(self, pattern: str) -> dict[str, Path]:
        """Files of this state whose name matches, such as ``tables/runs/*.parquet``."""
        if self.entries is None:
            found = sorted(self.folder.glob(pattern))
            return {file.relative_to(self.folder).as_posix(): file for file in found}
        parent, _, suffix = pattern.partition("*")
        names = (n for n in self.entries if n.startswith(parent) and n.endswith(suffix) and "/" not in n[len(parent) :])
        look = self.has_objects()
        return {name: self.path(name, look=look) for name in sorted(names)}


def _token(manifest: Path) -> tuple[int, ...]:
    try:
        found = manifest.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _object(pile: str, name: str, entry: Entry) -> str:
    return f"{pile}/{entry.sha256}{Path(name).suffix}"


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """Folder of what this user keeps: that of ``$SCALINGDB_CACHE`` or ``$SCALINGDB_LOCAL``, else the system's place.

    Raises
    ------
    WarehouseError
        If the user has no home folder, and the variable names none.
    """
    variable = {"cache": "SCALINGDB_CACHE", "data": "SCALINGDB_LOCAL"}[kind]
    if named := os.environ.get(variable):
        return Path(named).absolute()
    import platformdirs

    find = platformdirs.user_cache_path if kind == "cache" else platformdirs.user_data_path
    try:
        return find("scalingdb", appauthor=False)
    except RuntimeError as error:  # a user without a name, as in a container
        raise WarehouseError(f"this user has no home folder: {error}", f"name a folder with ${variable}.") from error


def open_file(file: Path) -> BufferedReader:
    """A file to read; a named pipe in its place is refused, where opening it would wait for ever."""
    content = open(file, "rb", opener=_without_waiting)  # noqa: SIM115 - Path.open() takes no opener
    if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
        content.close()
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return content


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def read_file(file: Path) -> bytes:
    """Content of a regular file."""
    with open_file(file) as content:
        return content.read()


def file_entry(file: Path) -> Entry:
    """Size and SHA-256 of a file."""
    with open_file(file) as content:
        return Entry(hashlib.file_digest(content, "sha256").hexdigest(), os.fstat(content.fileno()).st_size)


def read_state(folder: Path) -> State:
    """The state of a folder.

    Raises
    ------
    WarehouseError
        If there is a manifest that cannot be read.
    """
    manifest = folder / MANIFEST
    try:
        with open_file(manifest) as content:
            found = os.fstat(content.fileno())
            text = content.read()
    except FileNotFoundError:
        return State(folder, None, ())
    except OSError as error:
        hint = (
            _without(folder)
            if isinstance(error, IsADirectoryError)
            else "see that you may read it; $SCALINGDB_LOCAL names another folder."
        )
        raise WarehouseError(f"{str(manifest)!r} cannot be read: {error}", hint) from error
    try:
        entries = _entries(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WarehouseError(f"manifest {str(manifest)!r} is damaged: {error}", _without(folder)) from error
    return State(folder, entries, (found.st_ino, found.st_mtime_ns, found.st_size))


def _without(folder: Path) -> str:
    """What to do about a manifest that is none; only a warehouse, which has views, comes from a package."""
    if (folder / "views").is_dir():
        return f"restore it with 'git checkout -- {MANIFEST}' in this folder, reinstall the package, or rebuild it."
    return "remove it: sources are then read as they lie in this folder, and the next change writes a new one."


@functools.lru_cache(maxsize=4)
def _entries(text: bytes) -> Mapping[str, Entry]:
    """Files that a manifest lists; the same text is read once, as every law asks for its coefficients."""
    listed = json.loads(text, object_pairs_hook=_unique)
    if set(listed) != {"files"}:
        raise ValueError("it lists no 'files'")
    entries = {name: Entry(entry["sha256"], entry["size"]) for name, entry in listed["files"].items()}
    if bad := [n for n, e in entries.items() if not (_is_inside(n) and _is_entry(e))]:
        raise ValueError(f"entry {bad[0]!r} is wrong")
    return MappingProxyType(entries)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _is_inside(name: str) -> bool:
    """Whether this names a file below the folder in one way only, and no pattern, to any reader and system."""
    return name.isprintable() and not _ODD.search(f"/{name}")


_ODD = re.compile(r"//|/\.|/$|^/manifest\.json$|[\\:*?\[\]\"<>|]")


def _is_entry(entry: Entry) -> bool:
    is_hash = isinstance(entry.sha256, str) and len(entry.sha256) == 64 and set(entry.sha256) <= set("0123456789abcdef")
    return is_hash and type(entry.size) is int and 0 <= entry.size < 2**63


# ---- changes -------------------------------------------------------------------------------------


def commit(folder: Path, changes: Mapping[str, Path | None], *, of: tuple[str, ...] = ("tables", "views")) -> list[str]:
    """Replace files of a folder by others (None removes one), all in one step; return the names that changed.

    The caller holds :func:`exclusive`, and the new files lie on the same file system. A folder without a manifest
    gets one of what lies in its folders `of`.

    Raises
    ------
    OSError
        If the folder cannot be written. Its state is then the old one.
    """
    state = read_state(folder)
    old = dict(listing(folder, of) if state.entries is None else state.entries)
    new = dict(old)
    for name, file in changes.items():
        if file is None:
            new.pop(name, None)
        else:
            new[name] = file_entry(file)
    changed = [
        name for name in sorted(changes) if old.get(name) != new.get(name) or _differs(folder / name, new.get(name))
    ]
    if not changed and state.entries is not None:
        return []
    try:
        for pile in (REPLACED, INCOMING):
            (folder / pile).mkdir(parents=True, exist_ok=True)
        for name in changed:
            if (folder / name).is_dir() and any((folder / name).iterdir()):  # nothing that could be replaced later
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder / name))
            if name in old and not _differs(folder / name, old[name]):
                _link(folder / name, folder / _object(REPLACED, name, old[name]))
            source = changes[name]
            if source is not None:
                # a file in place of this folder would be found when the manifest has been written
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                sync_file(source)
                source.replace(folder / _object(INCOMING, name, new[name]))
        for pile in (REPLACED, INCOMING):
            sync_folder(folder / pile)
        _write(folder, new)
    except OSError:
        for file in (folder / INCOMING).glob("*"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(WarehouseError):
            recover(folder)
        raise
    with contextlib.suppress(OSError):  # the manifest counts: what cannot be moved now is moved by the next change
        recover(folder, removed=[name for name in changed if name not in new])
    return changed


def _differs(file: Path, entry: Entry | None) -> bool:
    """Whether a file is not what its manifest says, or is there without an entry."""
    if entry is None or not file.exists():
        return file.exists() is not (entry is not None)
    return not file.is_file() or file_entry(file) != entry


def _remove(file: Path) -> None:
    """Remove a file, or an empty folder that lies in its place."""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    with contextlib.suppress(NotADirectoryError):  # a file lies in place of its folder
        file.unlink(missing_ok=True)


def recover(folder: Path, *, removed: Iterable[str] = ()) -> None:
    """Finish what an interrupted :func:`commit` began, and remove replaced contents that nobody reads any more.

    The caller holds :func:`exclusive`.
    """
    (folder / f".{MANIFEST}.new").unlink(missing_ok=True)
    state = read_state(folder)
    if state.entries is None or not (folder / OBJECTS).is_dir():
        return
    _publish(folder, state.entries)
    for name in removed:
        _remove(folder / name)
    for file in (folder / INCOMING).glob("*"):
        file.unlink()
    old = time.time() - KEEP_SECONDS
    for file in (folder / REPLACED).glob("*"):
        if file.stat().st_ctime <= old:
            file.unlink()
    with contextlib.suppress(OSError):  # not empty
        for pile in (INCOMING, REPLACED, OBJECTS):
            (folder / pile).rmdir()


def write_manifest(folder: Path, of: tuple[str, ...] = ("tables", "views")) -> None:
    """Write the manifest of what lies in the folders `of`, as it is."""
    _write(folder, listing(folder, of))


def listing(folder: Path, of: tuple[str, ...] = ("tables", "views")) -> dict[str, Entry]:
    """What lies in the folders `of`, as a manifest lists it."""
    files = [file for part in of for file in (folder / part).rglob("*") if file.suffix in {".parquet", ".sql"}]
    return {file.relative_to(folder).as_posix(): file_entry(file) for file in files}


def _write(folder: Path, entries: Mapping[str, Entry]) -> None:
    listed = {name: {"sha256": entries[name].sha256, "size": entries[name].size} for name in sorted(entries)}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in listed.items())
    scratch = folder / f".{MANIFEST}.new"
    scratch.write_text(f'{{"files": {{\n{lines}\n}}}}\n', encoding="utf-8")
    replace_durably(scratch, folder / MANIFEST)


def _link(file: Path, second: Path) -> None:
    """Give the content of `file` a second name."""
    if not second.exists():
        try:
            os.link(file, second)
        except OSError:  # a file system without hard links
            scratch = second.with_name(f"{second.name}.new")
            shutil.copyfile(file, scratch)
            scratch.replace(second)


def _publish(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Give every file of a new state its own name; one content may have several."""
    waiting = {file.name for file in (folder / INCOMING).glob("*")}
    parents = set()
    for name, entry in entries.items():
        content = folder / _object(INCOMING, name, entry)
        target = folder / name
        if content.name not in waiting or not _differs(target, entry):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = folder / INCOMING / "publishing"
        scratch.unlink(missing_ok=True)
        _link(content, scratch)
        if target.is_dir():
            _remove(target)
        scratch.replace(target)
        parents.add(target.parent)
    for parent in parents:
        sync_folder(parent)


# ---- durable files -------------------------------------------------------------------------------


def sync_file(file: Path) -> None:
    """Have the content of a file on the disk before anything points to it."""
    with file.open("rb+") as content:
        os.fsync(content.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names of a folder on the disk, where the system can do this."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_target(target: Path, error: type[ScalingDBError] = OutputError) -> None:
    """Refuse a place for a new file where none can be, before anything is computed for it.

    Raises
    ------
    ScalingDBError
        Of the class `error`: a folder that is missing, closed, or none; a name that is too long, or of a folder.
    """
    parent, fault = str(target.parent), f"cannot write {str(target)!r}: "
    try:
        if not stat.S_ISDIR(target.parent.stat().st_mode):
            raise error(f"{fault}{parent!r} is a file, not a folder", "choose another folder.")
        if target.is_dir():
            raise error(f"{fault}it is a folder", "name a file in it.")
        if not stat.S_ISREG(target.stat().st_mode):  # a device or a pipe would be gone
            raise error(f"{fault}it is no regular file", "choose another name.")
    except ScalingDBError:
        raise
    except (FileNotFoundError, NotADirectoryError) as why:
        try:
            target.parent.lstat()
        except OSError:
            raise error(f"{fault}folder {parent!r} does not exist", "create it, or choose another one.") from why
    except PermissionError as why:
        raise error(f"{fault}folder {parent!r} may not be entered", "choose a folder that is yours.") from why
    except OSError as why:
        hint = "choose a shorter name." if why.errno == errno.ENAMETOOLONG else "choose another place."
        raise error(f"{fault}{why.strerror}", hint) from why
    except ValueError as why:  # a null byte
        raise error(f"{fault}{why}", "choose another name.") from why
    if not os.access(target.parent, os.W_OK):
        raise error(f"{fault}folder {parent!r} may not be written to", "choose a folder that is yours.")


def replace_durably(scratch: Path, target: Path) -> None:
    """Move a finished file to its place in one step: after a crash there is the old one or the new one."""
    sync_file(scratch)
    scratch.replace(target)
    sync_folder(target.parent)


def write_whole(file: Path, text: str) -> None:
    """Write a text file that appears in one step, so that a process that is killed leaves no half of it."""
    scratch = file.with_name(f".{file.name}.new")
    scratch.write_bytes(text.encode())
    scratch.replace(file)


# ---- one at a time -------------------------------------------------------------------------------


def _try_lock(handle: IO[bytes]) -> bool:
    """Lock an open file, if nobody else has; the system unlocks it when the process ends, however it ends."""
    try:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _lock_file(file: Path) -> Iterator[bool]:
    """Hold the lock of a file, made for this; False where somebody else holds it."""
    while True:
        with open(file, "ab", opener=_without_waiting) as handle:
            if not _try_lock(handle):
                yield False
                return
            # whoever swept it up between the two lines locked another file
            if _token(file)[:1] == (os.fstat(handle.fileno()).st_ino,):
                yield True
                return


@contextlib.contextmanager
def exclusive(folder: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Be the only one who changes a folder.

    Raises
    ------
    WarehouseError
        If another process does, for longer than `wait` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + wait
    while True:
        with _lock_file(folder / LOCK) as is_ours:
            if is_ours:
                yield
                return
        if time.monotonic() >= end:
            raise WarehouseError(
                f"another process is changing {str(folder)!r}", "wait until it has finished, then try again."
            )
        time.sleep(0.05)


@contextlib.contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder to prepare files in, removed at the end; those that dead processes left go first."""
    sweep(parent, prefix)
    while True:
        name = f"{prefix}{next(tempfile._get_candidate_names())}"  # type: ignore[attr-defined]
        with _lock_file(parent / f"{name}.lock") as is_ours:
            if not is_ours:
                continue
            folder, owner = parent / name, os.getpid()
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                if os.getpid() == owner:  # a fork that ends leaves its parent's
                    shutil.rmtree(folder, ignore_errors=True)
                    (parent / f"{name}.lock").unlink(missing_ok=True)
            return


def sweep(parent: Path, prefix: str) -> None:
    """Remove what dead processes left of :func:`scratch_folder`."""
    for found in [*parent.glob(f"{prefix}*.lock"), *parent.glob(f"{prefix}*")]:
        with contextlib.suppress(OSError):  # another user's, say
            lock = found if found.suffix == ".lock" else found.with_name(f"{found.name}.lock")
            if not found.exists():
                continue
            with _lock_file(lock) as is_ours:
                if is_ours:
                    if lock.with_suffix("").is_dir():  # a pipe in its place would be waited for
                        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
