"""What the site adds to Sphinx: formulas as MathML, and links from every mention of a law, a source or a paper."""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import latex2mathml.converter
from docutils import nodes
from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["LINKS", "mathml", "setup"]

LINKS = "links.json"
"""File of the source folder that says which page a name stands for: ``{"name": "docname"}``."""

PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def mathml(tex: str, display: str) -> str:
    """TeX as MathML, which browsers draw themselves; what does not convert stays readable TeX."""
    try:
        return str(latex2mathml.converter.convert(tex.strip(), display=display))
    except Exception:  # the converter raises errors of many kinds on malformed TeX
        return f"<code>{html.escape(tex.strip())}</code>"


def _visit_math(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _visit_math_block(self: Any, node: nodes.math_block) -> None:
    tex = re.sub(r"\\(begin|end)\{(equation|displaymath)\*?\}", "", node.astext())
    self.body.append(f'<div class="math">{mathml(tex, "block")}</div>')
    raise nodes.SkipNode


@functools.cache
def _pages(folder: str) -> dict[str, str]:
    file = Path(folder) / LINKS
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _is_free(node: nodes.Node) -> bool:
    """Whether a mention may become a link: not within a link, a heading or a code block."""
    taken = (nodes.reference, nodes.title, nodes.literal_block, nodes.raw)
    place = node.parent
    while place is not None:
        if isinstance(place, taken):
            return False
        place = place.parent
    return True


def _link_mentions(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Names in code style become links to their pages, and so do papers named by their arXiv number."""
    pages = _pages(str(app.srcdir))
    known = app.env.found_docs

    def address(name: str) -> str | None:
        target = pages.get(name)
        if target is None or target == docname or target not in known:
            return None
        return app.builder.get_relative_uri(docname, target)

    for literal in list(doctree.findall(nodes.literal)):
        uri = address(literal.astext())
        if uri is not None and _is_free(literal):
            reference = nodes.reference("", "", internal=True, refuri=uri)
            literal.replace_self(reference)
            reference += literal
    for text in list(doctree.findall(nodes.Text)):
        if PAPER.search(str(text)) and _is_free(text) and not isinstance(text.parent, nodes.literal):
            text.parent.replace(text, list(_papers(str(text), address)))


def _papers(text: str, address: Any) -> Iterator[nodes.Node]:
    for i, piece in enumerate(PAPER.split(text)):
        if i % 2 == 0:
            yield nodes.Text(piece)
            continue
        uri = address(f"arXiv:{piece}") or f"https://arxiv.org/abs/{piece}"
        yield nodes.reference("", f"arXiv:{piece}", internal="://" not in uri, refuri=uri)


class _SearchEnglish(SearchEnglish):
    """Stems of words, kept: pages share most of theirs, and Sphinx forgets them from one page to the next."""

    @functools.cached_property
    def stem(self) -> Callable[[str], str]:
        return functools.cache(super().stem)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_visit_math, None), block_renderers=(_visit_math_block, None)
    )
    app.add_search_language(_SearchEnglish)
    app.connect("doctree-resolved", _link_mentions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
