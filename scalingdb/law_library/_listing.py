"""Laws in a notebook: one by itself, and the list as a frame that shows their formulas."""

from __future__ import annotations

import html

import polars as pl

from scalingdb.display import Markup, html_table, number
from scalingdb.law_library._core import FORM_EVIDENCE, REGISTRY, Law

__all__ = ["LawsFrame", "law_as_html"]

SHOWN = ("law", "chapter", "inputs", "output", "variants", "evidence_kind")


class LawsFrame(pl.DataFrame):
    """Laws: a Polars frame in all but its look in a notebook."""

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        if not set(SHOWN) <= set(self.columns):
            return str(super()._repr_html_())
        head = ["law", "formula", "inputs", "output", "published sets", "form"]
        parts: list[str] = []
        rows: list[list[object]] = []
        chapter = None
        for row in self.select(SHOWN).iter_rows(named=True):
            if row["chapter"] != chapter:
                parts += _table(chapter, head, rows)
                chapter, rows = row["chapter"], []
            law = REGISTRY.get(row["law"])
            formula = Markup(law.mathml) if law is not None and law.is_traceable else Markup("<i>not symbolic</i>")
            rows.append(
                [
                    Markup(f"<b>{html.escape(row['law'])}</b>"),
                    formula,
                    ", ".join(row["inputs"]),
                    row["output"],
                    len(row["variants"]) or None,
                    row["evidence_kind"].replace("_", " "),
                ]
            )
        parts += _table(chapter, head, rows)
        note = f"<p><small>{self.height} laws; <code>sdb.get_law(name)</code> shows one.</small></p>"
        box = "max-height: 32em; overflow: auto"
        return f'<div class="scalingdb-laws"><div style="{box}" tabindex="0">{"".join(parts)}</div>{note}</div>'


def _table(chapter: str | None, head: list[str], rows: list[list[object]]) -> list[str]:
    return [f"<p><b>{html.escape(chapter or '')}</b></p>", html_table(head, rows)] if rows else []


def law_as_html(law: Law) -> str:
    """Formula, parameters with the published coefficients, and the meanings of inputs and output."""
    formula = law.mathml if law.is_traceable else f"<code>{html.escape(law.name)}</code> (not symbolic)"
    published = list(law.published.values())
    rows = [
        [Markup(f"<i>{html.escape(name)}</i>"), p.meaning, *(number(one.params.get(name), 6) for one in published)]
        for name, p in law.params.items()
    ]
    table = html_table(["parameter", "meaning", *(one.variant for one in published)], rows)
    names = dict.fromkeys((*law.inputs, law.output))
    remarks = [f"{name}: {text}" for name in names if (text := law.meaning(name))]
    remarks += [
        f"fitted for {name} from {number(low, 3)} to {number(high, 3)}" for name, (low, high) in law.domain.items()
    ]
    if law.evidence_kind != "read":
        remarks.append(FORM_EVIDENCE[law.evidence_kind])
    return (
        f'<div class="scalingdb-law"><b>{html.escape(law.name)}</b> <small>{html.escape(law.cite)}</small>'
        f'<div style="padding: 0.4em 0">{formula}</div>{table}'
        f"<small>{html.escape('; '.join(remarks))}</small></div>"
    )
