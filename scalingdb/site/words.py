"""Words and numbers of generated pages: text as Markdown that says what it says, counts, symbols, links."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2
from markupsafe import Markup, escape

from scalingdb import display

__all__ = ["count", "paragraphs", "plain", "prose", "symbol", "templates", "with_code", "without_roles"]

ROLE = re.compile(r":(?:func|class|meth|attr|data|mod):`(~?)([^`]+)`")
"""A reference of a docstring."""

PARAGRAPH = 420
"""Characters after which a sentence of the notes begins a new paragraph."""

LABEL = re.compile(r"^([A-Z][A-Z ,]{3,})[:.]")
"""How some notes begin a new subject: OTHER UNITS: ..."""

NAME = re.compile(r"(?<![\w/.-])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/]|\.\w)")
"""A column, table or metric in running text: it has an underscore and is no part of a path."""

SPECIAL = re.compile(r"([\\*$<>\[\]{}|#^~`_])")

DIGITS = 6
"""Digits of a published coefficient on a page."""


def plain(text: str | None) -> str:
    """Text whose signs mean themselves in Markdown."""
    return SPECIAL.sub(r"\\\1", (text or "").replace(" -- ", " \u2013 "))


def without_roles(text: str | None) -> str:
    """A docstring's text with its references as plain code; ``~`` asks for the last part of a name."""
    return ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text or "")


def with_code(text: str | None) -> str:
    """Text as Markdown; what stands between backticks, and names with an underscore, as code."""
    parts = re.split(r"``?([^`]+)``?", without_roles(text).replace(" -- ", " \u2013 "))
    shown = []
    for i, part in enumerate(parts):
        if i % 2:
            shown.append(f"`{part}`")
            continue
        end = 0
        for name in NAME.finditer(part):
            shown += [SPECIAL.sub(r"\\\1", part[end : name.start()]), f"`{name[0]}`"]
            end = name.end()
        shown.append(SPECIAL.sub(r"\\\1", part[end:]))
    return "".join(shown)


def prose(text: str | None) -> Markup:
    """Text as HTML; what stands between backticks, and names with an underscore, as code."""
    parts = re.split(r"`([^`]+)`", without_roles(text).replace(" -- ", " \u2013 "))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else Markup(NAME.sub(r"<code>\g<0></code>", str(escape(part))))
        for i, part in enumerate(parts)
    )


def paragraphs(notes: str) -> list[str]:
    """Notes as Markdown paragraphs of a few sentences; a label in capitals begins a new one."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z(`0-9])", notes.strip())  # not within "e.g. this"
    blocks: list[list[str]] = [[]]
    for sentence in filter(None, sentences):
        if blocks[-1] and (LABEL.match(sentence) or sum(map(len, blocks[-1])) > PARAGRAPH):
            blocks.append([])
        blocks[-1].append(sentence)
    return [
        LABEL.sub(lambda word: f"**{word[1].capitalize()}:**", with_code(" ".join(block))) for block in blocks if block
    ]


def count(value: float | None) -> str:
    """A parameter or token count as the field writes it: 7.1M, 1.4T."""
    if value is None or value <= 0 or not math.isfinite(value):
        return "\u2013"
    rounded = float(f"{value:.3g}")
    power = min(max(int(math.log10(rounded) // 3), 0), 4)
    return f"{rounded / 1000**power:g}" + ("", "k", "M", "B", "T")[power]


def symbol(name: str) -> Markup:
    """A parameter as it is printed."""
    return Markup(display.symbol(name))


def _share(value: float | None) -> str:
    """A share in per cent that does not part with its sign."""
    return display.percent(value).replace(" %", "\u00a0%")


def _thousands(value: float | None) -> str:
    return "\u2013" if not value else f"{value:,.0f}"


def _links(names: Iterable[str], folder: str) -> Markup:
    return Markup(", ").join(Markup('<a href="{}{}.html">{}</a>').format(folder, name, name) for name in names)


def _numeric(names: Iterable[str]) -> list[tuple[str, str]]:
    """Cells of the head of a table, above columns of numbers."""
    return [(name, 'class="num"') for name in names]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "count": count,
    "md": plain,
    "md_code": with_code,
    "prose": prose,
    "number": functools.partial(display.number, digits=DIGITS),
    "percent": _share,
    "symbol": symbol,
    "thousands": _thousands,
    "links": _links,
    "numeric": _numeric,
}
"""What the templates need beside Jinja's own filters."""


@functools.cache
def templates() -> jinja2.Environment:
    """The templates of generated pages, which are Markdown with HTML tables."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scalingdb.site"),
        autoescape=False,  # most of a page is Markdown; its HTML parts say what they escape
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= FILTERS
    return environment
