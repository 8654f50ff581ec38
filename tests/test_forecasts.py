"""Intervals beyond the fitted rows, forecasts, and their record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import vl_convert

import scalingdb as sdb
from scalingdb.errors import DataError, FitError, OutputError, UnknownNameError
from scalingdb.fits._law_error import (
    InnerHoldouts,
    farthest_axis,
    inner_holdouts,
    log_axes,
    misses,
    offsets,
    pooled,
)

TARGET = {"n_params": 7e10, "n_tokens": 1.4e12}


def study(seed: int = 0, *, noise: float = 3e-3, bend: float = 0.0, sizes: int = 6) -> pl.DataFrame:
    """A grid of runs under Chinchilla's law, bent by what the law does not know: loss falls more slowly with size."""
    rng = np.random.default_rng(seed)
    n, ratio = (grid.ravel() for grid in np.meshgrid(np.geomspace(5e7, 3e9, sizes), np.geomspace(5, 80, 5)))
    return pl.DataFrame({"n_params": n, "n_tokens": n * ratio}).with_columns(
        loss=pl.Series(truth(n, n * ratio, bend) * np.exp(noise * rng.standard_normal(n.size)))
    )


def truth(n: np.ndarray, d: np.ndarray, bend: float) -> np.ndarray:
    plain = 1.7 + 400 * n**-0.34 + 410 * d**-0.28
    return plain * np.exp(bend * np.log(n * d / 1e16) ** 2)


