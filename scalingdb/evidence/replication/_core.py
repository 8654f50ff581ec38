"""What a replicated figure is, and how the ledger is made."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import inspect
import math
import pkgutil
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from scalingdb._arguments import told
from scalingdb.display import number
from scalingdb.errors import DataError, DomainWarning, FitWarning, unknown_name
from scalingdb.notices import silence
from scalingdb.schema import LEDGER_VERDICTS, NEEDS_LOCAL_ROWS

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = [
    "NEEDS_LOCAL_ROWS",
    "ORIGINS",
    "RESULTS",
    "VERDICTS",
    "WIDE",
    "Figure",
    "Replication",
    "all_replications",
    "get_replication",
    "ledger",
    "readable",
    "replicate",
    "replication",
    "store_results",
    "stored_results",
    "summary",
    "untestable",
    "untested_claims",
    "wide_tolerances",
]

Origin = Literal["paper", "release", "own"]

ORIGINS: Mapping[str, str] = MappingProxyType(
    {
        "paper": "stated in a paper",
        "release": "stored in a release",
        "own": "recomputed here earlier",
    }
)
"""Whose figure it is, in words. The three are never added up: they answer different questions."""

VERDICTS = LEDGER_VERDICTS

RESULTS = Path(__file__).with_name("results.csv")
"""Our figures as ``python -m scalingdb.evidence.replication`` last computed them: all together take a minute."""

WIDE = 3.0
"""A tolerance of more half-units of the last stated digit than this is listed for the reader."""


@dataclass(frozen=True)
class Figure:
    """One figure or claim to test, and how close ours has to come to it.

    Attributes
    ----------
    key : str
        Name of our figure in what the function of the replication returns.
    statement : str
        What is claimed, in one sentence, with what varies and what is fixed.
    place : str
        Where it stands: table, figure or section of the paper, file of the release.
    stated : float, optional
        The figure as stated at `place`. Not given where no number is stated there, as for a claim in
        words or for "all of the stored numbers": then `low` and `high`, which are ours, bound what ours
        must be for the claim to hold.
    unit : str
        For example ``"percent"``, ``"nats_per_token"``, ``"dimensionless"``.
    tolerance : float, optional
        Largest absolute distance between ours and the stated figure that counts as
        reproduced. Half a unit of the last printed digit, unless `why` gives a better reason.
    low, high : float, optional
        Bounds for a claim in words (inclusive).
    why : str
        Why this tolerance, or why these bounds express the claim.
    origin : {"paper", "release", "own"}
        Whose figure it is: stated in the paper; stored in the authors' release; or our own earlier
        recomputation of the released rows, where neither states one.
    claim_id : str, optional
        Row of the table `claims` that this figure tests, or a pattern with ``*`` for many rows
        that one figure tests together (such as every stored coefficient of a release).
    choice : str
        A choice that the paper leaves open and that ours makes; the verdict names it.
    unless : str
        Why the figure does not reproduce, in plain words. Only for those that do not.
    """

    key: str
    statement: str
    place: str
    stated: float | None = None
    unit: str = "dimensionless"
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""
    origin: Origin = "paper"
    claim_id: str | None = None
    choice: str = ""
    unless: str = ""

    def __post_init__(self) -> None:
        if (self.stated is None) == (self.low is None and self.high is None):
            raise DataError(f"figure {self.key!r} states neither a number nor bounds, or both")
        if (self.stated is None) != (self.tolerance is None):
            raise DataError(f"figure {self.key!r}: a stated number goes with a tolerance, and only that")
        if not self.why:
            raise DataError(f"figure {self.key!r} does not say why its tolerance or bounds are what they are")

    def holds(self, ours: float) -> bool:
        """Whether our figure is within the tolerance, or the bounds."""
        if not math.isfinite(ours):
            return False
        if self.stated is not None and self.tolerance is not None:
            return abs(ours - self.stated) <= self.tolerance * (1 + 1e-12)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= ours <= high

    @property
    def half_digits(self) -> float | None:
        """The tolerance in half-units of the last stated digit: 1 allows for rounding and no more."""
        if self.stated is None or self.tolerance is None:
            return None
        return self.tolerance / _half_digit(self.stated)

    @property
    def expected(self) -> str:
        """The verdict that the declaration promises."""
        if self.unless:
            return VERDICTS[2]
        return VERDICTS[1] if self.choice else VERDICTS[0]


def _half_digit(value: float) -> float:
    """Half a unit of the last digit of a number; integers below 1e7 are stated to the last one."""
    exponent = int(Decimal(repr(value)).normalize().as_tuple().exponent)
    return float(Decimal(5).scaleb((min(exponent, 0) if abs(value) < 1e7 else exponent) - 1))


@told
@dataclass(frozen=True)
class Replication:
    """Figures that one computation gives, or that none can. Made by :func:`replication` and :func:`untestable`.

    Attributes
    ----------
    id : str
        ``<source_id>.<function>``.
    source_id : str
        Source that holds the rows; the module is named for it.
    compute : callable
        ``compute(db) -> {key: ours}``. None where nothing can be computed.
    figures : tuple of Figure
    untestable : str
        Why no figure can be computed from the rows in the warehouse. Only where `compute` is None.
    tables : tuple of str
        Tables that must hold rows of the source: ``("items",)`` where those are built locally only.
    """

    id: str
    source_id: str
    compute: Callable[[Warehouse], Mapping[str, float]] | None = field(repr=False)
    figures: tuple[Figure, ...]
    untestable: str = ""
    tables: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Source text of the computation."""
        return "" if self.compute is None else inspect.getsource(self.compute)

    def has_rows(self, db: Warehouse) -> bool:
        """Whether the warehouse has the rows that the computation needs."""
        return all(
            db.sql(f'select count(*) as n from "{table}" where source_id = $source', source=self.source_id)["n"][0]
            for table in self.tables
        )


