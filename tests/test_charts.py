"""Every chart is valid, small, offline and refuses frames that it cannot draw."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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


def cells(fit: sdb.Fit, steps: int = 4) -> pl.DataFrame:
    """The objective on a grid around a fit's exponents, nothing fitted again."""
    alphas, betas = (np.linspace(0.9, 1.1, steps) * fit.params[name] for name in ("alpha", "beta"))
    return pl.DataFrame(
        [
            {"alpha": alpha, "beta": beta, "objective": fit.objective_at({"alpha": alpha, "beta": beta})}
            for alpha in alphas
            for beta in betas
        ]
    )


def ways(fit: sdb.Fit) -> pl.DataFrame:
    """Two ways of three steps, out of order."""
    alpha, beta = fit.params["alpha"], fit.params["beta"]
    rows = [
        (path, step, alpha * (0.91 + 0.04 * step), beta * (0.92 + path / 10)) for step in (2, 0, 1) for path in (0, 1)
    ]
    return pl.DataFrame(rows, schema=["path", "step", "alpha", "beta"], orient="row")


def estimates(rows: pl.DataFrame) -> pl.DataFrame:
    """Estimates by two objectives as more and more rows are used."""
    return pl.concat(
        sdb.fit(rows.head(count), "chinchilla", objective=name)
        .tidy()
        .with_columns(objective=pl.lit(name), rows=pl.lit(float(count)))
        for name in ("huber_log", "mse_log")
        for count in (24, 30, 36)
    )


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
        "frontier_chart": sdb.charts.frontier_chart(
            rows.with_columns(train_flops=6 * pl.col("n_params") * pl.col("n_tokens")),
            found.optimum([1e19, 1e21, 1e24]),
            title="The loss falls",
            subtitle=["one study"],
        ),
        "loss_curves": sdb.charts.loss_curves(curves(3, 50)),
        "estimate_paths": sdb.charts.estimate_paths(estimates(rows), "rows", "objective", ["alpha", "beta"]),
        "objective_map": sdb.charts.objective_map(cells(found), "alpha", "beta", best=found.params, paths=ways(found)),
        "profile": found.profile_chart("E"),
        "verdicts": sdb.charts.verdicts({"all": found.design(), "again": found.design()}),
        **downstream_charts(),
        **replication_charts(),
    }


def scores() -> pl.DataFrame:
    compute = np.geomspace(1e18, 1e22, 12)
    return pl.concat(
        pl.DataFrame(
            {
                "run_id": [f"{family}{i}" for i in range(12)],
                "family": family,
                "task": task,
                "metric": "acc",
                "train_flops_6nd": compute,
                "train_flops": compute,
                "score": 0.25 + 0.03 * np.arange(12) + shift,
                "chance_level": 0.25,
                "pc1": 0.1 * np.arange(12) + shift,
            }
        )
        for family in ("a", "b")
        for task, shift in (("one", 0.0), ("two", 0.1))
    )


def downstream_charts() -> dict[str, Any]:
    frame = scores()
    table = sdb.downstream.predictability(frame, ["family", "task", "metric"])
    compared = frame.select("task", observed="score", prediction=pl.col("score") + 0.01).with_columns(
        low=pl.col("prediction") - 0.05, high=pl.col("prediction") + 0.05
    )
    parts = pl.DataFrame(
        {
            "task": ["one", "two"],
            "error_of_loss_step": [0.02, -0.01],
            "error_of_link": [0.01, 0.03],
            "error": [0.03, 0.02],
        }
    )
    curve = pl.DataFrame({"k": [1.0, 10.0, 100.0], "neg_log": [3.0, 1.5, 0.7], "model": "m"})
    one = frame.filter(task="one")
    return {
        "score_panels": sdb.charts.score_panels(frame, color="family"),
        "correlation_ccdf": sdb.charts.correlation_ccdf(sdb.downstream.ccdf(table)),
        "task_intervals": sdb.charts.task_intervals(table.filter(family="a")),
        "predicted_actual": sdb.charts.predicted_actual(compared, color="task"),
        "error_parts": sdb.charts.error_parts(parts),
        "pass_curves": sdb.charts.pass_curves(curve, curve),
        "capability_trends": sdb.charts.capability_trends(one, sdb.downstream.family_trends(one)),
    }


def replication_charts() -> dict[str, Any]:
    """Of a ledger with every verdict, an exact count, a missed one, and figures without a number."""
    from scalingdb.evidence.replication import NEEDS_LOCAL_ROWS, VERDICTS

    table = pl.DataFrame(
        {
            "figure": [f"one.figure.{i}" for i in range(6)],
            "source_id": ["one", "one", "one", "two", "two", "two"],
            "stated": [1.0, 3.0, 3.0, 2.0, None, 1.0],
            "ours": [1.001, 3.0, 4.0, 2.5, None, None],
            "tolerance": [0.005, 0.0, 0.0, 0.1, None, 0.1],
            "verdict": [VERDICTS[0], VERDICTS[1], VERDICTS[2], VERDICTS[2], VERDICTS[3], NEEDS_LOCAL_ROWS],
        }
    )
    return {
        "stated_distances": sdb.charts.stated_distances(table),
        "verdict_shares": sdb.charts.verdict_shares(table),
    }