def curve(seed: int = 0, rows: int = 12, *, bend: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = np.geomspace(1e18, 1e21, rows)
    loss = (1.6 + 60 * x**-0.1) * np.exp(bend * np.log(x / 1e18) ** 2 + 2e-3 * rng.standard_normal(rows))
    return pl.DataFrame({"train_flops": x, "loss": loss})


@pytest.fixture(scope="module")
def bent() -> sdb.Fit:
    return sdb.fit(study(bend=6e-4), "chinchilla")


# ---- axes and inner hold-outs --------------------------------------------------------------------


def test_compute_and_tokens_per_parameter_are_the_axes_of_a_surface(bent: sdb.Fit) -> None:
    n, d = np.array([1e9]), np.array([2e10])
    axes = log_axes(bent.law, [n, d])
    assert list(axes) == ["scale", "tokens_per_param"]
    assert np.exp(axes["scale"]) == pytest.approx(2e19)
    assert np.exp(axes["tokens_per_param"]) == pytest.approx(20)


def test_other_inputs_are_axes_of_their_own_and_signed_ones_are_none() -> None:
    law = sdb.get_law("parscale")
    axes = log_axes(law, [np.array([float(i + 2)]) for i in range(len(law.inputs))])
    assert "scale" in axes
    assert "n_streams" in axes
    signed = next(law for law in map(sdb.get_law, sdb.laws()["law"]) if law.signed_inputs and len(law.inputs) == 1)
    assert log_axes(signed, [np.array([-1.0])]) == {}


def test_a_row_lies_out_along_the_direction_in_which_it_is_farthest(bent: sdb.Fit) -> None:
    n = np.array([1e9, 7e10, 5e7, 1e6])
    d = np.array([2e10, 1.4e12, 5e7 * 4000, 2e7])
    directions, which, log_distance = farthest_axis(bent._problem, [n, d])
    assert which[0] == -1
    assert [directions[i] for i in which[1:]] == [("scale", 1), ("tokens_per_param", 1), ("scale", -1)]
    assert np.exp(log_distance[1]) == pytest.approx(9.8e22 / (3e9 * 3e9 * 80))
    assert np.exp(log_distance[2]) == pytest.approx(4000 / 80)


def test_inner_fits_see_small_rows_and_are_judged_on_larger_ones(bent: sdb.Fit) -> None:
    error, log_distance, holdout = misses(bent._estimate, "scale")
    assert (log_distance > 0).all()
    counts = np.bincount(holdout)
    assert (bent.data.height - counts > 5).all()
    # the same fit by the public door: rows below the threshold of the last hold-out
    scale = (bent.data["n_params"] * bent.data["n_tokens"]).to_numpy()
    last = int(holdout.max())
    order = np.argsort(scale)
    small = bent.data[order[: scale.size - counts[last]].tolist()]
    again = sdb.fit(small, "chinchilla")
    large = bent.data[sorted(order[scale.size - counts[last] :].tolist())]
    expected = (again.predict(large)["prediction"] / large["loss"]).log().to_numpy()
    np.testing.assert_allclose(error[holdout == last], expected, atol=3e-3)


def test_an_exact_law_has_no_past_misses_and_a_bent_one_has() -> None:
    exact = inner_holdouts(sdb.fit(study(noise=0.0), "chinchilla")._estimate)
    wrong = inner_holdouts(sdb.fit(study(noise=0.0, bend=6e-4), "chinchilla")._estimate)
    assert exact.spread < 1e-6
    assert wrong.spread > 1e-3
    assert exact.n == wrong.n > 3


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_few_rows_leave_no_inner_holdout_and_the_interval_is_the_pooled_one() -> None:
    column = {"n_tokens": "train_flops"}
    fit, fewer = (sdb.fit(curve(rows=rows, bend=3e-4), "power_offset", inputs=column) for rows in (8, 4))
    assert inner_holdouts(fit._estimate).n > 0
    assert inner_holdouts(fewer._estimate).n == 0
    far = pl.DataFrame({"train_flops": [1e23]})
    assert fit.predict(far, 0.95)["interval"].item() == "law"
    told = fewer.predict(far, 0.95).row(0, named=True)
    assert told["interval"] == "law, pooled"
    assert told["low"] < told["prediction"] < told["high"]


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_what_was_never_varied_stays_open_however_well_the_law_has_scaled() -> None:
    """Eight runs at 20 tokens per parameter say nothing about 286."""
    n = np.geomspace(5e7, 3e9, 8)
    fit = sdb.fit(pl.DataFrame({"n_params": n, "n_tokens": 20 * n, "loss": truth(n, 20 * n, 0.0)}), "chinchilla")
    told = fit.predict(pl.DataFrame({"n_params": [7e9, 7e9], "n_tokens": [2e12, 1.4e11]}), 0.95)
    assert told["high"][0] == float("inf")
    assert told["interval"][0] == "noise"
    assert np.isfinite(told["high"][1])


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_an_interval_without_an_end_is_not_narrowed() -> None:
    """As many rows as parameters: nothing is known about the scatter, or about any direction."""
    fit = sdb.fit(curve(rows=3, bend=3e-4), "power_offset", inputs={"n_tokens": "train_flops"})
    told = fit.predict(pl.DataFrame({"train_flops": [1e23]}), 0.95).row(0, named=True)
    assert told["high"] == float("inf")
    assert told["interval"] == "noise"


def test_intervals_widen_with_misses_distance_and_level_and_lean_to_the_side_of_past_misses() -> None:
    constants = pooled(2)
    distance = np.log([2.0, 100.0])

    def half(own: InnerHoldouts, level: float = 0.95) -> np.ndarray:
        low, high = offsets(constants, own, 5e-3, distance, level)
        return (high - low) / 2

    calm, wild = InnerHoldouts(5, 4.0, 0.003, 0.0), InnerHoldouts(5, 4.0, 0.03, 0.0)
    assert (half(wild) > half(calm)).all()
    assert half(calm)[1] > half(calm)[0]
    assert (half(calm, 0.5) < half(calm, 0.9)).all()
    low, high = offsets(constants, InnerHoldouts(5, 4.0, 0.01, 0.01), 5e-3, distance, 0.95)
    assert (low + high < 0).all()  # predicted too high before: the truth lies rather below
    assert (low < 0).all()
    assert (high > 0).all()


# ---- predict -------------------------------------------------------------------------------------


def test_only_rows_beyond_the_range_carry_the_error_of_the_law(bent: sdb.Fit) -> None:
    rows = pl.DataFrame({"n_params": [1e9, 7e10], "n_tokens": [2e10, 1.4e12]})
    law, noise = bent.predict(rows, 0.95), bent.predict(rows, 0.95, error="noise")
    assert law["interval"].to_list() == ["noise", "law"]
    assert noise["interval"].to_list() == ["noise", "noise"]
    assert law.row(0) == noise.row(0)
    assert law["prediction"].equals(noise["prediction"])
    width = pl.col("high") - pl.col("low")
    assert law.select(width).item(1, 0) > 2 * noise.select(width).item(1, 0)
    assert bent.predict(rows, 0.95, noise=False)["interval"].to_list() == ["parameters", "parameters"]
    assert bent.predict(rows).columns == [*rows.columns, "prediction"]


def test_plain_objectives_and_scores_get_intervals_in_their_own_unit() -> None:
    rows = curve(bend=3e-4).with_columns(score=1 / pl.col("loss") ** 3, n_items=pl.lit(500))
    column = {"n_tokens": "train_flops"}
    far = pl.DataFrame({"train_flops": [1e23]})
    first, second = (
        sdb.fit(rows, "power_offset", inputs=column, objective=objective).predict(far, 0.95).row(0, named=True)
        for objective in ("mse_log", "mse")
    )
    assert first["interval"] == second["interval"] == "law"
    assert second["high"] - second["low"] == pytest.approx(first["high"] - first["low"], rel=0.5)


def test_bad_words_and_levels_are_refused(bent: sdb.Fit) -> None:
    rows = pl.DataFrame({name: [value] for name, value in TARGET.items()})
    with pytest.raises(UnknownNameError, match="error"):
        bent.predict(rows, 0.95, error="model")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="level=95 is not between 0 and 1"):
        bent.predict(rows, 95)


