"""Pages beside notebooks: the front page, lists, and the reference of laws, sources, SQL and functions."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalingdb import downstream
from scalingdb.charts import frontier_chart
from scalingdb.display import number
from scalingdb.evidence.arena import recommend
from scalingdb.evidence.replication import NEEDS_LOCAL_ROWS, ORIGINS, VERDICTS, readable, summary
from scalingdb.fits import Fit, fit
from scalingdb.notices import silence
from scalingdb.site.api_pages import render_api
from scalingdb.site.figures import figure
from scalingdb.site.gallery import library, render_laws
from scalingdb.site.notebooks import VERSIONED, Progress, Ready
from scalingdb.site.paper_pages import render_papers
from scalingdb.site.source_pages import render_source_pages, source_rows
from scalingdb.site.sql_pages import render_sql
from scalingdb.site.words import count, templates
from scalingdb.warehouse import Warehouse, connect

__all__ = ["SECTIONS", "front_chart", "front_facts", "list_pages", "pages_of_checkout", "reference_pages"]

SECTIONS = (
    "Which law?",
    "Published figures",
    "Planning a training run",
    "Downstream scores",
    "Getting worse with scale",
)
"""Order of the list of notebooks. A notebook names its section in its metadata, under ``scalingdb``: ``section``."""

GUIDES = "Guides"

ORDER = (
    "start_here",
    "first_fit",
    "bring_your_own_runs",
    "choose_a_law",
    "find_the_law",
    "plan_a_run",
    "read_an_interval",
    "predict_a_score",
    "use_it_from_sql",
)
"""Guides in the order in which they are read."""


def reference_pages(charts: Path, links: dict[str, str], progress: Progress) -> dict[str, str]:
    """Pages of laws, sources, SQL and functions, by name; adds to `links` which page a name stands for."""
    pages: dict[str, str] = {}

    def of_sources() -> dict[str, str]:
        with connect() as own:
            made = render_source_pages(own, charts, lambda done, total: progress("sources", done, total))
            return {f"sources/{name}": text for name, text in made}

    with connect() as db, ThreadPoolExecutor(1) as side:  # drawing leaves the interpreter to others
        sources = side.submit(of_sources)
        for name, text in render_laws(db, charts, lambda done, total: progress("laws", done, total)):
            pages[f"laws/{name}" if name else "laws"] = text
        pages |= sources.result()
        pages |= dict(render_sql(db))
        rows = source_rows(db)
        pages["sources"] = templates().get_template("sources.md").render(sources=rows)
    pages |= dict(render_api())
    links |= {name: f"api/{name}" for name in ("compare", "connect", "fit", "fit_by", "forecast", "plan")}
    links |= {name.rpartition("/")[2]: name for name in pages if name.startswith(("sources/", "laws/"))}
    links |= {f"arXiv:{row['arxiv_id']}": f"sources/{row['source_id']}" for row in rows if row["arxiv_id"]}
    return pages


def list_pages(ready: Sequence[Ready], others: Iterable[str], front: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The front page, the lists of guides and notebooks, the ledger, and where everything comes from.

    Parameters
    ----------
    ready : sequence of Ready
    others : iterable of str
        Names of the pages made beside these.
    front : mapping, optional
        What :func:`front_facts` found; without it the front page is a list of pages.
    """
    guides = sorted(
        (one for one in ready if one.section == GUIDES),
        key=lambda one: (ORDER.index(one.name) if one.name in ORDER else len(ORDER), one.name),
    )
    pages = {}
    if guides:
        pages["guides"] = _list("Guides", [("", guides)])
    pages["notebooks"] = _list("Notebooks", _sections([one for one in ready if one.section != GUIDES]))
    rows = next((one.tables["ledger"] for one in ready if "ledger" in one.tables), None)
    if rows is not None:
        pages["ledger"] = _ledger(rows)
    pages["provenance"] = _provenance()
    if "laws" in (others := set(others)):
        pages["papers"] = _papers(ready, rows)
    order = ["guides", "notebooks", "laws", "papers", "sources", "ledger", "sql", "api", "reliability", "changelog"]
    known = {*pages, *others}
    toctree = _toctree("Ledger <ledger>" if name == "ledger" else name for name in order if name in known)
    pages["index"] = _front(front, ready, known, toctree, rows) if front else f"# scalingdb\n{toctree}"
    return pages


# ---- the front page --------------------------------------------------------------------------

DOORS = (
    ("Guides", "guides", "A first fit, your own runs, a law, a plan, an interval, a score: a few minutes each."),
    ("Notebooks", "notebooks", "One question each, answered from the rows, with what would change our mind."),
    ("Laws", "laws", "Formula, picture, published coefficients, our refit, and how well it predicts."),
    ("Papers", "papers", "What can be computed for each paper, and where to see it work."),
    ("Sources", "sources", "What was measured, in which unit, and what to know before use."),
    ("Ledger", "ledger", "Published figures computed again, the worst first."),
    ("SQL", "sql", "Worked queries, and the meaning of every column."),
    ("Reference", "api", "Every public function and class."),
    ("Reliability", "reliability", "What was attacked, what was found, and the command that measures it."),
)