CHARTS = [
    "coverage",
    "parameter_intervals",
    "residuals",
    "error_map",
    "held_out_errors",
    "fit_chart",
    "frontier_chart",
    "loss_curves",
    "estimate_paths",
    "objective_map",
    "profile",
    "verdicts",
    "score_panels",
    "correlation_ccdf",
    "task_intervals",
    "predicted_actual",
    "error_parts",
    "pass_curves",
    "capability_trends",
    "stated_distances",
    "verdict_shares",
]

OF_COMPARISONS = ["calibration", "error_by_distance", "held_out_predictions", "law_errors"]
"""tests/test_comparison.py draws them, as the kinds of Comparison.chart."""
TRENDS = ["label_matrix", "trend_gallery", "trend_scan", "trend_surface", "unseen_turn"]
"""tests/test_trends.py draws them from real labels."""
PRACTICES = ["answer_shift", "practice_arms", "subset_errors", "sweep_map"]
"""tests/test_practices.py draws them from fits of synthetic families."""
ARENA = ["arena_distance", "arena_map", "interval_coverage", "win_rates"]
"""tests/test_arena.py draws them from the cells that ship."""
FORECASTS = ["forecast_chart"]
"""tests/test_forecasts.py draws it."""
RECIPES = ["decision_chart"]
"""tests/test_downstream_recipes.py draws it."""
ELSEWHERE = [*TRENDS, *PRACTICES, *ARENA, *FORECASTS, *RECIPES]

PLANS = [
    "allocation_chart",
    "allocation_exponents",
    "crossover_chart",
    "multiplier_chart",
    "optimum_chart",
    "next_run_map",
    "next_runs_chart",
    "plan_chart",
    "plan_iso_loss",
    "plan_isoflop",
    "repetition_chart",
    "replay_chart",
    "solution_chart",
]
"""Charts of plans: tests/test_planning.py, test_planning_solve.py, test_planning_optimise.py and
test_planning_next_runs.py draw them."""


def test_every_chart_is_tested_here() -> None:
    public = [name for name in sdb.charts.__all__ if callable(getattr(sdb.charts, name))]
    assert sorted(public) == sorted([*CHARTS, *ELSEWHERE, *PLANS, *OF_COMPARISONS, "headed", "headed_by_sentence"])


def test_a_heading_is_title_and_text_alternative() -> None:
    drawn = alt.Chart(pl.DataFrame({"x": [1.0, 2.0]})).mark_point().encode(x="x:Q")
    finding = "chinchilla_coupled misses the larger runs by 1.65 % on average, " + "and others by more, " * 4
    shown = sdb.charts.headed(drawn, finding, "One study, nats per token.", "", "N counts all parameters").to_dict()
    lines = shown["title"]["text"]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 88
    assert lines[0].startswith("chinchilla_coupled ")  # the name of a law keeps its letters
    assert " ".join(lines).replace("\u00a0", " ") == finding.rstrip()
    assert shown["title"]["subtitle"] == ["One study, nats per token.", "N counts all parameters"]
    assert shown["description"].endswith("One study, nats per token. N counts all parameters.")
    same = sdb.charts.headed_by_sentence(drawn, f"{finding}; one study; nats per token.", "N counts all parameters")
    assert " ".join(same.to_dict()["title"]["text"]).replace("\u00a0", " ") == finding.rstrip()
    assert same.to_dict()["title"]["subtitle"] == ["one study; nats per token.", "N counts all parameters"]


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
    "verdicts": lambda rows: sdb.charts.verdicts({"all": sdb.fit(rows, "chinchilla", objective="mse_log").design()}),
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


def test_downstream_charts_refuse_too_much() -> None:
    many_tasks = pl.concat(scores().with_columns(task=pl.lit(f"t{i}")) for i in range(30))
    with pytest.raises(DataError, match="30 panels are too many"):
        sdb.charts.score_panels(many_tasks)
    table = sdb.downstream.predictability(many_tasks, ["family", "task", "metric"])
    with pytest.raises(DataError, match="120 rows are too many"):
        sdb.charts.task_intervals(pl.concat([table, table]))
    with pytest.raises(DataError, match="the frame is empty"):
        sdb.charts.predicted_actual(pl.DataFrame({"observed": [], "prediction": []}))