def replication(
    *figures: Figure, tables: Sequence[str] = ()
) -> Callable[[Callable[[Warehouse], Mapping[str, float]]], Replication]:
    """Declare the figures that a function computes.

    The function takes a :class:`Warehouse` and returns ``{key: ours}`` with exactly the keys of
    the figures.
    """

    def declare(compute: Callable[[Warehouse], Mapping[str, float]]) -> Replication:
        source_id = compute.__module__.rsplit(".", 1)[-1]
        name = f"{source_id}.{compute.__name__}"
        return Replication(name, source_id, compute, _distinct(name, figures), tables=tuple(tables))

    return declare


def untestable(name: str, *figures: Figure, because: str) -> Replication:
    """Declare figures that the rows in the warehouse cannot test.

    Parameters
    ----------
    name : str
        ``<source_id>.<what would be computed>``.
    *figures : Figure
    because : str
        What is missing.
    """
    return Replication(name, name.partition(".")[0], None, _distinct(name, figures), untestable=because)


def _distinct(name: str, figures: tuple[Figure, ...]) -> tuple[Figure, ...]:
    keys = [figure.key for figure in figures]
    if not keys or len(set(keys)) < len(keys):
        raise DataError(f"replication {name} needs figures with different keys")
    return figures


def all_replications() -> dict[str, Replication]:
    """Every replication of the modules of this package, by id, in order of source and declaration."""
    package = importlib.import_module("scalingdb.evidence.replication")
    found: dict[str, Replication] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("_"):
            continue
        members = vars(importlib.import_module(f"scalingdb.evidence.replication.{module.name}")).values()
        found |= {one.id: one for one in members if isinstance(one, Replication)}
    return found


def get_replication(name: str) -> Replication:
    """A replication by its id.

    Raises
    ------
    UnknownNameError
    """
    known = all_replications()
    if name not in known:
        raise unknown_name("replication", name, known, "(sdb.replication.all_replications() lists them)")
    return known[name]


