"""Stored cells: what they were made from, where they lie, and which of them are stale."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import json
import multiprocessing
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalingdb._store import read_file, user_folder
from scalingdb.errors import DataError, OutputError, WarehouseError
from scalingdb.evidence.arena._cells import SCHEMA, run_pair
from scalingdb.evidence.arena._cuts import CUTS_VERSION, cuts_of
from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.evidence.arena._field import entrants
from scalingdb.evidence.arena._sets import DATA_SETS
from scalingdb.fits._elsewhere import executor_errors, submitted
from scalingdb.law_library import all_laws

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["RESULTS", "Pair", "best_held", "current", "pairs", "read_rows", "renew_rows", "run", "stored", "user_file"]

ROWS = Path(__file__).with_name("rows.json")
"""What is known of the rows of data sets in the shipped warehouse; renewed with the cells."""

RESULTS = Path(__file__).with_name("results.csv")
"""Cells of the last run of ``python -m scalingdb.evidence.arena``: all together take minutes."""

ORDER = ("data_set", "law", "axis", "reach", "draw", "n_held_out")

ENGINE_VERSION = 3
"""Raise this by one when a change to the search, the intervals or the scoring of cells moves stored numbers.

Every stored cell is stale then. Other changes to code leave cells alone: a test recomputes a random sample of them,
and its failure says that the version should have been raised."""

SAMPLE = 24
"""Pairs of law and data set that are recomputed before cells are stamped again."""

AGREE = 1e-3
"""Relative difference of two errors that count as the same: four digits are stored."""


@dataclass(frozen=True)
class Rows:
    """What is known of the rows of a data set without reading them."""

    digest: str
    height: int
    columns: tuple[str, ...]


Pair = tuple[DataSet, Rows, str, dict[str, str], str]
"""A data set, what is known of its rows, a law, the columns for its inputs, and the digest of all that."""


def user_file() -> Path:
    """Where cells go if the package's folder cannot be written: ``$SCALINGDB_CACHE``, else the user's cache.

    Raises
    ------
    WarehouseError
        If there is no such place.
    """
    return user_folder("cache") / "arena.csv"


def _rows_of_the_user() -> Path | None:
    with contextlib.suppress(WarehouseError):
        return user_file().with_name("arena_rows.json")
    return None


def _sealed(text: str) -> str:
    """The content of a file in the user's cache: the SHA-256 of the rest comes first."""
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _unsealed(file: Path) -> bytes:
    """The rest of such a file; ValueError where it is not what was written."""
    digest, _, text = read_file(file).partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise ValueError(f"{file} was changed")
    return text


# ---- digests -------------------------------------------------------------------------------------


