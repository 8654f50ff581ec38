"""The SQL section of the site: every worked query runs and finds rows, and every column has a meaning."""

from __future__ import annotations

import re

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.schema import TABLES
from scalingdb.site import sql_pages
from scalingdb.site.api_pages import GROUPS, render_api
from scalingdb.site.words import with_code

QUERIES = sql_pages.queries()


def test_there_are_many_and_each_has_a_title() -> None:
    assert len(QUERIES) >= 25
    assert len({query.title for query in QUERIES}) == len(QUERIES)
    assert all(query.chapter and query.title for query in QUERIES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.title)
def test_a_worked_query_finds_rows(db: sdb.Warehouse, query: sql_pages.Query) -> None:
    assert db.sql(query.sql).height > 0


def test_pages_name_every_table_view_and_law(db: sdb.Warehouse) -> None:
    pages = dict(sql_pages.render_sql(db))
    assert all(f"\n## {name}\n" in pages["sql/dictionary"] for name in TABLES)
    views = set(db.tables()) - set(TABLES) - {"metrics", "units"}
    assert all(f"\n## {name}\n" in pages["sql/views"] for name in views)
    assert all(f"law_{law.name}(" in pages["sql/macros"] for law in sql_pages.library() if law.published)
    assert "\n\n" not in pages["sql/queries"].partition("<table>")[2].partition("</table>")[0]


def test_numbers_of_an_answer_are_aligned_by_their_last_digit() -> None:
    page = sql_pages._rows(pl.DataFrame({"name": ["a", None], "n": [1, 20], "share": [0.5, None]}))
    assert page.count('<td class="num">') == 4
    assert '<th>name</th><th class="num">n</th><th class="num">share</th>' in page
    assert "<td>a</td>" in page


def test_the_list_of_the_reference_shows_no_roles() -> None:
    assert not re.search(r":(func|class|meth|attr|data|mod):", dict(render_api())["api"])
    assert with_code("Made by :func:`~scalingdb.fit`; see :class:`Law`.") == "Made by `fit`; see `Law`."


def test_the_reference_has_every_public_name() -> None:
    pages = dict(render_api())
    shown = {page.partition("\n")[0].removeprefix("# ") for name, page in pages.items() if name != "api"}
    assert shown == set(sdb.__all__)
    assert {name for members in GROUPS.values() for name in members} <= set(sdb.__all__)
    for member in sdb.charts.__all__:
        if callable(getattr(sdb.charts, member)):
            assert f"scalingdb.charts.{member}\n" in pages["api/charts"]