def untested_claims(db: Warehouse) -> pl.DataFrame:
    """Rows of `claims` that a source in the warehouse could test and no figure of the ledger names.

    Returns
    -------
    DataFrame
        Columns of the table `claims`.
    """
    claims = db.sql("select * from claims where test_source is not null")
    patterns = [figure.claim_id for one in all_replications().values() for figure in one.figures if figure.claim_id]
    named = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or "(?!)")
    return claims.filter(~pl.col("claim_id").map_elements(lambda name: bool(named.match(name)), pl.Boolean))


SCHEMA: dict[str, Any] = {
    "figure": pl.String,
    "source_id": pl.String,
    "claim_id": pl.String,
    "statement": pl.String,
    "place": pl.String,
    "origin": pl.String,
    "stated": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "ours": pl.Float64,
    "unit": pl.String,
    "tolerance": pl.Float64,
    "half_digits": pl.Float64,
    "verdict": pl.String,
    "expected": pl.String,
    "why": pl.String,
    "explanation": pl.String,
    "command": pl.String,
}


def replicate(name: str | Replication, db: Warehouse | None = None) -> pl.DataFrame:
    """Compute the figures of one replication.

    Parameters
    ----------
    name : str
        Id, for example ``"farseer.extrapolation"``.
    db : Warehouse, optional
        The shipped one if not given.

    Returns
    -------
    DataFrame
        One row per figure: ``figure`` (id and key), ``source_id, claim_id, statement, place,
        origin, stated, low, high, ours, unit, tolerance, half_digits`` (the tolerance in half-units of
        the last stated digit), ``verdict, expected`` (what the declaration promises), ``why`` (the
        tolerance), ``explanation`` (the choice made, or why it does not reproduce) and ``command``.

    Raises
    ------
    UnknownNameError
        No such replication.
    DataError
        The computation does not give exactly the declared figures.
    """
    one = name if isinstance(name, Replication) else get_replication(name)
    if db is None:
        from scalingdb.warehouse import connect

        db = connect()
    if one.compute is not None and not one.has_rows(db):
        return _judged(one, {}, NEEDS_LOCAL_ROWS)
    return _judged(one, _computed(one, db))


def _computed(one: Replication, db: Warehouse) -> Mapping[str, float]:
    """Our figures, computed now."""
    if one.compute is None:
        return {}
    with silence(), warnings.catch_warnings():
        # what a fit or a prediction remarks upon is part of the declaration, where it matters
        warnings.simplefilter("ignore", FitWarning)
        warnings.simplefilter("ignore", DomainWarning)
        ours = one.compute(db)
    declared = {figure.key for figure in one.figures}
    if set(ours) != declared:
        raise DataError(
            f"replication {one.id!r} gives {sorted(set(ours) - declared)} that it does not declare, "
            f"and lacks {sorted(declared - set(ours))}",
            "let the function return exactly the keys of its figures.",
        )
    return ours


