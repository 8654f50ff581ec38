"""Pages of the laws: the account of every id, the pictures, the refits, and what a page says."""

from __future__ import annotations

import operator
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.charts.gallery import law_picture
from scalingdb.errors import DataError
from scalingdb.evidence.refits import _core as refits_core
from scalingdb.law_library import Law, all_aliases, all_laws
from scalingdb.site import gallery
from scalingdb.site.words import symbol


@pytest.fixture(scope="module")
def pages(db: sdb.Warehouse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All pages, with the refits that are stored: what is not stored is left out here, because fits take minutes."""
    stored = refits_core.RESULTS

    def table(db: sdb.Warehouse) -> pl.DataFrame:
        return pl.read_csv(stored, schema=refits_core.SCHEMA).with_columns(note=pl.lit("a note"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "refit_table", table)
        patch.setattr("scalingdb.site.figures._draw", lambda spec, target: (1, 1))
        return dict(gallery.render_laws(db, tmp_path_factory.mktemp("charts")))


# ---- the account ---------------------------------------------------------------------------------


def test_every_name_is_accounted_for_once() -> None:
    table = gallery.accounting()
    assert table["id"].is_unique().all()
    assert set(all_laws()) | set(all_aliases()) <= set(table["id"])
    assert set(table["status"]) <= {gallery.VERIFIED, gallery.UNVERIFIED, gallery.PROCEDURE}
    for row in table.iter_rows(named=True):
        if row["status"] == gallery.PROCEDURE:
            assert row["where"]
            assert row["reason"]
        else:
            law = all_laws()[row["law"]]
            assert row["status"].endswith("unverified") == (not law.verified)
            assert row["variant"] is None or row["variant"] in law.published


def test_procedures_name_laws_and_functions_that_exist() -> None:
    for name, other in gallery.ELSEWHERE.items():
        for laws in re.findall(r"laws? ((?:[a-z0-9_]+(?:, )?)+)", other.where):
            assert set(laws.split(", ")) <= set(all_laws()), name
        for public in re.findall(r"sdb\.([a-z_.]+)", other.where):
            assert operator.attrgetter(public)(sdb), name


# ---- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(all_laws()))
def test_every_law_has_a_picture(name: str) -> None:
    drawn = gallery.picture(all_laws()[name])
    assert drawn is not None
    (rows,) = drawn["datasets"].values()
    values = np.array([row["y"] for row in rows])
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0
    assert len({row["series"] for row in rows}) in (1, gallery.SERIES)
    said = "".join(drawn["title"]["text"]).split(" with ")[0].split()[-1]
    first = [row["y"] for row in rows if row["rank"] == 0]
    steps = np.diff(first)
    assert said != "falls" or (steps <= 1e-9 * abs(values).max()).all()
    assert said != "rises" or (steps >= -1e-9 * abs(values).max()).all()
    caption = "".join(drawn["title"]["subtitle"])
    assert caption.startswith("published set") == (all_laws()[name].default_set is not None)


def test_a_surface_is_drawn_against_compute() -> None:
    law = sdb.get_law("chinchilla")
    drawn = gallery.picture(law)
    assert drawn is not None
    (rows,) = drawn["datasets"].values()
    ends = law.domain.get("n_params", (3e7, 3e10))
    n = {gallery._label(end): end for end in ends}
    assert set(n) <= {row["series"] for row in rows}
    for row in (row for row in rows if row["series"] in n):
        size = n[row["series"]]
        assert row["y"] == pytest.approx(law.function(size, row["x"] / 6 / size, **law.coefficients()), rel=1e-9)


def test_a_law_without_values_has_no_picture() -> None:
    law = sdb.get_law("power")
    nowhere = replace(law, function=lambda n_tokens, *, A, alpha: n_tokens * np.nan)
    assert gallery.picture(nowhere) is None
    with pytest.raises(DataError, match="nothing to draw"):
        law_picture(pl.DataFrame(schema={"x": float, "y": float, "series": str, "rank": int}), x_title="", y_title="")


# ---- pages -----------------------------------------------------------------------------------------


def test_a_page_shows_formula_sets_and_source(pages: dict[str, str]) -> None:
    for name, law in all_laws().items():
        page = pages[name]
        assert '<figure class="sdb-chart"' in page
        assert all(f"<code>{variant}</code>" in page for variant in law.published)
        assert ("<math" in page) == (law.is_traceable and law.expression.count_ops() <= gallery.MOST_OPERATIONS)
        assert "Examples" not in page
        assert all(f"../sources/{one.source_id}.html" in page for one in law.published.values())
    assert set(pages) == {*all_laws(), ""}
    assert "the replication" in pages["chinchilla"]


def test_a_page_says_how_well_the_law_predicts(pages: dict[str, str]) -> None:
    board = sdb.arena.leaderboard()
    for name in board["law"].unique():
        if name in pages:
            assert "## How well it predicts" in pages[name]
    assert "One hold-out in ten exceeds" in pages["chinchilla"]


def test_a_law_without_a_rank_has_a_dash_and_places_count_ranked_laws(pages: dict[str, str]) -> None:
    board = sdb.arena.leaderboard()
    unranked = board.filter(pl.col("rank").is_null(), pl.col("law").is_in(list(pages)))
    assert unranked.height
    assert not any("None" in page for name, page in pages.items() if name in set(unranked["law"]))
    ranked = board.filter(track="surface")["rank"].count()
    place = board.filter(track="surface", law="chinchilla")["rank"].item()
    assert f"{place} of {ranked}<" in pages["chinchilla"]


def test_the_list_gives_the_error_of_the_track_that_tries_a_law_most(pages: dict[str, str]) -> None:
    rows = sdb.arena.leaderboard().filter(pl.col("law") == "chinchilla", pl.col("rank").is_not_null())
    most = rows.sort("n_sets").row(-1, named=True)
    row = next(line for line in pages[""].splitlines() if "laws/chinchilla.html" in line and "data-value" in line)
    assert f'data-value="{most["error"]}"' in row
    assert f"<td>{most['track']}</td>" in row
    assert most["error"] > sdb.arena.leaderboard().filter(law="chinchilla")["error"].min()  # another track has less


@pytest.mark.parametrize("name", ["gadre_error", "henighan_ln_lc"])
def test_formulas_have_signs_where_sympy_spells_names(name: str) -> None:
    law = sdb.get_law(name)
    assert not re.search(r"<mi>(eps|inf)</mi>", law.mathml)
    assert re.search(r"\\varepsilon|\\infty", law.latex)
    assert not re.search(r"(?<![a-z])(eps|inf)(?![a-z])", law.latex)


def test_html_parts_hold_no_empty_line(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        for block in re.findall(r'<div class="sdb-(?:table|math).*?</div>', page, re.DOTALL):
            assert "\n\n" not in block, name


def test_the_list_has_every_law_and_every_name(pages: dict[str, str]) -> None:
    assert all(f'<a href="laws/{name}.html">' in pages[""] for name in all_laws())
    end = pages[""][pages[""].index("## Every name") :]
    assert all(f"<code>{name}</code>" in end for name in gallery.accounting()["id"])


def test_formulas_are_well_formed(pages: dict[str, str]) -> None:
    formulas = [formula for page in pages.values() for formula in re.findall(r"<math.*?</math>", page, flags=re.DOTALL)]
    assert len(formulas) >= 8
    for formula in formulas:
        ElementTree.fromstring(formula)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alpha", "<i>α</i>"),
        ("alpha_N", "<i>α</i><sub>N</sub>"),
        ("L_inf", "<i>L</i><sub>∞</sub>"),
        ("A1", "<i>A1</i>"),
    ],
)
def test_symbols(name: str, shown: str) -> None:
    assert symbol(name) == shown


def test_own_laws_stay_out_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Law = replace(sdb.get_law("power"), name="mine", function=lambda n_tokens, *, A, alpha: A * n_tokens**-alpha)
    known = dict(all_laws())
    monkeypatch.setattr(gallery, "all_laws", lambda: {"power": known["power"], "mine": mine})
    assert [law.name for law in gallery.library()] == ["power"]