SOURCE, LAW, BUDGET = "epoch_chinchilla", "chinchilla", 1e24
"""What the front page fits, and the budget that it plans."""


def front_facts(charts: Path) -> dict[str, Any]:
    """What the front page says of rows and laws, whichever notebooks there are; JSON can hold it."""
    with connect() as db:
        runs = db.points(SOURCE)
        totals = [
            (db.sql("select count(*) from runs").item(), "runs and models", "sources.html"),
            (db.sql("select count(*) from evals").item(), "measured numbers", "sources.html"),
            (db.sql("select count(*) from sources").item(), "papers and releases", "sources.html"),
            (len(library()), "laws", "laws.html"),
            (
                db.sql("select count(*) from (select distinct law, variant, source_id from published_fits)").item(),
                "published coefficient sets",
                "laws.html",
            ),
            (db.sql("select count(*) from claims").item(), "findings of papers", "sources.html"),
        ]
        predictable = _predictable(db)
    result = fit(runs, LAW, bootstrap=200)
    advice = recommend("small_grid")
    return {
        "n_sources": totals[2][0],
        "n_laws": totals[3][0],
        "picture": figure(front_chart(runs, result), charts),
        "advice": {**advice.glance().row(0, named=True), "n_sets": advice.table["n_sets"].max()},
        "plan": _plan(runs, result),
        "predictable": predictable,
        "totals": totals,
    }


def _front(
    facts: Mapping[str, Any],
    ready: Sequence[Ready],
    known: Iterable[str],
    toctree: str,
    rows: Sequence[Mapping[str, Any]] | None,
) -> str:
    names = {one.name: one for one in ready}
    return (
        templates()
        .get_template("index.md")
        .render(
            **facts,
            notebooks=names,
            origins=_origins(rows) if rows else None,
            doors=[(title, f"{name}.html", text) for title, name, text in DOORS if name in set(known)],
            toctree=toctree,
        )
    )


SUITE = "gadre_overtraining"
"""Source whose tasks the front page counts: one suite on three corpora, with chance levels and item counts."""


def _predictable(db: Warehouse) -> dict[str, int]:
    """How many tasks of the suite rise with compute beyond doubt: on every corpus, and on none."""
    scores = downstream.scores(db, SUITE)
    with silence():
        table = downstream.predictability(scores, ["family", "task", "metric", "n_shots"], on_error="record")
    tasks = table.group_by("task").agg(yes=(pl.col("verdict") == "predictable").sum(), n=pl.col("family").n_unique())
    return {
        "n_tasks": tasks.height,
        "n_corpora": int(tasks["n"].max()),  # type: ignore[arg-type]
        "on_all": tasks.filter(pl.col("yes") == pl.col("n")).height,
        "on_none": tasks.filter(pl.col("yes") == 0).height,
    }


def _plan(runs: pl.DataFrame, result: Fit) -> dict[str, Any]:
    row = result.optimum(BUDGET).row(0, named=True)
    return {
        "n": count(row["n_params"]),
        "d": count(row["n_tokens"]),
        "n_interval": f"{count(row['n_params_low'])} to {count(row['n_params_high'])}",
        "d_interval": f"{count(row['n_tokens_low'])} to {count(row['n_tokens_high'])}",
        "law": LAW,
        "source_id": SOURCE,
        "n_rows": runs.height,
        "largest": number(runs["train_flops_6nd"].max(), 2),  # type: ignore[arg-type]
    }


def front_chart(runs: pl.DataFrame, result: Fit) -> dict[str, Any]:
    """As Vega-Lite: runs, the least loss for a budget with its interval, and how far that carries."""
    frontier = result.optimum([float(10**power) for power in np.arange(18, 25.01, 0.25)])
    last = frontier.filter(pl.col("train_flops") > 0.9 * BUDGET).row(0, named=True)
    ends = f"{number(last['loss_low'], 3)} to {number(last['loss_high'], 3)}"
    chart = frontier_chart(
        runs.select("train_flops", "loss", "n_params", "n_tokens"),
        frontier.select("train_flops", "loss", "loss_low", "loss_high"),
        title=f"A budget of 1e24 FLOP buys a loss of {ends} nats per token",
        subtitle=[
            f"{runs.height} runs that Epoch read off a figure of the Chinchilla paper; N counts all parameters.",
            "Line: the least loss for a budget by the fitted law, with its 95 % interval; dashed beyond the runs.",
        ],
    ).properties(
        description=f"Loss against training compute. {runs.height} runs lie above a falling line, the least loss that "
        "the fitted law gives a budget. Beyond the largest run its interval widens: at 1e24 FLOP it spans "
        f"{ends} nats per token."
    )
    spec: dict[str, Any] = chart.to_dict()
    return spec


# ---- the ledger ------------------------------------------------------------------------------


