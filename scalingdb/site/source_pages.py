"""One page per source: what it is, what the warehouse has of it, what to know, and how to query it.

Every word and number comes from the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from scalingdb.charts import PALETTE, coverage, headed
from scalingdb.display import interval, number
from scalingdb.law_library import all_laws
from scalingdb.schema import METRICS
from scalingdb.site.figures import figure
from scalingdb.site.words import DIGITS, count, paragraphs, prose, templates
from scalingdb.warehouse import Warehouse

__all__ = ["FOLDER", "render_source_pages", "source_rows"]

FOLDER = "sources"
"""Folder of the site that holds the pages."""

MAX_CLAIMS = 60
"""Findings printed on a page; the query below them returns all."""

N_WORDS = {"n_params": "all parameters", "n_params_non_embedding": "parameters without embeddings"}
"""How a source counts N, in words."""

MAX_REASONS = 3
"""Reasons printed for one flag."""

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class _Holdings:
    """What the warehouse holds of every source, asked once for all pages."""

    studies: Rows
    evals: Rows
    flags: Rows
    others: Rows
    fits: Rows
    claims: Rows
    tests: Rows
    plane: Mapping[str, pl.DataFrame]


def source_rows(db: Warehouse) -> list[Row]:
    """One row per source with its counts, and in `holds` what the warehouse has of it."""
    counts = db.sources().select("source_id", "n_runs", "n_evals", "n_flagged")
    fits = db.sql("select source_id, count(distinct (law, variant)) as n_fits from published_fits group by all")
    table = db.table("sources").join(counts, on="source_id").join(fits, on="source_id", how="left").sort("source_id")
    return [{**row, "holds": _holds(row)} for row in table.iter_rows(named=True)]


def _holds(row: Row) -> str:
    kinds = ("runs" if row["n_runs"] or row["n_evals"] else "", "coefficients" if row["n_fits"] else "")
    return "; ".join(filter(None, kinds)) or "findings only"


def render_source_pages(
    db: Warehouse,
    charts: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[str, str]]:
    """Id and Markdown of the page of every source, in alphabetical order.

    Parameters
    ----------
    db : Warehouse
    charts : Path
        Folder that the files of charts go to.
    progress : callable, optional
        Called with the pages done and the pages in all.
    """
    holdings = _holdings(db)
    template = templates().get_template("source.md")
    sources = source_rows(db)
    titles = {source["source_id"]: source["title"] for source in sources}
    laws = all_laws()
    for done, source in enumerate(sources):
        progress(done, len(sources))
        name = source["source_id"]
        claims = holdings.claims.get(name, ())
        fits = _coefficient_sets(holdings.fits.get(name, ()))
        text = template.render(
            source=source,
            notes=paragraphs(source["notes"] or ""),
            studies=holdings.studies.get(name, ()),
            evals=holdings.evals.get(name, ()),
            flags=_flags(holdings.flags.get(name, ())),
            others=holdings.others.get(name, ()),
            chart=_chart(source, holdings.plane.get(name), charts),
            fits=fits,
            laws=list(dict.fromkeys(one["law"] for one in fits if one["law"] in laws)),
            claims=claims[:MAX_CLAIMS],
            n_claims=len(claims),
            tests=holdings.tests.get(name, ())[:MAX_CLAIMS],
            titles=titles,
            queries=_queries(source, holdings),
        )
        yield name, text
    progress(len(sources), len(sources))


# ---- what the warehouse has --------------------------------------------------------------------


def _by_source(frame: pl.DataFrame) -> Rows:
    parts = frame.partition_by("source_id", as_dict=True, maintain_order=True)
    return {str(key[0]): part.rows(named=True) for key, part in parts.items()}


def _holdings(db: Warehouse) -> _Holdings:
    studies = db.sql(
        "select source_id, study, count(*) as n_runs, count(distinct family) as n_families, "
        "min(coalesce(n_params, n_params_non_embedding)) as n_low, "
        "max(coalesce(n_params, n_params_non_embedding)) as n_high, min(n_tokens) as d_low, max(n_tokens) as d_high "
        "from runs group by all order by source_id, n_runs desc, study"
    )
    evals = db.sql(
        "select source_id, metric, unit, count(*) as n_rows, count(distinct run_id) as n_runs, "
        "count(distinct eval_set) as n_sets, list_sort(list(distinct eval_set))[:3] as sets, "
        "count(flag) as n_flagged "
        "from evals group by all order by source_id, n_rows desc, metric, unit"
    )
    flags = db.sql(
        "select source_id, flag, flag_reason, count(*) as n_rows from evals where flag is not null "
        "group by all order by source_id, flag, n_rows desc, flag_reason"
    )
    others = pl.concat(
        db.sql(f"select source_id, '{table}' as name, count(*) as n_rows from {table} group by all order by source_id")
        for table in ("items", "schedules", "mixtures")
    )
    fits = db.sql("select * from published_fits order by source_id, law, not is_default, variant, param")
    claims = db.sql("select * from claims order by source_id, claim_id")
    tests = (
        claims.filter(pl.col("source_id") != pl.col("test_source"))
        .with_columns(test_source=pl.col("test_source").str.split(";"))
        .explode("test_source")
        .filter(pl.col("source_id") != pl.col("test_source"))
        .rename({"source_id": "stated_by", "test_source": "source_id"})
    )
    plane = db.sql(
        "select source_id, run_id, study, family, max(n) as n, max(n_tokens) as n_tokens from ("
        "select source_id, run_id, study, family, n, n_tokens from curves union all "
        "select source_id, run_id, study, family, n, n_tokens from scores) "
        "where n > 0 and n_tokens > 0 group by all order by source_id, run_id"
    )
    return _Holdings(
        studies=_by_source(studies),
        evals=_by_source(evals),
        flags=_by_source(flags),
        others=_by_source(others),
        fits=_by_source(fits),
        claims=_by_source(claims),
        tests=_by_source(tests),
        plane={str(key[0]): part for key, part in plane.partition_by("source_id", as_dict=True).items()},
    )


def _flags(rows: Sequence[Row]) -> list[Row]:
    """Flags of one source: rows of each, and its most frequent reasons."""
    found: dict[str, Row] = {}
    for row in rows:
        flag = found.setdefault(row["flag"], {"flag": row["flag"], "n_rows": 0, "reasons": [], "n_more": 0})
        flag["n_rows"] += row["n_rows"]
        if len(flag["reasons"]) < MAX_REASONS:
            flag["reasons"].append(prose(row["flag_reason"]))
        else:
            flag["n_more"] += 1
    return list(found.values())


def _coefficient_sets(rows: Sequence[Row]) -> list[Row]:
    """Published coefficients of one source, one row per set, with the formula where the law is known."""
    laws = all_laws()
    sets: dict[tuple[str, str], Row] = {}
    for row in rows:
        one = sets.setdefault(
            (row["law"], row["variant"]), {**row, "params": [], "formula": None, "is_law": row["law"] in laws}
        )
        one["params"].append((row["param"], number(row["value"], DIGITS), interval(row["low"], row["high"], DIGITS)))
        law = laws.get(row["law"])
        if law is not None and law.is_traceable:
            one["formula"] = Markup(law.mathml)
    return list(sets.values())


# ---- the chart -------------------------------------------------------------------------------


def _ends(values: pl.Series) -> str:
    low, high = values.min(), values.max()
    return f"{count(low)} to {count(high)}"  # type: ignore[arg-type]


def _chart(source: Row, runs: pl.DataFrame | None, charts: Path) -> str | None:
    """Where the runs lie in the plane of N and D; nothing where fewer than two settings are known."""
    if runs is None:
        return None
    # runs that differ in other settings share a place: one dot draws them all
    places = runs.with_columns(pl.col("n", "n_tokens").round_sig_figs(3))
    if places.select("n", "n_tokens").n_unique() < 2:
        return None
    color = _color(places)
    places = places.with_columns(color.alias("group")).unique(["n", "n_tokens", "group"], maintain_order=True)
    ratio = (runs["n_tokens"] / runs["n"]).sort()
    least, middle, most = (count(float(f"{ratio[place]:.2g}")) for place in (0, ratio.len() // 2, -1))
    chart = headed(
        coverage(places, "group", size=(560, 340)),
        f"{runs.height:,} runs of {_ends(runs['n'])} parameters on {_ends(runs['n_tokens'])} tokens",
        f"{least} to {most} tokens per parameter, {middle} in the median; "
        f"N is {N_WORDS.get(source['n_definition'], 'as the source counts it')}.",
        "Runs whose parameters and tokens are both known; those of one setting share a dot. Dashed: equal D/N.",
    )
    return figure(chart.to_dict(), charts, "../")


def _color(runs: pl.DataFrame) -> pl.Expr:
    """What colours the dots: families, else studies, where a legend can hold them; else the largest families."""
    most = len(PALETTE)
    for column in ("family", "study"):
        if 1 < runs[column].n_unique() <= most:
            return pl.col(column)
    if runs["family"].n_unique() == 1:
        return pl.col("family")
    largest = runs["family"].value_counts(sort=True)["family"].head(most - 1).to_list()
    return pl.when(pl.col("family").is_in(largest)).then("family").otherwise(pl.lit("other families"))


# ---- queries to copy -------------------------------------------------------------------------


def _queries(source: Row, holdings: _Holdings) -> list[tuple[str, str]]:
    """What a reader may paste into a notebook: a title and Python code each."""
    name = source["source_id"]
    found = []
    metric = source["headline_metric"]
    metrics = [row["metric"] for row in holdings.evals.get(name, ()) if row["n_rows"] > row["n_flagged"]]
    scores = [kind for kind in metrics if METRICS[kind].kind == "score"]
    if metric in metrics and METRICS[metric].kind == "loss":
        found.append(
            (
                "Final losses, one row per run",
                f'db.points("{name}").select(\n    "run_id", "family", "n", "n_tokens", "loss"\n)',
            )
        )
    if scores:
        sql = (
            "select model_name, n, n_tokens, task, n_shots, score\nfrom scores\n"
            f"where source_id = '{name}' and metric = '{scores[0]}' and flag is null\norder by task, n\nlimit 100"
        )
        found.append((f"Scores of metric {scores[0]}", f'db.sql("""\n{sql}\n""")'))
    if name in holdings.fits:
        sql = f"select law, variant, param, value, where_stated\nfrom published_fits\nwhere source_id = '{name}'"
        found.append(("Published coefficients", f'db.sql("""\n{sql}\n""")'))
    if name in holdings.claims:
        sql = f"select claim, quantity, value, unit, where_stated\nfrom claims\nwhere source_id = '{name}'"
        found.append(("Findings", f'db.sql("""\n{sql}\n""")'))
    if not found and name in holdings.studies:
        found.append(("Runs", f"db.sql(\"select * from runs where source_id = '{name}'\")"))
    return found
