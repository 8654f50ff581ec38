"""What a checked paper is, and the list of all of them."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from scalingdb.errors import DomainWarning, FitWarning, unknown_name
from scalingdb.evidence.replication import replicate
from scalingdb.law_library import all_laws, get_law
from scalingdb.notices import silence

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = [
    "Checked",
    "Paper",
    "all_papers",
    "at",
    "best_runs",
    "checks",
    "citing_laws",
    "ledger",
    "opt_curves",
    "paper_table",
    "preamble",
    "scores",
    "store_results",
    "stored_results",
    "waits",
]

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")

RESULTS = Path(__file__).with_name("results.csv")

Relation = Literal["=", "<=", ">=", "words"]


class Checked(NamedTuple):
    """What we get beside what the paper states.

    Attributes
    ----------
    ours, stated : float
        Python's or NumPy's.
    within : float
        How far apart they may be, relative to what is stated.
    relation : str
        ``"="``, or what the paper sets is a bound: ``"<="``, ``">="``; ``"words"`` where it prints no number that is
        computed here, and both numbers are those of a test of ours of what it says.
    is_finding : bool
        False for a count, a size or a cost of the paper's setting, and for a result that it quotes.
    """

    ours: Any
    stated: Any
    within: float = 0.0
    relation: Relation = "="
    is_finding: bool = True

    @property
    def agrees(self) -> bool:
        """Whether ours is close enough, or inside the bound."""
        if self.relation in {"=", "words"}:
            return math.isclose(self.ours, self.stated, rel_tol=0.0, abs_tol=self.within * abs(self.stated))
        slack = self.within * abs(self.stated)
        return bool(self.ours <= self.stated + slack if self.relation == "<=" else self.ours >= self.stated - slack)


Check = Callable[["Warehouse"], Checked]


@dataclass(frozen=True)
class Paper:
    """A paper that the project covers, with the check of one of its numbers, or what was tried.

    Attributes
    ----------
    row : str
        ``L1`` to ``L67`` state a law, ``D1`` to ``D19`` publish data.
    arxiv : str
    check : callable or None
        Computes the number from the package's own tables, laws and functions.
    tried : str
        Why there is no check.
    """

    row: str
    arxiv: str
    check: Check | None = None
    tried: str = ""

    @property
    def what(self) -> str:
        """The number in words, and where it stands."""
        return "" if self.check is None else " ".join((inspect.getdoc(self.check) or "").split())

    @property
    def code(self) -> str:
        """Source of the check, without its decorator."""
        if self.check is None:
            return ""
        text = inspect.getsource(self.check)
        return text[text.index("def ") :].rstrip()


_FOUND: dict[str, Paper] = {}


def checks(row: str, arxiv: str) -> Callable[[Check], Check]:
    """Declare the decorated function as the check of a paper."""

    def declare(check: Check) -> Check:
        _declare(Paper(row, arxiv, check))
        return check

    return declare


def waits(row: str, arxiv: str, tried: str) -> None:
    """Declare a paper of which no number can be checked, with what was tried."""
    _declare(Paper(row, arxiv, tried=tried))


def _declare(paper: Paper) -> None:
    if paper.row in _FOUND:
        raise ValueError(f"paper {paper.row} is declared twice")
    _FOUND[paper.row] = paper


def all_papers() -> Mapping[str, Paper]:
    """All papers by row, laws first. The folder is the list: every module in it is imported."""
    package = importlib.import_module("scalingdb.evidence.papers")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"scalingdb.evidence.papers.{module.name}")
    return {row: _FOUND[row] for row in sorted(_FOUND, key=lambda row: (row[0] == "D", int(row[1:])))}


def citing_laws() -> Mapping[str, set[str]]:
    """Laws of the library by the arXiv numbers that they cite."""
    found: dict[str, set[str]] = {}
    for law in all_laws().values():
        for arxiv in ARXIV.findall(law.cite):
            found.setdefault(arxiv, set()).add(law.name)
    return found


def paper_table(db: Warehouse, rows: Iterable[str] | None = None, *, compute: bool = False) -> pl.DataFrame:
    """Every paper with its number and ours.

    Parameters
    ----------
    db : Warehouse
    rows : iterable of str, optional
        Some of the papers, such as ``["L38", "D4"]``.
    compute : bool
        Compute our numbers now, which takes a minute or two; else they are those stored with the package, which a
        test computes again.

    Returns
    -------
    DataFrame
        ``row, arxiv_id, title, source_id, laws`` (list: those that cite it or have its coefficients), ``n_runs,
        n_evals`` (rows held), ``what`` (the number in words), ``relation, is_finding, stated, ours, agrees, tried``
        and ``code``.

    Raises
    ------
    UnknownNameError
        For an unknown row.
    """
    papers = all_papers()
    chosen = list(papers) if rows is None else list(rows)
    for row in chosen:
        if row not in papers:
            raise unknown_name("paper", row, papers)
    held = db.sources().select("source_id", "n_runs", "n_evals")
    known = db.table("sources").select("source_id", "arxiv_id", "title").join(held, on="source_id", how="left")
    fits = db.sql("select source_id, list(distinct law order by law) as laws from published_fits group by all")
    found = {row["arxiv_id"]: row for row in known.join(fits, on="source_id", how="left").iter_rows(named=True)}
    cited, library = citing_laws(), all_laws()
    stored = {} if compute else stored_results()
    out = []
    for row in chosen:
        paper = papers[row]
        source = found.get(paper.arxiv, {})
        result = stored.get(row)
        if result is None and paper.check is not None:
            result = _run(paper.check, db)
        out.append(
            {
                "row": row,
                "arxiv_id": paper.arxiv,
                "title": source.get("title"),
                "source_id": source.get("source_id"),
                "laws": sorted({*(source.get("laws") or ()), *cited.get(paper.arxiv, ())} & set(library)),
                "n_runs": source.get("n_runs") or 0,
                "n_evals": source.get("n_evals") or 0,
                "what": paper.what,
                "relation": None if result is None else result.relation,
                "is_finding": None if result is None else bool(result.is_finding),
                "stated": None if result is None else float(result.stated),
                "ours": None if result is None else float(result.ours),
                "agrees": None if result is None else bool(result.agrees),
                "tried": paper.tried or None,
                "code": paper.code,
            }
        )
    types: dict[str, Any] = {"laws": pl.List(pl.String), "stated": pl.Float64, "ours": pl.Float64, "agrees": pl.Boolean}
    types["is_finding"] = pl.Boolean
    texts = dict.fromkeys(("relation", "tried", "title", "source_id"), pl.String)
    return pl.DataFrame(out, schema_overrides=types | texts)


def stored_results(path: Path = RESULTS) -> dict[str, Checked]:
    """Numbers that ``python -m scalingdb.evidence.papers`` computed, by row."""
    return {
        row["row"]: Checked(row["ours"], row["stated"], row["within"], row["relation"], row["is_finding"])
        for row in pl.read_csv(path).iter_rows(named=True)
    }


def store_results(db: Warehouse, path: Path = RESULTS) -> int:
    """Compute every number, write the file, and count them."""
    found = {row: _run(paper.check, db) for row, paper in all_papers().items() if paper.check is not None}
    rows = [
        {
            "row": row,
            "ours": float(f"{float(one.ours):.6g}"),
            "stated": float(one.stated),
            "within": float(one.within),
            "relation": one.relation,
            "is_finding": one.is_finding,
        }
        for row, one in found.items()
    ]
    pl.DataFrame(rows).write_csv(path)
    return len(rows)


def _run(check: Check, db: Warehouse) -> Checked:
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore", DomainWarning)
        warnings.simplefilter("ignore", FitWarning)
        return check(db)


# ---- what the checks share -------------------------------------------------------------------------


def scores(db: Warehouse, source: str, where: str = "true") -> pl.DataFrame:
    """Scores of a source that are not flagged, with the columns of their runs."""
    return db.sql(
        "select e.*, r.* exclude (run_id, source_id, n_tokens, n_chars), r.n_tokens as run_tokens from evals e "
        f"join runs r using (source_id, run_id) where source_id = $source and e.flag is null and {where}",
        source=source,
    )


def at(law: str, *inputs: float, **params: Any) -> float:
    """A law at some inputs, with given or with its published parameters."""
    return float(get_law(law)(*inputs, **params))


def ledger(db: Warehouse, name: str, key: str) -> Checked:
    """A figure of the replication ledger: what the paper prints, or a bound that its words set."""
    row = replicate(name, db).row(by_predicate=pl.col("figure") == f"{name}.{key}", named=True)
    if row["stated"] is not None:
        return Checked(row["ours"], row["stated"], row["tolerance"] / abs(row["stated"]) + 1e-9)
    if row["low"] is not None:
        return Checked(row["ours"], row["low"], relation=">=")
    return Checked(row["ours"], row["high"], relation="<=")


def best_runs(db: Warehouse) -> pl.DataFrame:
    """The best ImageNet error of every architecture and sample budget."""
    rows = scores(db, "laion_clip_mammut", "e.metric = 'acc'").with_columns(error=1 - pl.col("value"))
    return rows.sort("error").unique(["model_name", "n_samples_seen"], keep="first", maintain_order=True)


def opt_curves(db: Warehouse) -> pl.DataFrame:
    """Log perplexity of the OPT models after 10 billion tokens."""
    return db.sql(
        "select run_id, n_params, n_tokens, ln(loss) as loss from curves where source_id = 'hitchhiker' "
        "and flag is null and study = 'opt_curves' and metric = 'perplexity' and n_tokens > 1e10 order by all"
    )


HELPERS = (scores, at, ledger, best_runs, opt_curves)
"""Functions that several checks call."""

IMPORTS = """\
from typing import Any

import numpy as np
import polars as pl
import scalingdb as sdb
from scalingdb import Warehouse, get_law
from scalingdb.evidence.papers import Checked
from scalingdb.evidence.refits.schedules import full_schedules
from scalingdb.evidence.replication import replicate"""


def preamble() -> str:
    """Code that has to run before the code of any check: imports, and the functions that several call."""
    return "\n\n\n".join([IMPORTS, *(inspect.getsource(helper).rstrip() for helper in HELPERS)])