@pytest.mark.parametrize("bend", [0.0, 4e-4])
def test_forecasts_hold_whether_or_not_the_law_is_right(bend: float) -> None:
    """95 % intervals at 5 to 100 times the fitted compute, in 40 simulated studies."""
    n = np.array([1e10, 3e10, 5e10])
    rows = pl.DataFrame({"n_params": n, "n_tokens": 20 * n})
    loss = truth(n, 20 * n, bend)
    inside = {"law": 0.0, "noise": 0.0}
    studies = pl.concat([study(seed, bend=bend).with_columns(study=pl.lit(seed)) for seed in range(40)])
    for item in sdb.fit_by(studies, "chinchilla", by="study").fits.values():
        for error in inside:
            told = item.predict(rows, 0.95, error=error)  # type: ignore[arg-type]
            low, high = told["low"].to_numpy(), told["high"].to_numpy()
            inside[error] += float(((low <= loss) & (loss <= high)).mean()) / 40
    assert inside["law"] >= 0.9
    if bend:
        assert inside["noise"] < 0.7  # what the interval without the law's own error is worth here


def test_the_order_of_rows_does_not_matter(bent: sdb.Fit) -> None:
    rows = pl.DataFrame({name: [value] for name, value in TARGET.items()})
    shuffled = sdb.fit(bent.data.sample(fraction=1, shuffle=True, seed=3), "chinchilla")
    first, second = (item.predict(rows, 0.95).row(0, named=True) for item in (bent, shuffled))
    assert second["low"] == pytest.approx(first["low"], rel=1e-5)
    assert second["high"] == pytest.approx(first["high"], rel=1e-5)


def test_rows_without_weight_are_absent(bent: sdb.Fit) -> None:
    odd = pl.DataFrame({"n_params": [1e12, 1e4], "n_tokens": [1e14, 1e5], "loss": [9.0, 0.1]})
    padded = pl.concat([bent.data.with_columns(w=pl.lit(1.0)), odd.with_columns(w=pl.lit(0.0))])
    item = sdb.fit(padded, "chinchilla", weights="w")
    rows = pl.DataFrame({name: [value] for name, value in TARGET.items()})
    first, second = (entry.predict(rows, 0.95).row(0, named=True) for entry in (bent, item))
    assert second["interval"] == "law"
    assert second["low"] == pytest.approx(first["low"], rel=1e-5)
    assert second["high"] == pytest.approx(first["high"], rel=1e-5)
    assert inner_holdouts(item._estimate).n == inner_holdouts(bent._estimate).n


# ---- forecast ------------------------------------------------------------------------------------