MISSING: dict[str, tuple[str, Callable[[pl.DataFrame], Any]]] = {
    "coverage": ("n_tokens", sdb.charts.coverage),
    "residuals": ("n_params", lambda rows: sdb.charts.residuals(rows, {"n_params": "N"})),
    "held_out_errors": ("relative_error", sdb.charts.held_out_errors),
    "parameter_intervals": ("low", lambda rows: sdb.charts.parameter_intervals(rows, "split")),
    "loss_curves": ("loss", sdb.charts.loss_curves),
    "estimate_paths": ("estimate", lambda rows: sdb.charts.estimate_paths(rows, "n", "split")),
    "objective_map": ("objective", lambda rows: sdb.charts.objective_map(rows, "n", "n_tokens")),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_columns_are_named(name: str) -> None:
    column, draw = MISSING[name]
    rows = scored(runs(4)).with_columns(
        n=pl.col("n_params"), param=pl.lit("E"), estimate=1.0, low=0.9, high=1.1, objective=1.0
    )
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


# ---- charts of a fit -----------------------------------------------------------------------------


def layers_with(chart: Any, field: str) -> list[list[dict[str, Any]]]:
    """Rows of every layer that draws a column."""
    specification = chart.to_dict()
    return [
        specification["datasets"][layer.get("data", specification.get("data"))["name"]]
        for layer in specification["layer"]
        if field in str(layer["encoding"])
    ]


def test_profile_chart_meets_the_cutoff_at_both_intervals(found: sdb.Fit) -> None:
    chart = found.profile_chart("E", level=0.9)
    parabola, curve = layers_with(chart, "rise")[-2:]
    uprights = [row["value"] for row in layers_with(chart, "value")[0]]
    robust, cut = (found.tidy(0.9, method=name).row(0, named=True) for name in ("robust", "profile"))
    assert uprights == pytest.approx([cut["low"], cut["high"]])
    for rows, ends in ((parabola, robust), (curve, cut)):
        values, rises = np.array([(row["value"], row["rise"]) for row in rows]).T
        for end in (ends["low"], ends["high"]):
            assert np.interp(end, values, rises) == pytest.approx(1.0, abs=0.06)  # between two drawn points
        assert np.interp(found.params["E"], values, rises) == pytest.approx(0.0, abs=0.02)
    assert "90 % cut-off" in str(chart.to_dict()["title"])


def test_profile_chart_of_an_open_interval_has_one_end() -> None:
    """A floor that the runs cannot tell from zero: the curve never reaches the cut-off below."""
    x = np.geomspace(1e7, 1e9, 25)
    noise = np.exp(0.01 * np.random.default_rng(3).standard_normal(25))
    fit = sdb.fit(pl.DataFrame({"n_tokens": x, "loss": (0.05 + 30 * x**-0.2) * noise}), "power_offset")
    chart = fit.profile_chart("E")
    uprights = [row["value"] for row in layers_with(chart, "value")[0]]
    assert uprights[0] == 0.0
    assert uprights[1] > fit.params["E"]
    assert max(row["rise"] for row in layers_with(chart, "rise")[-1] if row["value"] < fit.params["E"]) < 1


def test_profile_chart_refuses(found: sdb.Fit) -> None:
    with pytest.raises(sdb.ScalingDBError, match="gamma"):
        found.profile_chart("gamma")
    with pytest.raises(DataError, match="no profile"):
        sdb.fit(found.data, "chinchilla", fixed={"E": 1.8}).profile_chart("E")
    with pytest.raises(DataError, match="between 0 and 1"):
        found.profile_chart("E", level=95)


def test_objective_map_shows_the_excess_over_the_fit(found: sdb.Fit) -> None:
    grid = cells(found)
    chart = sdb.charts.objective_map(grid, "alpha", "beta", best=found.params, lowest=found.objective)
    drawn_cells = layers_with(chart, "excess")[0]
    expected = [100 * (value / found.objective - 1) for value in grid["objective"]]
    assert [row["excess"] for row in drawn_cells] == pytest.approx(expected)
    # cells touch: every right border is the left border of the next column
    lefts, rights = ({round(row[side], 9) for row in drawn_cells} for side in ("left", "right"))
    assert len(lefts & rights) == 3
    alone = layers_with(sdb.charts.objective_map(grid, "alpha", "beta"), "excess")[0]
    assert min(row["excess"] for row in alone) == 0.01  # the lowest cell itself, clipped


def test_objective_map_ends_every_path_at_its_last_step(found: sdb.Fit) -> None:
    chart = sdb.charts.objective_map(cells(found), "alpha", "beta", best=found.params, paths=ways(found))
    cross, ends = ([*layers_with(chart, "alpha")][i] for i in (-1, -2))
    assert [(row["path"], row["step"]) for row in ends] == [(0, 2), (1, 2)]
    assert cross == [{"alpha": found.params["alpha"], "beta": found.params["beta"]}]


def test_objective_map_refuses(found: sdb.Fit) -> None:
    grid = cells(found)
    with pytest.raises(DataError, match="nothing to draw"):
        sdb.charts.objective_map(grid.filter(pl.col("alpha") == grid["alpha"][0]), "alpha", "beta")
    with pytest.raises(DataError, match="excess over it cannot be a percentage"):
        sdb.charts.objective_map(grid.with_columns(objective=pl.lit(0.0)), "alpha", "beta")
    with pytest.raises(DataError, match="no parameter 'gamma'"):
        sdb.charts.objective_map(grid.rename({"beta": "gamma"}), "alpha", "gamma", best=found.params)
    with pytest.raises(DataError, match="4096 cells are too many"):
        sdb.charts.objective_map(cells(found, 64), "alpha", "beta")
    with pytest.raises(DataError, match="no column 'step'"):
        sdb.charts.objective_map(grid, "alpha", "beta", paths=ways(found).drop("step"))


def test_estimate_paths_refuses_parameters_that_are_not_there() -> None:
    frame = pl.DataFrame({"param": ["E"], "estimate": [1.0], "x": [0.0], "by": ["a"]})
    with pytest.raises(DataError, match="nothing to draw"):
        sdb.charts.estimate_paths(frame, "x", "by", ["gamma"])


def test_verdicts_say_what_the_fits_say(found: sdb.Fit) -> None:
    ray = runs(8, noise=3e-3).filter((pl.col("n_tokens") / pl.col("n_params")).round() == 100)
    with pytest.warns(sdb.FitWarning):
        bad = sdb.fit(ray, "chinchilla")
    one_input = sdb.fit(found.data, "power_offset", pool=True)
    fits = {"grid": found, "ray": bad, "D alone": one_input}
    drawn = sdb.charts.verdicts({name: fit.design() for name, fit in fits.items()}, columns=2)
    specification = drawn.to_dict()
    panels = [panel for line in specification["vconcat"] for panel in line["hconcat"]]
    said = [" ".join(panel["title"]["subtitle"]).strip() for panel in panels]
    assert [panel["title"]["text"] for panel in panels] == ["grid", "ray", "D alone"]
    assert said == [str(fit.verdict).replace("; ", " ") for fit in (found, bad, one_input)]
    assert "move together" in said[1]
    axes = [[panel["encoding"][side]["axis"]["title"] for side in ("x", "y")] for panel in panels]
    assert axes == [["n_params", "n_tokens"], ["n_params", "n_tokens"], ["n_tokens", "loss"]]
    low, high = panels[2]["encoding"]["y"]["scale"]["domain"]
    assert high / low >= 10  # a narrow range is drawn narrow
    with pytest.raises(DataError, match="nothing to draw"):
        sdb.charts.verdicts({})


def test_colours_are_those_of_the_theme() -> None:
    """A literal colour elsewhere has no counterpart on a dark page."""
    folder = Path(sdb.charts.__file__).parent
    literal = {path.name for path in folder.glob("*.py") if re.search(r'"#[0-9a-fA-F]{3,8}"', path.read_text("utf-8"))}
    assert literal == {"_theme.py"}
    from scalingdb.charts import _theme

    used = {*_theme.PALETTE, *_theme.RAMP, *_theme.MORE, _theme.INK, _theme.MUTED, _theme.RULE}
    assert used | {_theme.SOFT, _theme.FAINT, _theme.BAD, _theme.MARK} <= _theme.DARK.keys()


def test_charts_import_neither_widgets_nor_a_grammar_of_addresses() -> None:
    code = (
        "import sys, scalingdb.charts, jsonschema\n"
        "print(sorted({'anywidget', 'IPython', 'rfc3987_syntax'} & set(sys.modules)))\n"
        "print(*(jsonschema.FormatChecker().conforms(text, 'iri') for text in ('http://a.b/c', 'no address')))\n"
        "import anywidget\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True False"]  # what was put off works when it is wanted


def test_a_display_in_jupyter_shows_the_specification_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[alt.JupyterChart] = []
    of_altair = alt.JupyterChart._repr_mimebundle_

    def kept(self: alt.JupyterChart, **options: Any) -> Any:
        made.append(self)
        return of_altair(self, **options)

    monkeypatch.setattr(alt.JupyterChart, "_repr_mimebundle_", kept)
    panel = alt.Chart(pl.DataFrame({"x": [1, 2]})).mark_point().encode(x="x")
    spec = alt.hconcat(panel, panel).properties(description="two panels").to_dict()
    bundle, _ = alt.renderers.get()(spec)
    assert made[0].spec == spec
    assert bundle["text/plain"] == "two panels"
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == made[0].model_id
