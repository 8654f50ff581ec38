"""Every chart is valid, small, offline and refuses frames that it cannot draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest
import vl_convert
from _synthetic import runs

import scalingdb as sdb
from scalingdb.errors import DataError

MOST_ROWS = 5000
"""Above this Altair refuses to embed data, and a notebook becomes slow."""


def scored(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns that the charts of errors draw."""
    noise = np.random.default_rng(0).normal(0, 0.01, rows.height)
    return rows.with_columns(law=pl.lit("chinchilla"), relative_error=pl.Series(noise), split=pl.lit("fit"))


def curves(n_runs: int, n_steps: int) -> pl.DataFrame:
    tokens = np.geomspace(1e6, 1e10, n_steps)
    return pl.DataFrame(
        {
            "run_id": np.repeat([f"run-{i:04d}" for i in range(n_runs)], n_steps),
            "n_tokens": np.tile(tokens, n_runs),
            "loss": np.tile(2 + 100 * tokens**-0.3, n_runs),
        }
    )


@pytest.fixture(scope="module")
def found() -> sdb.Fit:
    return sdb.fit(runs(6, noise=3e-3).with_columns(unit=pl.lit("nats_per_token")), "chinchilla")


@pytest.fixture(scope="module")
def drawn(found: sdb.Fit) -> dict[str, alt.TopLevelMixin]:
    """One of every chart."""
    rows = runs(6, noise=3e-3)
    comparison = sdb.compare(rows, ["chinchilla", "power_offset"], sdb.largest("n_params", 0.1))
    two_families = pl.concat([rows.with_columns(family=pl.lit(name)) for name in ("a", "b")])
    by_family = sdb.fit_by(two_families, "chinchilla", by="family").tidy()
    return {
        "coverage": sdb.charts.coverage(rows.rename({"n_params": "n"}).with_columns(split=pl.lit("fit"))),
        "parameter_intervals": sdb.charts.parameter_intervals(by_family, "family", ["alpha", "beta"]),
        "residuals": sdb.charts.residuals(scored(rows), {"n_params": "N", "n_tokens": "D"}),
        "error_map": sdb.charts.error_map(scored(rows).rename({"n_params": "n"})),
        "held_out_errors": comparison.chart(),
        "fit_chart": found.chart(),
        "loss_curves": sdb.charts.loss_curves(curves(3, 50)),
    }


CHARTS = ["coverage", "parameter_intervals", "residuals", "error_map", "held_out_errors", "fit_chart", "loss_curves"]


def test_every_chart_is_tested_here() -> None:
    public = [name for name in sdb.charts.__all__ if callable(getattr(sdb.charts, name))]
    assert sorted(public) == sorted(CHARTS)


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_valid(drawn: dict[str, Any], name: str) -> None:
    specification = drawn[name].to_dict(validate=True)
    assert specification["$schema"].startswith("https://vega.github.io/schema/vega-lite/v")
    assert specification["config"]["background"] == "white"  # the theme is on
    assert specification["datasets"]


@pytest.mark.parametrize("name", CHARTS)
def test_chart_becomes_svg_without_a_network(drawn: dict[str, Any], name: str) -> None:
    specification = drawn[name].to_dict()
    svg = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    assert svg.startswith("<svg")
    assert "NaN" not in svg
    assert "href" not in svg


def embedded_rows(chart: Any) -> int:
    return max(len(rows) for rows in chart.to_dict()["datasets"].values())


@pytest.fixture(scope="module")
def many() -> pl.DataFrame:
    return runs(80, noise=1e-3).with_columns(n=pl.col("n_params"), split=pl.lit("fit"))


LARGE: dict[str, Callable[[pl.DataFrame], Any]] = {
    "coverage": sdb.charts.coverage,
    "residuals": lambda rows: sdb.charts.residuals(scored(rows), {"n_params": "N"}),
    "held_out_errors": lambda rows: sdb.charts.held_out_errors(scored(rows)),
    "fit_chart": lambda rows: sdb.fit(rows, "chinchilla", objective="mse_log", fixed={"E": 1.8}).chart(),
    "loss_curves, long": lambda _: sdb.charts.loss_curves(curves(20, 1000)),
    "loss_curves, many": lambda _: sdb.charts.loss_curves(curves(900, 20)),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_frames_are_thinned(many: pl.DataFrame, name: str) -> None:
    assert many.height > MOST_ROWS
    assert 100 < embedded_rows(LARGE[name](many)) <= MOST_ROWS


def test_thinned_curves_keep_every_run() -> None:
    chart = sdb.charts.loss_curves(curves(100, 500))
    (rows,) = chart.to_dict()["datasets"].values()
    assert len({row["run_id"] for row in rows}) == 100


def test_too_many_curves_are_refused() -> None:
    with pytest.raises(DataError, match="2000 runs are too many lines"):
        sdb.charts.loss_curves(curves(2000, 2))


MISSING: dict[str, tuple[str, Callable[[pl.DataFrame], Any]]] = {
    "coverage": ("n_tokens", sdb.charts.coverage),
    "residuals": ("n_params", lambda rows: sdb.charts.residuals(rows, {"n_params": "N"})),
    "held_out_errors": ("relative_error", sdb.charts.held_out_errors),
    "parameter_intervals": ("low", lambda rows: sdb.charts.parameter_intervals(rows, "split")),
    "loss_curves": ("loss", sdb.charts.loss_curves),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_columns_are_named(name: str) -> None:
    column, draw = MISSING[name]
    rows = scored(runs(4)).with_columns(n=pl.col("n_params"), param=pl.lit("E"), estimate=1.0, low=0.9, high=1.1)
    draw(rows)
    with pytest.raises(DataError, match=f"no column '{column}', which this chart draws"):
        draw(rows.drop(column))


@pytest.mark.parametrize(
    "draw",
    [
        sdb.charts.coverage,
        sdb.charts.held_out_errors,
        sdb.charts.loss_curves,
    ],
)
def test_nothing_to_draw(draw: Callable[[pl.DataFrame], Any]) -> None:
    rows = scored(runs(4)).with_columns(n=pl.col("n_params"))
    with pytest.raises(DataError, match="nothing to draw"):
        draw(rows.clear())


def test_fit_chart_names_law_unit_and_verdict(found: sdb.Fit) -> None:
    specification = found.chart().to_dict()
    assert specification["title"] == "chinchilla: identified"
    assert "observed loss (nats_per_token)" in str(specification)


def test_palette_is_the_range_of_categories(drawn: dict[str, Any]) -> None:
    for chart in drawn.values():
        assert chart.to_dict()["config"]["range"]["category"] == sdb.charts.PALETTE


def test_shipped_points_can_be_drawn(db: sdb.Warehouse) -> None:
    chart = sdb.charts.coverage(db.points("epoch_chinchilla"), color="family")
    assert embedded_rows(chart) == 240
    svg = vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])
    assert "D/N = 20" in svg