def _judged(one: Replication, ours: Mapping[str, float], absent: str = "") -> pl.DataFrame:
    """The figures of a replication beside ours."""
    rows = []
    for figure in one.figures:
        value = ours.get(figure.key)
        rows.append(
            {
                "figure": f"{one.id}.{figure.key}",
                "source_id": one.source_id,
                "claim_id": figure.claim_id,
                "statement": figure.statement,
                "place": figure.place,
                "origin": figure.origin,
                "stated": figure.stated,
                "low": figure.low,
                "high": figure.high,
                "ours": None if value is None else float(value),
                "unit": figure.unit,
                "tolerance": figure.tolerance,
                "half_digits": figure.half_digits,
                "verdict": absent or _verdict(one, figure, value),
                "expected": VERDICTS[3] if one.untestable else figure.expected,
                "why": figure.why,
                "explanation": one.untestable or figure.unless or figure.choice,
                "command": f"scalingdb replicate {one.id}",
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _verdict(one: Replication, figure: Figure, value: float | None) -> str:
    if one.untestable or value is None:
        return VERDICTS[3]
    if not figure.holds(float(value)):
        return VERDICTS[2]
    return VERDICTS[1] if figure.choice else VERDICTS[0]


def ledger(
    db: Warehouse | None = None,
    source: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    recompute: bool = False,
) -> pl.DataFrame:
    """Every replicated figure.

    Ours are the numbers stored with the package, as far as rows and computation have not changed since; the others
    are computed now.

    Parameters
    ----------
    db : Warehouse, optional
        The shipped one if not given.
    source : str, optional
        Only the figures of one source.
    progress : callable, optional
        Called with the number of replications done and the number of all.
    recompute : bool
        Compute every figure now, which takes a minute.

    Returns
    -------
    DataFrame
        As :func:`replicate`, one row per figure.

    Raises
    ------
    UnknownNameError
        No replication of that source.
    """
    known = all_replications()
    if source is not None:
        sources = sorted({one.source_id for one in known.values()})
        if source not in sources:
            raise unknown_name("source", source, sources, "(of the replication ledger)")
        known = {name: one for name, one in known.items() if one.source_id == source}
    if db is None:
        from scalingdb.warehouse import connect

        db = connect()
    stored = {} if recompute else stored_results()
    kept, ids = {name for name, _ in stored}, set(db.table("sources")["source_id"])
    tables = []
    for done, one in enumerate(known.values()):
        progress(done, len(known))
        ours = stored.get((one.id, _digest(one, db, ids))) if one.id in kept else None
        tables.append(replicate(one, db) if ours is None else _judged(one, ours))
    progress(len(known), len(known))
    return pl.concat(tables) if tables else pl.DataFrame(schema=SCHEMA)


def stored_results() -> dict[tuple[str, str], dict[str, float]]:
    """Figures stored with the package, by replication and the digest of what they were computed from."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    if RESULTS.exists():
        for name, digest, key, ours in pl.read_csv(RESULTS).iter_rows():
            found.setdefault((name, digest), {})[key] = ours
    return found


def store_results(
    db: Warehouse, progress: Callable[[int, int], None] = lambda _done, _total: None, *, recompute: bool = False
) -> int:
    """Compute what is stale, or everything, write the file, and count the computations.

    Figures that need rows which do not ship are not stored.
    """
    stored = {} if recompute else stored_results()
    sources = set(db.table("sources")["source_id"])
    shipped = [one for one in all_replications().values() if one.compute is not None and not one.tables]
    rows, computed = [], 0
    for done, one in enumerate(shipped):
        progress(done, len(shipped))
        digest = _digest(one, db, sources)
        ours = stored.get((one.id, digest))
        if ours is None:
            ours, computed = dict(_computed(one, db)), computed + 1
        rows += [(one.id, digest, figure.key, float(ours[figure.key])) for figure in one.figures]
    progress(len(shipped), len(shipped))
    pl.DataFrame(rows, schema=["replication", "digest", "key", "ours"], orient="row").write_csv(RESULTS)
    return computed


def _digest(one: Replication, db: Warehouse, sources: Collection[str]) -> str:
    """Short hash of what figures are computed from: the module, and the shipped rows of the sources that it names.

    What else they depend on, such as the engine, is not part of it: a test computes every stored figure again.
    """
    text = _text_of(one.source_id)
    named = {one.source_id, *(set(re.findall(r"\w+", text)) & set(sources))}
    return hashlib.sha256((text + db.shipped_fingerprint(named)).encode()).hexdigest()[:12]


@cache
def _text_of(source_id: str) -> str:
    """Code of a module of replications, with what the modules share."""
    folder = Path(__file__).parent
    shared = sorted(
        path for path in folder.glob("_*.py") if path.name not in {"__init__.py", "__main__.py", "_core.py"}
    )
    return "".join(path.read_text(encoding="utf-8") for path in [folder / f"{source_id}.py", *shared])


def summary(table: pl.DataFrame, by: str | None = "source_id") -> pl.DataFrame:
    """How many figures reproduce, one row per source and origin, the least reproduced first.

    Figures of the three origins are counted apart: meeting our own earlier recomputation is no evidence
    about a paper.

    Parameters
    ----------
    table : DataFrame
        As :func:`ledger`.
    by : str, optional
        Column. None: the three totals, one row per origin.

    Returns
    -------
    DataFrame
        ``origin`` and the column, a count for each verdict, ``n`` (figures that were computed) and
        ``share`` (those of them that reproduce).
    """
    keys = ["origin"] if by in {None, "origin"} else [by, "origin"]
    if by is not None and by not in table.columns:
        raise unknown_name("column", by, table.columns, "(of the ledger)")
    computed = pl.col("verdict").is_in(VERDICTS[:3])
    return (
        table.group_by(keys)
        .agg(
            *(pl.col("verdict").eq(verdict).sum().alias(verdict) for verdict in (*VERDICTS, NEEDS_LOCAL_ROWS)),
            n=computed.sum(),
            share=pl.col("verdict").is_in(VERDICTS[:2]).sum() / pl.when(computed.any()).then(computed.sum()),
        )
        .sort("share", *keys, nulls_last=True)
    )


def wide_tolerances(table: pl.DataFrame) -> pl.DataFrame:
    """Figures whose tolerance exceeds three half-units of the last stated digit, the widest first.

    Parameters
    ----------
    table : DataFrame
        As :func:`ledger`.

    Returns
    -------
    DataFrame
        ``figure, origin, stated, ours, tolerance, half_digits, verdict, why``.
    """
    return (
        table.filter(pl.col("half_digits") > WIDE * (1 + 1e-9))
        .select("figure", "origin", "stated", "ours", "tolerance", "half_digits", "verdict", "why")
        .sort("half_digits", "figure", descending=[True, False])
    )


def readable(table: pl.DataFrame) -> pl.DataFrame:
    """A ledger to be read: numbers as text, with the digits that the tolerance asks for.

    Parameters
    ----------
    table : DataFrame
        As :func:`ledger`.

    Returns
    -------
    DataFrame
        In the order of `table`: ``figure, statement, place, origin`` (in words), ``stated`` (the number with
        its unit, or the bounds by which a claim in words is tested), ``tolerance, ours,
        verdict, explanation, command``.
    """
    rows = [
        {
            "figure": row["figure"],
            "statement": row["statement"],
            "place": row["place"],
            "origin": ORIGINS[row["origin"]],
            "stated": _stated(row),
            "tolerance": _closeness(row["tolerance"]),
            "ours": "" if row["ours"] is None else _digits(row["ours"], row["tolerance"]),
            "verdict": row["verdict"],
            "explanation": row["explanation"],
            "command": row["command"],
        }
        for row in table.iter_rows(named=True)
    ]
    names = (
        "figure",
        "statement",
        "place",
        "origin",
        "stated",
        "tolerance",
        "ours",
        "verdict",
        "explanation",
        "command",
    )
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def _closeness(tolerance: float | None) -> str:
    if tolerance is None:
        return ""
    return f"± {_digits(tolerance, None)}" if tolerance else "exactly"


def _stated(row: Mapping[str, Any]) -> str:
    """The stated number with its unit, or our bounds in words."""
    unit = "" if row["unit"] in {"dimensionless", "fraction", "count"} else f" {row['unit']}"
    if row["stated"] is not None:
        return number(row["stated"], 10) + unit
    bounds = [(word, row[name]) for word, name in (("at least", "low"), ("at most", "high")) if row[name] is not None]
    return "no number; tested as " + " and ".join(f"{word} {_digits(value, None)}" for word, value in bounds) + unit


def _digits(value: float, tolerance: float | None) -> str:
    """A number with one digit more than the tolerance can tell, four where there is none."""
    if tolerance and value:
        return number(value, min(max(math.ceil(math.log10(abs(value) / tolerance)) + 1, 3), 9))
    return number(value, 4)