def _origins(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For each origin, how many figures reproduce of those that could be computed."""
    table = pl.DataFrame(rows, infer_schema_length=None)
    return {
        row["origin"]: f"{row['good']:,} of {row['n']:,}"
        for row in summary(table, by=None).with_columns(good=pl.sum_horizontal(*VERDICTS[:2])).iter_rows(named=True)
    }


def _papers(ready: Sequence[Ready], rows: Sequence[Mapping[str, Any]] | None) -> str:
    """Every paper with what can be computed of it; our own earlier recomputations are no figures of a paper."""
    used = [(one.name, one.title, one.notebook.metadata.get("scalingdb", {}).get("sources", [])) for one in ready]
    figures = None
    if rows is not None:
        by_source = summary(pl.DataFrame(rows, infer_schema_length=None)).filter(pl.col("origin") != "own")
        good = pl.sum_horizontal(*VERDICTS[:2]).sum()
        figures = by_source.group_by("source_id").agg(good=good, n=pl.col("n").sum())
    with connect() as db:
        return render_papers(db, used, figures)


def _ledger(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every figure: what does not reproduce first, and of those the ones that lie farthest off."""
    table = pl.DataFrame(rows, infer_schema_length=None)
    stated = pl.col("stated")
    off = pl.when(stated.is_not_null() & (stated != 0)).then(((pl.col("ours") - stated) / stated).abs())
    table = table.with_columns(off=off).with_columns(
        rank=pl.col("verdict").replace_strict(
            {v: i for i, v in enumerate((VERDICTS[2], VERDICTS[1], VERDICTS[0]))}, default=9
        )
    )
    order = table.with_row_index("place_in_table").sort("rank", "off", descending=[False, True], nulls_last=True)
    words = readable(order.drop("place_in_table", "rank", "off"))
    shown = [
        {
            "source_id": source_id,
            "off": off_by,
            "is_bad": row["verdict"] == VERDICTS[2],
            **row,
        }
        for source_id, off_by, row in zip(order["source_id"], order["off"], words.iter_rows(named=True), strict=True)
    ]
    totals = summary(table.drop("off", "rank"), by=None)
    verdicts = [name for name in (*VERDICTS, NEEDS_LOCAL_ROWS) if totals[name].sum()]
    return (
        templates()
        .get_template("ledger.md")
        .render(n=f"{table.height:,}", rows=shown, totals=totals.rows(named=True), verdicts=verdicts, origins=ORIGINS)
    )


# ---- where everything comes from -------------------------------------------------------------


def _provenance() -> str:
    facts = {"package": f"scalingdb {metadata.version('scalingdb')}"}
    if commit := _commit():
        facts["commit"] = commit
    facts |= {name: metadata.version(name) for name in VERSIONED if name != "scalingdb"}
    facts["Python"] = ".".join(map(str, sys.version_info[:3]))
    lines = "\n".join(f"* {name}: `{value}`" for name, value in facts.items())
    return f"""---
orphan: true
---
# Provenance

Made by `scalingdb report` from the notebooks, the warehouse and the docstrings of

{lines}

The page of each source names its raw files by hash; every measured number names the file and record that it stands in.
"""


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> str | None:
    """Commit of the checkout, marked ``-dirty`` where files differ from it; None outside of one."""
    commit = _git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git("status", "--porcelain") else commit


def pages_of_checkout() -> dict[str, str]:
    """Pages that are files of the checkout; an installed package has none of them."""
    root = Path(__file__).resolve().parents[2]
    files = {"changelog": root / "CHANGELOG.md", "reliability": root / "benchmarks" / "RELIABILITY.md"}
    return {
        name: re.sub(r"\]\((?!https?:|#)[^)]*\)", "]", file.read_text(encoding="utf-8")).replace("]](", "](")
        for name, file in files.items()
        if file.is_file()
    }


# ---- lists -----------------------------------------------------------------------------------


def _sections(ready: Iterable[Ready]) -> list[tuple[str, list[Ready]]]:
    """Notebooks by section: the known ones in their order, others by name, those of none at the end."""
    by_name: dict[str, list[Ready]] = {}
    for one in ready:
        by_name.setdefault(one.section, []).append(one)
    known = [name for name in SECTIONS if name in by_name]
    order = [*known, *sorted(by_name.keys() - {*SECTIONS, ""}), *({""} & by_name.keys())]
    return [(name, by_name[name]) for name in order]


def _list(title: str, sections: Sequence[tuple[str, Sequence[Ready]]]) -> str:
    lines = [f"# {title}", ""]
    for name, notebooks in sections:
        if len(sections) > 1:
            lines += [f"## {name or 'More notebooks'}", ""]
        for one in notebooks:
            lines += [f"**[{one.title}](notebooks/{one.name}.ipynb)**", "", _without_links(one.answer), ""]
    names = [f"notebooks/{one.name}" for _, notebooks in sections for one in notebooks]
    return "\n".join(lines) + _toctree(names)


def _without_links(markdown: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)


def _toctree(names: Iterable[str]) -> str:
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