def test_a_forecast_takes_the_law_with_the_smallest_past_error() -> None:
    told = sdb.forecast(study(), TARGET, laws=["kaplan_lnd", "chinchilla"])
    assert told.law == "chinchilla"
    assert told.candidates["law"].to_list() == ["chinchilla", "kaplan_lnd"]
    assert told.candidates["past_error"].is_sorted()
    row = told.tidy().row(0, named=True)
    assert row["low"] < row["prediction"] < row["high"]
    assert row["low"] < float(truth(np.array([7e10]), np.array([1.4e12]), 0.0)[0]) < row["high"]
    assert row["distance"] == pytest.approx(9.8e22 / (3e9 * 3e9 * 80))
    assert row["direction"] == "compute, upward"
    assert told.glance()["n_laws"].item() == 2
    assert "chinchilla predicts" in repr(told)
    assert "<table>" in told._repr_html_()
    assert told.past()["distance"].min() > 1  # type: ignore[operator]
    title = " ".join(told.chart().to_dict()["title"]["text"])
    assert re.fullmatch(rf"chinchilla predicts \S+ \(.* to .*\) at {row['distance']:.3g} times the fitted range", title)
    svg = vl_convert.vegalite_to_svg(told.chart().to_dict(), allowed_base_urls=[])
    assert svg.startswith("<svg")
    assert "NaN" not in svg


def test_a_forecast_along_one_input_tries_laws_in_one_variable() -> None:
    told = sdb.forecast(curve(rows=16), {"train_flops": [1e22, 1e23]})
    assert set(told.candidates["law"]) == {"power_offset", "power", "m3", "hestness_curve"}
    assert told.tidy()["direction"].unique().to_list() == ["train_flops, upward"]
    width = (told.tidy()["high"] - told.tidy()["low"]).to_list()
    assert width[1] > width[0]


def test_a_law_that_cannot_be_fitted_is_listed_with_the_reason() -> None:
    told = sdb.forecast(study(sizes=2)[:6], TARGET, laws=["farseer", "kaplan_lnd"])
    failed = told.candidates.filter(law="farseer").row(0, named=True)
    assert told.law == "kaplan_lnd"
    assert "cannot fix" in failed["problem"]
    with pytest.raises(FitError, match="cannot fix"):
        sdb.forecast(study(sizes=2)[:6], TARGET, laws="farseer")


def test_bad_requests_say_what_is_wrong() -> None:
    with pytest.raises(DataError, match="1 of 2 targets lie within the fitted range, the first at n_params=1e"):
        sdb.forecast(study(), {"n_params": [7e10, 1e9], "n_tokens": [1.4e12, 2e10]}, laws="chinchilla")
    with pytest.raises(DataError, match="nothing to forecast from"):
        sdb.forecast(study().clear(), TARGET)
    with pytest.raises(DataError, match="no target"):
        sdb.forecast(study(), {})
    with pytest.raises(DataError, match="no target"):
        sdb.forecast(study(), study().clear())
    with pytest.raises(DataError, match="'n_params' has 2 values where another column has 3"):
        sdb.forecast(study(), {"n_params": [7e10, 8e10], "n_tokens": [1e12, 2e12, 3e12]})
    with pytest.raises(DataError, match="level=95"):
        sdb.forecast(study(), TARGET, level=95)
    with pytest.raises(DataError, match="which laws take"):
        sdb.forecast(study(), {"a": 1.0, "b": 2.0})


def test_a_law_without_a_size_is_refused() -> None:
    @sdb.law(
        "only_rate",
        cite="none",
        inputs=("rate", "momentum"),
        output="loss",
        params={"E": sdb.positive, "A": sdb.positive},
    )
    def only_rate(rate, momentum, *, E, A):  # type: ignore[no-untyped-def]
        """Loss against two knobs."""
        return E + A * rate * momentum

    rows = pl.DataFrame({"rate": [0.1, 0.2, 0.3, 0.5], "momentum": [0.9, 0.8, 0.7, 0.5], "loss": [2.0, 2.1, 2.3, 2.4]})
    with pytest.raises(DataError, match="'only_rate' takes no size"):
        sdb.forecast(rows, {"rate": 1.0, "momentum": 0.99}, laws="only_rate")


# ---- record --------------------------------------------------------------------------------------


@pytest.fixture
def told() -> sdb.Forecast:
    return sdb.forecast(study(), {"n_params": [7e10, 2e11], "n_tokens": [1.4e12, 4e12]}, laws="chinchilla")


