"""A warehouse as one DuckDB file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb

from scalingdb._store import check_target, replace_durably, scratch_folder
from scalingdb.errors import WarehouseError, check_path
from scalingdb.warehouse._query import interruptible
from scalingdb.warehouse._session import TRIES, Session
from scalingdb.warehouse._tables import KEPT, define_tables, define_views, materialise

__all__ = ["export"]


@interruptible()
def export(session: Session, file: str | os.PathLike[str]) -> Path:
    """Write a standalone DuckDB file beside its target and move it into place when it is complete.

    Raises
    ------
    WarehouseError
        If the target cannot be written.
    """
    target = check_path(file, "file")
    check_target(target, WarehouseError)
    if session.files is not None and "?" in str(
        target.parent.absolute()
    ):  # DuckDB takes what follows for options of an address
        raise WarehouseError(
            f"DuckDB cannot write below a folder with '?' in its name: {str(target)!r}", "choose another folder."
        )
    try:
        with scratch_folder(target.parent, ".exporting-") as folder:
            scratch = folder / "export.duckdb"
            if session.files is None:
                shutil.copyfile(session.path, scratch)
            else:
                _write(session, scratch)
            replace_durably(scratch, target)
    except WarehouseError:
        raise
    except (OSError, duckdb.Error) as error:
        raise WarehouseError(
            f"cannot write {str(target)!r}: {error}", "choose a writable place with enough room."
        ) from error
    return target


def _write(session: Session, scratch: Path) -> None:
    from scalingdb.law_library import all_laws

    assert session.files is not None
    with duckdb.connect(str(scratch)) as database:
        for _ in range(TRIES):  # a build may move the files meanwhile
            tokens = session.files.current()
            try:
                session.files.check()
                define_tables(database, session.files, materialise=True)
            except (WarehouseError, duckdb.Error) as error:
                if tokens == session.files.current():
                    if isinstance(error, duckdb.IOException) and "Cannot open file" in str(error):
                        raise session.read_error(str(error)) from error
                    raise
            else:
                if tokens == session.files.current():
                    break
        else:
            raise WarehouseError(f"the warehouse at {str(session.path)!r} is being rebuilt all the time", "try later.")
        define_views(database, session.files)
        for view in KEPT:
            materialise(database, view)
        for statement in session.macros(all_laws().values()):
            database.execute(statement).fetchall()