def _outline(node: Any) -> Any:
    """A syntax tree as nested tuples: no comments, docstrings, places, or fields that a Python version adds."""
    if isinstance(node, ast.AST):
        fields = []
        for name, held in ast.iter_fields(node):
            is_spoken = name == "body" and isinstance(held, list) and held and _is_docstring(held[0])
            value = held[1:] if is_spoken else held
            if value not in (None, [], "") and name not in {"kind", "type_comment", "type_params", "ctx"}:
                fields.append((name, _outline(value)))
        return (type(node).__name__, *fields)
    if isinstance(node, list):
        return tuple(map(_outline, node))
    return repr(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _code_hash(text: str) -> str:
    return hashlib.sha256(repr(_outline(ast.parse(text))).encode()).hexdigest()


@functools.cache
def _law_hash(name: str) -> str:
    """Hash of a law's formula, parameters and own starting points; of the name for a baseline."""
    law = all_laws().get(name)
    if law is None:
        return name
    formula = law.formula_text if law.is_traceable else _code_hash(_source(law.function))
    starts = "" if law.starts is None else _code_hash(_source(law.starts))
    limits = sorted((key, param.low, param.high, repr(param.start)) for key, param in law.params.items())
    return hashlib.sha256(repr((formula, limits, starts)).encode()).hexdigest()


def _source(function: Callable[..., Any]) -> str:
    """Source of a function, or of the decorator's argument that holds it."""
    text = textwrap.dedent(inspect.getsource(function)).strip().rstrip(",")
    try:
        ast.parse(text)
    except SyntaxError:  # a lambda in the middle of a call
        text = repr(text)
    return text


def _rows_hash(rows: pl.DataFrame) -> str:
    """Hash of the rows, whatever their order."""
    lines = sorted(rows.select(sorted(rows.columns)).write_csv(float_precision=12).splitlines())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_rows(db: Warehouse, one: DataSet) -> pl.DataFrame:
    """Rows of a data set, in an order of their own."""
    return db.sql(one.rows).sort("run_id", "scale", one.output)


_KNOWN: dict[str, dict[str, Rows]] = {}
"""Rows of data sets by the state of a warehouse."""


def _known(db: Warehouse) -> dict[str, Rows]:
    """What is known of the rows of every data set, by its id.

    To ask for all of them takes many seconds. What is known is therefore kept under the fingerprint of the tables that
    they come from: beside the package, in the user's cache, and in this process.
    """
    fingerprint = db.fingerprint
    state = fingerprint or repr(db.state)
    known = _KNOWN.get(state)
    if known is None:
        known = {**_kept_rows(_rows_of_the_user(), fingerprint), **_kept_rows(ROWS, fingerprint)}
    keys = {one.id: hashlib.sha256(repr((one.rows, one.output)).encode()).hexdigest()[:16] for one in DATA_SETS}
    lacking = [one for one in DATA_SETS if keys[one.id] not in known]
    for one in lacking:
        rows = read_rows(db, one)
        known[keys[one.id]] = Rows(_rows_hash(rows), rows.height, tuple(rows.columns))
    if db.state:
        _KNOWN[state] = known
        if lacking and fingerprint:
            _keep_rows(_rows_of_the_user(), fingerprint, known)
    return {one.id: known[keys[one.id]] for one in DATA_SETS}


def _kept_rows(file: Path | None, fingerprint: str) -> dict[str, Rows]:
    """What a file knows of the rows of a warehouse; nothing where it belongs to another, or is damaged."""
    if file is None:
        return {}
    try:
        kept = json.loads(file.read_bytes() if file == ROWS else _unsealed(file))
        if not fingerprint or kept["fingerprint"] != fingerprint:
            return {}
        return {key: Rows(digest, height, tuple(columns)) for key, (digest, height, columns) in kept["rows"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _keep_rows(file: Path | None, fingerprint: str, known: Mapping[str, Rows]) -> None:
    """Store what is known of rows, where the place can be written."""
    if file is None:
        return
    listed = {key: [rows.digest, rows.height, rows.columns] for key, rows in sorted(known.items())}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{os.getpid()}.tmp")
        text = json.dumps({"fingerprint": fingerprint, "rows": listed}, indent=0) + "\n"
        try:
            scratch.write_text(text if file == ROWS else _sealed(text), encoding="utf-8")
            scratch.replace(file)
        except OSError:
            scratch.unlink(missing_ok=True)
            raise


def pairs(db: Warehouse) -> list[Pair]:
    """Every data set with every law that meets it."""
    found: list[Pair] = []
    known = _known(db)
    for one in DATA_SETS:
        rows = known[one.id]
        definition = [one.output, one.axes, one.is_grid, sorted(one.options.items()), *map(str, one.holdouts)]
        content = [rows.digest, *definition, ENGINE_VERSION, CUTS_VERSION]
        for law, inputs in entrants(one, rows.columns).items():
            key = repr([*content, law, sorted(inputs.items()), _law_hash(law)])
            found.append((one, rows, law, inputs, hashlib.sha256(key.encode()).hexdigest()[:12]))
    return found


# ---- what is stored ------------------------------------------------------------------------------


def renew_rows(db: Warehouse) -> None:
    """Store beside the package what is known of the rows of this warehouse."""
    _known(db)
    _keep_rows(ROWS, db.fingerprint, _KNOWN[db.fingerprint])


def stored() -> pl.DataFrame:
    """Cells of the package and of the user's cache, whether stale or not."""
    shipped = pl.read_csv(RESULTS, schema=SCHEMA) if RESULTS.exists() else pl.DataFrame(schema=SCHEMA)
    return pl.concat([_cells_of_the_user(), shipped])


def _cells_of_the_user() -> pl.DataFrame:
    """Cells of the user's cache; none where the file is not what was written: they are computed again."""
    with contextlib.suppress(OSError, ValueError):
        return pl.read_csv(_unsealed(user_file()), schema=SCHEMA)
    return pl.DataFrame(schema=SCHEMA)


def _by_digest(cells: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Cells of each pair; where package and cache both hold some, the cache's come first and win."""
    found: dict[str, pl.DataFrame] = {}
    for (digest,), part in cells.group_by("digest", maintain_order=True):
        found[str(digest)] = part.unique(subset=[*ORDER[:-1], "band"], keep="first", maintain_order=True)
    return found


def current(db: Warehouse) -> tuple[pl.DataFrame, list[Pair]]:
    """Stored cells that are still those of today's rows, laws and code, and the pairs that lack them."""
    held = _by_digest(stored())
    every = pairs(db)
    kept = [held[pair[-1]] for pair in every if pair[-1] in held]
    return (pl.concat(kept) if kept else pl.DataFrame(schema=SCHEMA)), [p for p in every if p[-1] not in held]


def best_held(db: Warehouse) -> tuple[pl.DataFrame, list[Pair], list[Pair]]:
    """Cells to read: current ones, and for pairs without them those of an earlier state.

    Returns
    -------
    cells, and the pairs of which earlier cells are shown, and those of which there are none.
    """
    cells, missing = current(db)
    if not missing:
        return cells, [], []
    wanted = pl.DataFrame({"data_set": [pair[0].id for pair in missing], "law": [pair[2] for pair in missing]})
    earlier = stored().join(wanted, on=["data_set", "law"], how="semi", maintain_order="left")
    earlier = earlier.unique(subset=[*ORDER[:-1], "band"], keep="first", maintain_order=True)
    found = set(earlier.select("data_set", "law").unique().iter_rows())
    shown = [pair for pair in missing if (pair[0].id, pair[2]) in found]
    return pl.concat([cells, earlier]), shown, [pair for pair in missing if (pair[0].id, pair[2]) not in found]


def run(
    db: Warehouse,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    recompute: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    keep: bool = True,
) -> pl.DataFrame:
    """All cells: the stored ones, and those that are missing or stale computed now.

    Parameters
    ----------
    progress : callable, optional
        Called with the pairs of law and data set done, and those to do.
    recompute : bool
        Compute everything, whatever is stored.
    workers : int, optional
        Processes; one per processor by default.
    executor : concurrent.futures.Executor, optional
        Where the pairs are computed instead, such as Dask's ``client.get_executor()``.
    keep : bool
        Store the cells beside the package, or in the user's cache where that cannot be written.
    """
    cells, missing = (pl.DataFrame(schema=SCHEMA), pairs(db)) if recompute else current(db)
    progress(0, len(missing))
    parts = [cells]
    try:
        for done, part in enumerate(_computed(db, missing, workers or os.cpu_count() or 1, executor), 1):
            parts.append(part)
            progress(done, len(missing))
    finally:  # what is done is kept, also where somebody interrupts
        cells = pl.concat(parts).sort(ORDER, nulls_last=True)
        if len(parts) > 1 and keep:
            write(cells)
    return cells


def _computed(db: Warehouse, missing: list[Pair], workers: int, executor: Executor | None) -> Iterator[pl.DataFrame]:
    """Cells of each pair, as they come."""
    if not missing:
        return
    # the costliest laws first, so that no process is left with one of them at the end
    order = sorted(missing, key=lambda pair: -_cost(pair))
    # a fork of a process in which Polars has begun threads can wait for ever
    pool = executor or ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    rows = {one.id: read_rows(db, one) for one in {pair[0].id: pair[0] for pair in missing}.values()}
    jobs: list[Future[pl.DataFrame]] = []
    try:
        with executor_errors(pool):
            jobs += submitted(pool, _run, ((pair, rows[pair[0].id]) for pair in order))
            for job in as_completed(jobs):
                yield job.result()
    finally:
        for job in jobs:
            job.cancel()
        if executor is None:
            pool.shutdown(wait=False)


def _run(pair: Pair, rows: pl.DataFrame) -> pl.DataFrame:
    data_set, _, law, inputs, digest = pair
    return run_pair(data_set, law, inputs, cuts_of(data_set, rows), digest)


def disagreement(db: Warehouse, chosen: list[Pair], cells: pl.DataFrame) -> pl.DataFrame:
    """Cells of some pairs, computed now, beside the stored ones.

    Returns
    -------
    DataFrame
        ``data_set, law, axis, reach, draw, band, error, error_stored, apart`` (relative); a null ``apart`` where only
        one of the two exists.
    """
    keys = ["data_set", "law", "axis", "reach", "draw", "band"]
    now = pl.concat(_run(pair, read_rows(db, pair[0])) for pair in chosen)
    stored_too = cells.join(now.select("data_set", "law").unique(), on=["data_set", "law"], how="semi")
    both = now.select(*keys, "error", "failure").join(
        stored_too.select(*keys, "error", "failure"), on=keys, how="full", nulls_equal=True, suffix="_stored"
    )
    same_refusal = pl.col("failure").is_not_null() & pl.col("failure_stored").is_not_null()
    apart = (pl.col("error") - pl.col("error_stored")).abs() / pl.col("error_stored").clip(1e-6)
    return both.with_columns(
        *(pl.coalesce(name, f"{name}_stored").alias(name) for name in keys),
        apart=pl.when(same_refusal).then(0.0).otherwise(apart),
    ).select(*keys, "error", "error_stored", "apart")


def restamp(db: Warehouse, *, rng: int = 0) -> pl.DataFrame:
    """Give the shipped cells today's digests without computing them, after a change that moves no number.

    A random sample of :data:`SAMPLE` pairs is computed first.

    Returns
    -------
    DataFrame
        The sample, as :func:`disagreement` gives it.

    Raises
    ------
    DataError
        If a pair has no stored cells, or more than one cell in twenty of the sample is elsewhere.
    """
    every = pairs(db)
    cells = pl.read_csv(RESULTS, schema=SCHEMA)
    known = set(cells.select("data_set", "law").unique().iter_rows())
    lacking = [pair for pair in every if (pair[0].id, pair[2]) not in known]
    if lacking:
        raise DataError(
            f"{len(lacking)} pairs have no stored cells, for example {lacking[0][2]} on {lacking[0][0].id}",
            "compute them: python -m scalingdb.evidence.arena.",
        )
    sample = disagreement(db, sampled(every, SAMPLE, rng), cells)
    if (sample["apart"].fill_null(1.0).to_numpy() > AGREE).mean() > 0.05:
        raise DataError(
            "recomputed cells differ from the stored ones:\n" + str(sample.filter(pl.col("apart") > AGREE)),
            "raise ENGINE_VERSION and compute all of them: python -m scalingdb.evidence.arena.",
        )
    stamps = pl.DataFrame(
        [(pair[0].id, pair[2], pair[-1]) for pair in every], schema=["data_set", "law", "digest"], orient="row"
    )
    write(cells.drop("digest").join(stamps, on=["data_set", "law"], how="inner", maintain_order="left"))
    return sample


def sampled(every: list[Pair], count: int, rng: int) -> list[Pair]:
    """Pairs drawn at random from the cheaper nine tenths of all."""
    import numpy as np

    cheap = sorted(every, key=lambda pair: (_cost(pair), pair[0].id, pair[2]))[: int(0.9 * len(every))]
    drawn = np.random.default_rng(rng).choice(len(cheap), size=min(count, len(cheap)), replace=False)
    return [cheap[i] for i in drawn]


def _cost(pair: Pair) -> int:
    law = all_laws().get(pair[2])
    return 0 if law is None else pair[1].height * len(law.params) ** 2 * (1 if law.is_traceable else 9)


def write(cells: pl.DataFrame) -> Path:
    """Store cells in the package, or in the user's cache where the package cannot be written.

    Raises
    ------
    OutputError
        If neither can.
    """
    # four digits: enough to compare errors, few enough that another processor changes few lines
    figures = pl.selectors.float().exclude("seconds").round_sig_figs(4)
    text = cells.select(list(SCHEMA)).with_columns(figures, pl.col("seconds").round(2)).write_csv()
    problem: OSError | None = None
    places = [(RESULTS, text)]
    with contextlib.suppress(WarehouseError):
        places.append((user_file(), _sealed(text)))
    for place, content in places:
        scratch = place.with_suffix(f".{os.getpid()}.tmp")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(content, encoding="utf-8")
            scratch.replace(place)
        except OSError as error:
            problem = error
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
        else:
            return place
    raise OutputError(
        f"cannot store the arena's cells: {problem}", "set SCALINGDB_CACHE to a folder that can be written."
    )
