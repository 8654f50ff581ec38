"""One page per law, and an account of every name that stands for one.

Mathematics, pictures and tables are made from the laws themselves; the account lists their aliases as well, and
the procedures that papers call laws.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from scalingdb.charts import headed
from scalingdb.charts.gallery import law_picture
from scalingdb.evidence.arena import cells, leaderboard
from scalingdb.evidence.refits import refit_table
from scalingdb.law_library import Law, all_aliases, all_laws
from scalingdb.law_library._ranges import middle_of, range_of
from scalingdb.law_library._trace import LATEX_NAMES
from scalingdb.schema import N_DEFINITIONS
from scalingdb.site.figures import figure
from scalingdb.site.words import count, symbol, templates, with_code
from scalingdb.warehouse import Warehouse

__all__ = ["ELSEWHERE", "Elsewhere", "accounting", "library", "picture", "render_laws"]


@dataclass(frozen=True)
class Elsewhere:
    """A name that readers look for here and that is not a law of the library.

    Attributes
    ----------
    where : str
        Public name that does it, or the nearest law.
    reason : str
    """

    where: str
    reason: str


ELSEWHERE: Mapping[str, Elsewhere] = {
    "obs_scaling": Elsewhere(
        "sdb.downstream.observational",
        "principal components of many benchmarks, then a sigmoid link per target; not one formula",
    ),
    "sloth": Elsewhere(
        "sdb.downstream.observational; law sloth_score for one benchmark and one family",
        "latent skills shared by benchmarks and families are fitted together; not one formula",
    ),
    "mc_chain": Elsewhere(
        "sdb.downstream.chain",
        "a chain of transformations from log-probabilities to accuracy, item by item; it has no parameters",
    ),
    "trend_class": Elsewhere(
        "sdb.trends.classify",
        "a decision between trends by tests and information criteria; not one formula",
    ),
    "bit_level": Elsewhere(
        "sdb.pareto_envelope and law power_offset over n_params times bits",
        "total bits as the axis, one curve per precision, and the envelope of the curves; the form is power_offset",
    ),
    "pass_at_k_mixture": Elsewhere(
        "sdb.downstream.repeated_sampling",
        "a Beta-binomial likelihood over problems, integrated to pass@k; not one formula of the aggregate",
    ),
    "data_pruning": Elsewhere(
        "law power_offset per kept fraction, and sdb.pareto_envelope",
        "a law per kept fraction and their envelope; the analytic curve needs a self-consistent solver",
    ),
    "porian_fixes": Elsewhere(
        "sdb.units.flops_porian; columns of the runs",
        "three corrections to a measurement (head in the FLOPs, warm-up, tuning), not a law",
    ),
    "su_kaplan": Elsewhere("laws kaplan_ln, kaplan_ls, kaplan_bcrit", "Kaplan's forms with other constants"),
}
"""Procedures that papers call laws; where a law of the name exists, the law counts."""

VERIFIED, UNVERIFIED, PROCEDURE = "implemented, verified", "implemented, unverified", "procedure"


def accounting() -> pl.DataFrame:
    """Every name that stands for a law: laws of the library, their aliases, and procedures.

    Returns
    -------
    DataFrame
        ``id, status`` (implemented, verified; implemented, unverified; procedure), ``law`` (null where there is
        none), ``variant`` (the published set that an alias stands for), ``where`` (public name of a procedure) and
        ``reason``.

    Examples
    --------
    >>> from scalingdb.site.gallery import accounting
    >>> table = accounting()
    >>> table.filter(id="chinchilla_epoch").row(0)
    ('chinchilla_epoch', 'implemented, verified', 'chinchilla', 'epoch', None, None)
    """
    laws = {law.name: law for law in library()}
    names: dict[str, tuple[str, str | None]] = {name: (name, None) for name in laws}
    names |= {alias: target for alias, target in all_aliases().items() if target[0] in laws}
    rows: list[tuple[str | None, ...]] = [
        (name, VERIFIED if laws[law].verified else UNVERIFIED, law, variant, None, None)
        for name, (law, variant) in names.items()
    ]
    rows += [
        (name, PROCEDURE, None, None, other.where, other.reason)
        for name, other in ELSEWHERE.items()
        if name not in names
    ]
    columns = ("id", "status", "law", "variant", "where", "reason")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


# ---- pictures ------------------------------------------------------------------------------------

MOST_OPERATIONS = 75
"""Operations of a formula that is still easier to read than its sentence; beyond, the text below it says it."""

SERIES = 5
"""Curves of a law with several inputs."""

POINTS = 60


def _title(law: Law, name: str) -> str:
    symbol = LATEX_NAMES.get(name, "").replace("\\eta", "\u03b7").replace("N_a", "N\u2090").replace("N_E", "")
    words = name.removeprefix("n_").replace("_", " ")
    return f"{words} {symbol}".strip()


def _label(value: float) -> str:
    return count(value) if value >= 1e3 else f"{value:.3g}"


def picture(law: Law) -> dict[str, Any] | None:
    """Chart of a law as Vega-Lite; None where the law has no finite value in its usual range.

    One input: the curve. A surface of loss over N and D: loss against compute for several N. Otherwise
    curves against the input with the widest range, for several values of the next one.
    """
    values = middle_of(law)
    sizes = [name for name in law.inputs if name in N_DEFINITIONS]
    is_surface = law.output == "loss" and len(sizes) == 1 and "n_tokens" in law.inputs
    decades = {name: float(np.log10(range_of(law, name)[1] / range_of(law, name)[0])) for name in law.inputs}
    if is_surface:
        along, across = "n_tokens", sizes[0]
    else:
        along = max(law.inputs, key=lambda name: decades[name])
        across = next((name for name in law.inputs if name != along), "")
    held = {name: float(np.sqrt(np.prod(range_of(law, name)))) for name in law.inputs if name not in {along, across}}
    x = np.geomspace(*range_of(law, along), POINTS)
    parts = []
    for rank, level in enumerate(np.geomspace(*range_of(law, across), SERIES) if across else [1.0]):
        columns = {**held, along: x, across: np.full(POINTS, level)}
        with np.errstate(all="ignore"):
            y = np.broadcast_to(law.function(*(columns[name] for name in law.inputs), **values), x.shape)
        parts.append(
            pl.DataFrame(
                {
                    "x": 6 * level * x if is_surface else x,
                    "y": np.array(y, dtype=float),
                    "series": [_label(float(level))] * POINTS,
                    "rank": [rank] * POINTS,
                }
            )
        )
    curves = pl.concat(parts).filter(pl.col("y").is_finite())
    if curves.height < 2 or curves["y"].n_unique() < 2:
        return None
    low, high = float(curves["y"].min()), float(curves["y"].max())  # type: ignore[arg-type]
    chart = law_picture(
        curves,
        x_title="compute 6ND, FLOP" if is_surface else _title(law, along),
        y_title=_with_unit(law),
        series_title=_title(law, across) if across else "",
        is_log_y=low > 0 and high / low > 3,
    )
    along_words = "compute" if is_surface else along.removeprefix("n_").replace("_", " ")
    course = _course(curves)
    ends = (high, low) if course == "falls" else (low, high)
    finding = f"{law.output.replace('_', ' ')} {course} with {along_words}: {_label(ends[0])} to {_label(ends[1])}"
    spec: dict[str, Any] = headed(chart, f"{finding[0].upper()}{finding[1:]}", _caption(law, held)).to_dict()
    return spec


def _with_unit(law: Law) -> str:
    """What a law gives, in the unit of the set that is drawn."""
    words = law.output.replace("_", " ")
    unit = law.default_set.output_unit if law.default_set else None
    return f"{words}, {unit.replace('_', ' ')}" if law.output == "loss" and unit else words


def _course(curves: pl.DataFrame) -> str:
    """Which way curves go along x."""
    steps = curves.sort("rank", "x").with_columns(step=pl.col("y").diff().over("rank"))["step"].drop_nulls()
    small = 1e-9 * float(curves["y"].abs().max())  # type: ignore[arg-type]
    if (steps <= small).all():
        return "falls"
    return "rises" if (steps >= -small).all() else "turns"


def _caption(law: Law, held: Mapping[str, float]) -> str:
    found = law.default_set
    lacking = "a general form without a default set" if law.published else "no published set is known"
    name = "" if not found or found.variant == "published" else f" {found.variant}"
    whose = f"published set{name}" if found else f"illustrative coefficients: {lacking}"
    fixed = ", ".join(f"{name} = {_label(value)}" for name, value in held.items())
    where = "" if law.domain else "; usual ranges; the source does not state those it fitted"
    return f"{whose}{f'; {fixed}' if fixed else ''}{where}"


# ---- words ---------------------------------------------------------------------------------------


def _paragraphs(doc: str) -> list[str]:
    """A docstring without its examples, as paragraphs of Markdown."""
    text = re.split(r"\n\s*(?:Examples|References|Notes|Parameters)\n\s*-{3,}", doc)[0]
    return [with_code(" ".join(part.split())) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _ends(low: float, high: float) -> str:
    if np.isinf(high):
        return f"from {_label(low)}"
    return f"{_label(low)} to {_label(high)}"


def _card(law: Law, charts: Path) -> dict[str, Any]:
    """What the template shows of one law."""
    drawn = picture(law)
    sets = sorted(law.published.values(), key=lambda one: not one.is_default)
    return {
        "name": law.name,
        "formula": Markup(law.mathml) if law.is_traceable and law.n_operations <= MOST_OPERATIONS else None,
        "picture": figure(drawn, charts, "../") if drawn else None,
        "text": _paragraphs(law.doc),
        "verified": law.verified,
        "params": [
            {"symbol": symbol(name), "meaning": spec.meaning, "range": _bounds(spec.low, spec.high)}
            for name, spec in law.params.items()
        ],
        "sets": [
            {
                "variant": one.variant,
                "is_default": one.is_default,
                "evidence": one.evidence,
                "source_id": one.source_id,
                "values": [one.params.get(name) for name in law.params],
                "unit": one.output_unit,
                "where": one.where_stated,
            }
            for one in sets
        ],
        "inputs": [
            {
                "name": name,
                "meaning": law.meaning(name),
                "domain": _ends(*law.domain[name]) if name in law.domain else "",
            }
            for name in law.inputs
        ],
        "output": {"name": law.output, "meaning": law.meaning(law.output)},
        "cite": law.cite,
        "evidence": law.evidence,
        "authors_fit": law.authors_fit,
        "aliases": list(law.aliases),
        "has_split": law.best_split is not None,
    }


def _bounds(low: float, high: float) -> str:
    if low == 0 and np.isinf(high):
        return "> 0"
    if np.isinf(low) and np.isinf(high):
        return "any"
    return f"from {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


# ---- pages ---------------------------------------------------------------------------------------


def library() -> list[Law]:
    """Laws of the package, without those that a session defined."""
    return [law for law in all_laws().values() if law.function.__module__.startswith("scalingdb.")]


def render_laws(
    db: Warehouse,
    charts: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[str, str]]:
    """Name and Markdown of the page of every law, and at the end the page that lists them, under ``""``.

    Parameters
    ----------
    db : Warehouse
    charts : Path
        Folder that the files of charts go to.
    progress : callable, optional
        Called with the number of laws done and the number of all.
    """
    refits = _refit_rows(refit_table(db))
    standings = _standings()
    template = templates().get_template("law.md")
    laws = library()
    for done, law in enumerate(laws):
        progress(done, len(laws))
        again = [one for one in refits if one["law"] == law.name]
        yield (
            law.name,
            template.render(
                **_card(law, charts),
                refits=again,
                standings=standings.get(law.name, ()),
                fitted_to=again[0]["source_id"] if again else "",
            ),
        )
    progress(len(laws), len(laws))
    yield "", _overview(laws, standings)


def _overview(laws: Sequence[Law], standings: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    account = accounting()
    rows = [
        {
            "name": law.name,
            "chapter": re.sub(r"^\d+\.\s*", "", law.chapter).partition(":")[0],
            "inputs": law.inputs,
            "output": law.output,
            "evidence": law.evidence_kind.replace("_", " "),
            "n_sets": len(law.published),
            "standing": _main_standing(standings.get(law.name, ())),
        }
        for law in laws
    ]
    return (
        templates()
        .get_template("laws.md")
        .render(
            laws=rows,
            n_laws=len(laws),
            n_variants=sum(len(law.published) for law in laws),
            account=account.rows(named=True),
            tally=dict(account["status"].value_counts().iter_rows()),
        )
    )


def _main_standing(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Where a law is measured best: of the tracks that rank it, if any does, the one with the most data sets."""
    measured = [row for row in rows if row["error"] is not None]
    return max(measured, key=lambda row: (row["rank"] is not None, row["n_sets"]), default=None)


def _standings() -> dict[str, list[dict[str, Any]]]:
    """Rows of the arena's leaderboard by law, with the bad end of its hold-outs beside the median."""
    board = leaderboard()
    tails = (
        cells()
        .filter(pl.col("error").is_not_null())
        .group_by("track", "law")
        .agg(tail=pl.col("error").quantile(0.9), worst=pl.col("error").max())
    )
    table = board.join(tails, on=["track", "law"], how="left").with_columns(
        n_ranked=pl.col("rank").count().over("track")
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        found.setdefault(row["law"], []).append(row)
    return found


def _refit_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per refit, with its parameters as (name, published, ours)."""
    refits: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in table.iter_rows(named=True):
        key = (row["law"], row["variant"], row["source_id"])
        one = refits.setdefault(key, {**row, "params": []})
        one["params"].append((symbol(row["param"]), row["published"], row["estimate"]))
    return list(refits.values())