def test_a_registered_forecast_is_scored_when_its_outcome_is_known(told: sdb.Forecast, tmp_path: Path) -> None:
    file = told.register(tmp_path)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["data_sha256"] == told.fit.recipe.data_sha256
    assert content["forecasts"][0]["prediction"] == told.tidy()["prediction"][0]
    assert told.register(tmp_path) == file
    assert len(list(tmp_path.iterdir())) == 1
    open_record = sdb.track_record(path=tmp_path)
    assert open_record.tidy()["observed"].null_count() == 2
    outcomes = pl.DataFrame({"n_params": [7.0001e10, 1e9], "n_tokens": [1.4e12, 2e10], "loss": [2.02, 3.0]})
    scored = sdb.track_record(outcomes, tmp_path)
    first, second = scored.tidy().iter_rows(named=True)
    assert first["observed"] == 2.02
    assert first["is_inside"] is (first["low"] <= 2.02 <= first["high"])
    assert first["relative_error"] == pytest.approx(first["prediction"] / 2.02 - 1)
    assert first["winkler"] >= first["high"] - first["low"]
    assert second["observed"] is None
    summary = scored.glance().row(0, named=True)
    assert (summary["n_registered"], summary["n_scored"]) == (2, 1)
    assert "2 registered, 1 scored" in repr(scored)
    assert "<table>" in scored._repr_html_()


def test_a_miss_costs_its_width_and_forty_times_its_distance(told: sdb.Forecast, tmp_path: Path) -> None:
    told.register(tmp_path)
    row = told.tidy().row(0, named=True)
    outcome = pl.DataFrame({"n_params": [7e10], "n_tokens": [1.4e12], "loss": [row["high"] + 0.1]})
    scored = sdb.track_record(outcome, tmp_path).tidy().row(0, named=True)
    assert scored["is_inside"] is False
    assert scored["winkler"] == pytest.approx(row["high"] - row["low"] + 4.0)


def test_a_forecast_of_warehouse_rows_finds_its_outcome_in_the_warehouse(db: sdb.Warehouse, tmp_path: Path) -> None:
    rows = db.points("farseer")
    scale = pl.col("train_flops_6nd")
    small = rows.filter(scale < rows["train_flops_6nd"].max() / 20)
    target = rows.sort("train_flops_6nd").tail(1)
    column = sdb.fit(small, "chinchilla").recipe.columns["n_params"]
    at = {column: target[column].item(), "n_tokens": target["n_tokens"].item()}
    told = sdb.forecast(small, at, laws="chinchilla")
    told.register(tmp_path)
    assert sdb.track_record(path=tmp_path).tidy()["observed"].item() == pytest.approx(target["loss"].item())


def test_a_changed_or_foreign_file_is_refused(told: sdb.Forecast, tmp_path: Path) -> None:
    file = told.register(tmp_path)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"level": 0.95', '"level": 0.5'), encoding="utf-8")
    with pytest.raises(DataError, match="changed after it was registered"):
        sdb.track_record(path=tmp_path)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="not a registered forecast"):
        sdb.track_record(path=tmp_path)


def test_forecasts_that_cannot_be_read_are_told(told: sdb.Forecast, tmp_path: Path) -> None:
    file = told.register(tmp_path)
    assert sdb.track_record(path=tmp_path / "none yet").tidy().is_empty()
    for place in (file, tmp_path / ("x" * 5000), tmp_path / "a\0b"):
        with pytest.raises(DataError, match="folder of registered forecasts cannot be read"):
            sdb.track_record(path=place)
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match=r"json cannot be read"):
        sdb.track_record(path=tmp_path)


def test_outcomes_need_the_columns_of_the_forecast(told: sdb.Forecast, tmp_path: Path) -> None:
    told.register(tmp_path)
    with pytest.raises(DataError, match="no column 'loss'"):
        sdb.track_record(pl.DataFrame({"n_params": [7e10], "n_tokens": [1.4e12]}), tmp_path)


def test_a_folder_that_cannot_be_made_is_reported(told: sdb.Forecast, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot register"):
        told.register(tmp_path / "taken")


def test_registered_forecasts_are_kept_beside_the_users_own_sources(
    told: sdb.Forecast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALINGDB_LOCAL", str(tmp_path))
    assert told.register().parent == tmp_path / "forecasts"
    assert sdb.track_record().tidy().height == 2
