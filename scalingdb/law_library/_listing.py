"""The list of laws as a frame that shows their formulas in a notebook."""

from __future__ import annotations

import html

import polars as pl

from scalingdb.display import Markup, html_table
from scalingdb.law_library._core import REGISTRY

__all__ = ["LawsFrame"]

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
