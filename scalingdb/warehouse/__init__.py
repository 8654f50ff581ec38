"""Read the warehouse: DuckDB over Parquet, results as Polars frames.

Parquet is the truth. :func:`connect` opens an in-memory DuckDB with views over the files, so any number of readers
work at once, and each keeps the state that it opened while ``scalingdb build`` makes a new one. A :class:`Warehouse`
only reads.

What a query may do
-------------------
It may read the tables of the warehouse and the user's own sources, and files of the folders given to
``connect(allow=[...])``. It cannot write, reach other files or the network, load an extension, or see variables of the
calling program. DuckDB itself enforces this: external access is off but for these folders, every query runs in a
read-only transaction, and the configuration is locked. Beside that, the syntax tree of each query is checked before it
runs; this alone keeps ``with t as (copy ...)`` from writing *inside* the folders that may be read.
"""

from __future__ import annotations

import contextlib
import html
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from scalingdb._arguments import told
from scalingdb._store import user_folder
from scalingdb.errors import DataError, QueryError, WarehouseError, check_path, path_hint, unknown_name
from scalingdb.published import default_path
from scalingdb.warehouse._export import export
from scalingdb.warehouse._losses import SOURCES, losses
from scalingdb.warehouse._overview import overview
from scalingdb.warehouse._query import refuse_dates
from scalingdb.warehouse._remote import fetched, is_address
from scalingdb.warehouse._session import WORD, Session

__all__ = ["Warehouse", "connect", "local_folder", "own_folder", "view_faults"]


def local_folder() -> Path:
    """Folder of the sources that this user added: ``$SCALINGDB_LOCAL``, else the user's data folder."""
    return user_folder("data")


def own_folder() -> Path | None:
    """:func:`local_folder`; None for a user without a home folder, who has added nothing."""
    with contextlib.suppress(WarehouseError):
        return local_folder()
    return None


