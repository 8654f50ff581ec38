"""What a warehouse shows of itself in a notebook."""

from __future__ import annotations

import html
import textwrap

from scalingdb.display import Markup, html_table
from scalingdb.schema import METRICS
from scalingdb.warehouse._losses import SOURCES
from scalingdb.warehouse._session import Session

__all__ = ["overview"]

LARGEST = 8
"""Sources that are listed."""

VIEWS = (
    ("points", "the last loss of every run, with N, D and compute", 'db.points("epoch_chinchilla")'),
    ("curves", "every loss that was reported, by step", 'db.curves("gadre_overtraining")'),
    ("scores", "downstream scores", 'db.sql("from scores limit 5")'),
    ("published_fits", "coefficients as papers state them", 'db.table("published_fits")'),
    ("claims", "findings of papers, and which source can test them", 'db.table("claims")'),
)


def overview(session: Session) -> str:
    """Totals, the sources with most runs, and the views with a call for each."""
    sources = session.rows(SOURCES)
    held = sources.filter(sources["n_runs"] > 0)
    totals = (
        (f"{held.height} sources with runs", f"{int(sources['n_runs'].sum()):,} runs"),
        (f"{int(sources['n_evals'].sum()):,} losses and scores", f"{sources.height - held.height} papers without runs"),
    )
    first = held.sort("n_runs", descending=True, maintain_order=True).head(LARGEST)
    rows = [
        [
            Markup(f"<b>{html.escape(row['source_id'])}</b>"),
            textwrap.shorten(row["title"], 76, placeholder=" …"),
            f"{row['n_runs']:,}",
            _metric(row["headline_metric"]),
        ]
        for row in first.iter_rows(named=True)
    ]
    head = ["source", "title", "runs", "headline metric"]
    views = [
        [Markup(f"<b>{name}</b>"), what, Markup(f"<code>{html.escape(call)}</code>")]
        for name, what, call in VIEWS
        if name in session.names()
    ]
    text = "; ".join(", ".join(pair) for pair in totals)
    return (
        f'<div class="scalingdb-warehouse"><p><b>{html.escape(session.path.name)}</b>: {text}.</p>'
        f"{html_table(['view', 'what it holds', 'for example'], views)}"
        f"{html_table(head, rows)}"
        f"<p><small>The {first.height} largest of {held.height}; <code>db.sources()</code> lists all.</small></p></div>"
    )


def _metric(name: str | None) -> str:
    if name is None:
        return ""
    kind = METRICS[name].kind if name in METRICS else name
    return name.replace("_", " ") + (f" ({kind})" if kind != name else "")
