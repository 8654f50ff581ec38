"""How results look in a notebook: the warehouse, losses of runs, laws, best splits. They stay Polars frames."""

from __future__ import annotations

import pickle
import re

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import scalingdb as sdb
from scalingdb import law_library


def cells(page: str) -> list[list[str]]:
    """Texts of the table's rows, head first."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", " ", cell).split() for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)]  # type: ignore[misc]
        for row in rows
    ]


def test_points_have_the_loss_in_view_and_units_in_the_head(db: sdb.Warehouse) -> None:
    points = db.points("farseer")
    head, *rows = cells(points._repr_html_())
    assert head == [
        ["run"],
        ["N", "parameters,", "non", "embedding"],
        ["D", "tokens"],
        ["C", "FLOP"],
        ["loss", "bits", "per", "character"],
    ]
    assert len(rows) == 11  # five from each end, and dots between them
    assert rows[0][-1] == [f"{points['loss'][0]:.5g}"]
    assert rows[-1][0] == [points["run_id"][-1]]
    assert f"{points.height} rows and {points.width} columns" in points._repr_html_()


def test_what_tells_rows_apart_is_shown(db: sdb.Warehouse) -> None:
    head = cells(db.points("gadre_overtraining")._repr_html_())[0]
    assert ["family"] in head
    assert ["step"] in cells(db.curves("gemstones")._repr_html_())[0]
    assert ["step"] not in head


def test_frames_stay_polars_frames(db: sdb.Warehouse) -> None:
    points = db.points("epoch_chinchilla")
    plain = pl.DataFrame(points)
    assert isinstance(points, pl.DataFrame)
    assert type(points.filter(pl.col("loss") > 2.5)) is pl.DataFrame
    assert type(pl.concat([points, plain])) is pl.DataFrame
    assert_frame_equal(points, plain)
    assert_frame_equal(pickle.loads(pickle.dumps(points)), plain)
    assert points.head(3)._repr_html_() != plain.head(3)._repr_html_()
    # without what it needs, a frame looks as any other
    bare = type(points)(plain.select("run_id", "n_params"))
    assert bare._repr_html_() == plain.select("run_id", "n_params")._repr_html_()


def test_best_splits_show_every_number_with_its_interval(db: sdb.Warehouse) -> None:
    table = sdb.fit(db.points("epoch_chinchilla"), "chinchilla").optimum([1e22, 1e24])
    head, *rows = cells(table._repr_html_())
    assert [cell[0] for cell in head] == ["compute", "N", "D", "D/N", "loss"]
    assert len(rows) == 2
    assert rows[1][0] == ["1e24"]
    assert rows[1][1][0] == f"{table['n_params'][1] / 1e9:.3g}B"
    assert rows[1][3][1:] == [
        f"{table['tokens_per_param_low'][1]:.3g}",
        "to",
        f"{table['tokens_per_param_high'][1]:.3g}",
    ]
    assert type(table.select("loss")) is pl.DataFrame


def test_a_published_law_shows_its_split_without_intervals() -> None:
    with pytest.warns(sdb.DomainWarning):
        split = sdb.get_law("chinchilla").optimum(1e24, "hoffmann")
    page = split._repr_html_()
    assert "<code>*_low</code>" not in page
    assert cells(page)[1][3] == [f"{split['tokens_per_param'].item():.3g}"]


def test_laws_show_formulas_by_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: sdb.get_law(name) for name in ("power", "bnsl", "chinchilla", "farseer")}
    monkeypatch.setattr(law_library, "all_laws", lambda: few)
    table = sdb.laws()
    page = table._repr_html_()
    assert page.count("<math") == table["formula"].count() == 4
    for chapter in table["chapter"].unique():
        assert f"<b>{chapter}</b>" in page
    assert "<b>chinchilla</b>" in page
    assert type(table.filter(pl.col("law") == "farseer")) is pl.DataFrame


def test_the_warehouse_says_what_is_in_it(db: sdb.Warehouse) -> None:
    page = db._repr_html_()
    sources = db.sources()
    assert f"{int((sources['n_runs'] > 0).sum())} sources with runs" in page
    assert f"{int(sources['n_runs'].sum()):,} runs" in page
    largest = sources.sort("n_runs", descending=True)["source_id"][0]
    assert f"<b>{largest}</b>" in page
    assert "db.points(&quot;epoch_chinchilla&quot;)" in page


def test_a_closed_warehouse_still_has_a_look() -> None:
    db = sdb.connect()
    db.close()
    assert "closed" in db._repr_html_()