@told
class Warehouse:
    """The curated tables, ready for SQL. Made by :func:`connect`; reads only.

    Several threads may use one warehouse.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> db = sdb.connect()
    >>> db.sql("select count(*) as n from runs where source_id = $source", source="epoch_chinchilla").item()
    245
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def state(self) -> tuple[Any, ...]:
        """What tells this state of the tables from any other in this process; empty for an exported file."""
        return self._session.state

    @property
    def fingerprint(self) -> str:
        """Hash of the runs and scores that this warehouse holds; empty if it has no manifest."""
        files = self._session.files
        return "" if files is None else files.fingerprint()

    def shipped_fingerprint(self, sources: Collection[str]) -> str:
        """Hash of the views and of what ships of some sources; empty if the warehouse has no manifest."""
        files = self._session.files
        return "" if files is None else files.shipped_fingerprint(sources)

    def __repr__(self) -> str:
        try:
            names = ", ".join(self.tables())
        except (duckdb.Error, WarehouseError, ValueError):
            names = "closed"
        return f"<Warehouse {self._session.path.name}: {names}>"

    def _repr_html_(self) -> str:
        """What is here, and how to ask for it: totals, the largest sources, the views."""
        try:
            return overview(self._session)
        except (duckdb.Error, WarehouseError, ValueError, QueryError):
            return f"<code>{html.escape(repr(self))}</code>"

    # ---- SQL -------------------------------------------------------------------------------

    def sql(self, query: str, **params: Any) -> pl.DataFrame:
        """Run a query and return its rows. Ctrl-C ends it.

        Parameters
        ----------
        query : str
            One SELECT (or EXPLAIN) in DuckDB's dialect over tables, views and law macros. A macro ``law_<name>``
            has the coefficients that this warehouse holds.
        **params
            Values for ``$name`` placeholders.

        Returns
        -------
        DataFrame
            Whole-number decimals (DuckDB's ``sum`` of integers) arrive as Int64.

        Raises
        ------
        ReadOnlyError
            If the statement, or one inside it, would write.
        QueryError
            If DuckDB refuses the query (the message is DuckDB's), or the time limit ends it.
        WarehouseError
            If a Parquet file cannot be read.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> round(sdb.connect().sql("select law_chinchilla(7e9, 1.4e12) as loss").item(), 3)
        2.074
        """
        if not isinstance(query, str):
            raise QueryError(f"the query is {query!r}, not text", "write one SELECT.")
        begun = time.monotonic()
        for name, value in params.items():
            refuse_dates(name, value)
        if WORD.search(query):
            self._session.install_laws()
        return self._session.rows(query, params, check=True, begun=begun)

    # ---- tables ----------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of all tables and views."""
        return self._session.names()

    def table(self, name: str) -> pl.DataFrame:
        """A whole table or view.

        Raises
        ------
        UnknownNameError
            If there is none of this name.
        """
        known = self.tables()
        if not isinstance(name, str) or name not in known:
            raise unknown_name("table", name, known)
        return self._session.rows(f'select * from "{name}"')

    def sources(self) -> pl.DataFrame:
        """One row per source: what it is, how much of it is here, licence, and whether it ships.

        Sources that hold runs come first; the others are there for their coefficients or findings.

        Returns
        -------
        DataFrame
            Among others ``source_id, title, year, arxiv_id, n_runs, n_evals, n_items, n_flagged``,
            ``n_claims`` (findings that its paper states), ``n_claims_testable`` (findings, of whatever
            paper, that its rows can test: those that `claims.test_source` gives to it), ``licence``
            and ``is_shipped``.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> sources = sdb.connect().sources()
        >>> sources.filter(sources["source_id"] == "gadre_overtraining")["n_claims"].item()
        6
        """
        return self._session.rows(SOURCES)

    def points(
        self,
        source: str | Sequence[str],
        metric: str | None = None,
        *,
        eval_set: str | None = None,
        study: str | None = None,
        family: str | None = None,
        split: str | None = None,
        flagged: bool = False,
    ) -> pl.DataFrame:
        """Final loss of every run of a source: one row per run (and evaluation set, where it has several).

        Parameters
        ----------
        source : str or list of str
        metric : str, optional
            The source's headline metric unless given.
        eval_set : str, optional
            The source's headline set unless given; ``"*"`` for all of them, one row per set.
        study, family : str, optional
            Part of a source, group of runs trained alike.
        split : str, optional
            ``"fit"`` or ``"validation"``, where the source's analysis makes this division.
        flagged : bool
            Keep rows that the authors or we set aside. Left out by default; a notice says how many.

        Returns
        -------
        DataFrame
            Among others ``run_id, source_id, family, n_params, n_params_non_embedding,
            n_params_active, n_tokens, train_flops, train_flops_6nd``, ``loss`` (in `unit`),
            ``loss_nats`` (null where the unit does not convert), ``metric, unit, eval_set, split,
            flag``, and ``n_definition``: which of the counts the source calls N.

        Raises
        ------
        UnknownNameError
            For an unknown source, metric, evaluation set, study or family.
        DataError
            For a source without losses, or conditions that no row meets together.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> sdb.connect().points("epoch_chinchilla").height
        240
        """
        return losses(
            self._session,
            "points",
            source,
            metric=metric,
            eval_set=eval_set,
            study=study,
            family=family,
            split=split,
            flagged=flagged,
        )

    def curves(
        self,
        source: str | Sequence[str],
        metric: str | None = None,
        *,
        eval_set: str | None = None,
        study: str | None = None,
        family: str | None = None,
        split: str | None = None,
        flagged: bool = False,
    ) -> pl.DataFrame:
        """Loss at every reported step: as :meth:`points` (also ``eval_set="*"``), with all checkpoints and ``step``."""
        return losses(
            self._session,
            "curves",
            source,
            metric=metric,
            eval_set=eval_set,
            study=study,
            family=family,
            split=split,
            flagged=flagged,
        )

    # ---- export ----------------------------------------------------------------------------

    def export(self, file: str | os.PathLike[str]) -> Path:
        """Write a standalone DuckDB file with all tables, views and law macros.

        The file is written beside its target and moved into place when it is complete.

        Raises
        ------
        WarehouseError
            If the target cannot be written.
        """
        return export(self._session, file)

    def close(self) -> None:
        """Close the connection. Frames that were read stay valid."""
        self._session.close()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    allow: Sequence[str | os.PathLike[str]] = (),
    memory_limit: str | None = None,
    time_limit: float | None = None,
) -> Warehouse:
    """Open the warehouse, read-only.

    The warehouse keeps the state that it had when it was opened; the next connection sees what a build or
    :func:`scalingdb.add_source` changed since. Files are read when a query needs them. What is costly to find (the last
    loss of each run, which rows repeat others) is kept in memory from the second query on that asks for it, so that
    later ones answer within a tenth of a second, with the same rows.

    Parameters
    ----------
    path : path, optional
        Folder with ``tables/`` and ``views/``, or a file written by ``scalingdb export``.
        By default the shipped warehouse, and beside it what the user added (:func:`scalingdb.add_source`).
        An address such as ``s3://bucket/warehouse`` or ``https://host/warehouse`` names a folder that was uploaded
        whole. Its manifest is read each time, files that changed are fetched into the user's cache
        (``$SCALINGDB_CACHE``) and checked against it; queries then read the cache alone. fsspec does the fetching
        (``pip install "scalingdb[remote]"``; for S3 ``s3fs`` too), with credentials and endpoints as it is told.
    allow : list of path, optional
        Folders with files that queries may read too, such as ``from read_csv('runs.csv')``. By default a query
        reads the warehouse only; it never writes.
    memory_limit : str, optional
        Memory that DuckDB may take for tables and intermediate results, such as ``"4GB"``; by default 80 % of the
        machine's. More goes to a temporary folder. The rows of an answer may take half of it, else the query is
        refused while they are read. They are counted in batches of 131,072, so that very wide rows can take more first;
        a single value (``repeat('x', 1e9)``) is not counted.
    time_limit : float, optional
        Seconds after which a query is stopped; by default none is. Ctrl-C always stops one.

    Raises
    ------
    DataError
        If an argument is of the wrong kind.
    WarehouseError
        If there is no warehouse at `path`, it cannot be reached, a file of it cannot be read, is missing or has
        another size than its ``manifest.json`` says, or `allow` names no folder.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> db = sdb.connect()
    >>> "points" in db.tables()
    True
    """
    if time_limit is not None and not (isinstance(time_limit, int | float) and time_limit > 0):
        raise DataError(f"time_limit is {time_limit!r}", "give a positive number of seconds.")
    if isinstance(path, str) and is_address(path):
        path = fetched(path)
    folder = (check_path(path, "path") if path is not None else default_path()).absolute()
    if not _exists(folder.is_file) and not _exists((folder / "tables").is_dir):
        raise WarehouseError(
            f"no warehouse at {str(folder)!r}: it has no folder 'tables'",
            path_hint(
                folder, "give connect() the folder that holds tables/ and views/, or nothing for the shipped one."
            ),
        )
    return Warehouse(Session(folder, own_folder() if path is None else None, allow, memory_limit, time_limit))


def _exists(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except OSError:  # a name that is too long, or a folder that must not be looked into
        return False


def view_faults(path: Path, own: Path | None = None) -> list[str]:
    """Tables and views of a warehouse folder that do not answer, as sentences; a check reads what is read in use."""
    faults = []
    try:
        with Warehouse(Session(path.absolute(), own, (), None, None)) as db:
            for name in db.tables():
                try:
                    db.sql(f'select count(*) from (from "{name}")')
                    db.sql(f'from "{name}" limit 1000')
                except (QueryError, WarehouseError) as error:
                    faults.append(f"{name}: {error.fact}")
    except WarehouseError as error:
        faults.append(error.fact)
    return faults
