"""Labels of trends: known shapes, published regressions, error rates, bad input, and the charts that show them."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.trends import _tests
from scalingdb.trends._panel import empirical_logits

ROOT = Path(__file__).resolve().parents[1]

SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "improves": lambda x: 0.3 + 0.4 * x,
    "worsens": lambda x: 0.7 - 0.4 * x,
    "u_shaped": lambda x: 0.4 + 1.6 * (x - 0.5) ** 2,
    "inverted_u": lambda x: 0.8 - 1.6 * (x - 0.5) ** 2,
    "flat": lambda x: 0.5 + 0 * x,
}


def series(curve: np.ndarray, n_items: int = 2000, seed: int = 0, name: str = "a") -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    k = curve.size
    return pl.DataFrame(
        {
            "name": [name] * k,
            "n_params": np.geomspace(1e8, 1e11, k),
            "score": rng.binomial(n_items, curve) / n_items,
            "n_items": [float(n_items)] * k,
        }
    )


def label(frame: pl.DataFrame, **options: Any) -> str:
    settings: dict[str, Any] = {"x": "n_params", "y": "score", "bootstrap": 0} | options
    return str(sdb.trends.classify(frame, **settings)["label"].item())


@pytest.fixture(scope="module")
def prize(db: sdb.Warehouse) -> pl.DataFrame:
    """The 768 scores that the paper on Pythia's inverse scaling analyses."""
    return db.sql(
        """
        select task, metric, n_params, n_tokens, step, n_shots, unit, score, std_error from scores
        where source_id = 'emergent_inabilities' and metric <> 'acc_norm'
        """
    )


# ---- known shapes --------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", SHAPES)
def test_a_clear_shape_gets_its_label(wanted: str) -> None:
    assert label(series(SHAPES[wanted](np.linspace(0, 1, 12)))) == wanted


@pytest.mark.parametrize(
    ("wanted", "mirrored"), [("improves", "worsens"), ("u_shaped", "inverted_u"), ("flat", "flat")]
)
def test_a_metric_where_lower_is_better_mirrors_the_label(wanted: str, mirrored: str) -> None:
    frame = series(SHAPES[wanted](np.linspace(0, 1, 12)))
    assert label(frame, higher_is_better=False) == mirrored
    # the metrics table knows it
    assert label(frame.with_columns(metric=pl.lit("error_rate"))) == mirrored
    assert label(frame.with_columns(metric=pl.lit("acc"))) == wanted


def test_effect_interval_and_turn_are_about_right() -> None:
    x = np.linspace(0, 1, 12)
    falling = sdb.trends.classify(series(0.7 - 0.4 * x), x="n_params", y="score").row(0, named=True)
    assert falling["effect"] == pytest.approx(-0.4, abs=0.03)
    assert -0.45 < falling["effect_low"] < falling["effect"] < falling["effect_high"] < -0.35
    assert falling["probability"] > 0.95
    turning = sdb.trends.classify(series(SHAPES["u_shaped"](x)), x="n_params", y="score").row(0, named=True)
    assert turning["reversal_low"] <= 1.001 * 10**9.5
    assert turning["reversal_high"] >= 0.999 * 10**9.5  # the middle of 1e8 to 1e11
    assert turning["before"] < -0.2
    assert turning["after"] > 0.2
    assert turning["best_model"] in {"quadratic", "one_break"}
    assert "U-shaped over 12 sizes" in turning["sentence"]


def test_the_interval_of_the_effect_covers() -> None:
    x = np.linspace(0, 1, 8)
    many = pl.concat(series(0.6 - 0.2 * x, 300, seed, str(seed)) for seed in range(300))
    found = sdb.trends.classify(many, x="n_params", y="score", by="name", bootstrap=200)
    covered = ((found["effect_low"] < -0.2) & (found["effect_high"] > -0.2)).mean()
    assert 0.88 <= float(covered) <= 1.0  # 95 % nominal; averaging over models costs a little


def test_more_items_and_sizes_detect_smaller_effects() -> None:
    x4, x12 = np.linspace(0, 1, 4), np.linspace(0, 1, 12)
    few, many = (
        float(
            np.median(
                [
                    sdb.trends.classify(series(0.5 + 0 * x, n, seed), x="n_params", y="score", bootstrap=0)[
                        "detectable_effect"
                    ].item()
                    for seed in range(40)
                ]
            )
        )
        for x, n in ((x4, 100), (x12, 3000))
    )
    assert few > 5 * many


def test_short_series_are_inconclusive_and_say_what_could_have_been_seen() -> None:
    row = sdb.trends.classify(series(np.array([0.50, 0.52, 0.47, 0.49]), 200), x="n_params", y="score").row(
        0, named=True
    )
    assert row["label"] == "inconclusive"
    assert "would have been detected with power 0.8" in row["sentence"]
    assert row["detectable_effect"] > 0.05


def test_the_detectable_effect_has_the_power_it_claims() -> None:
    """Series that fall by what one series calls detectable are found in about 80 % of cases."""
    x = np.linspace(0, 1, 8)
    rng = np.random.default_rng(5)
    t = np.tile(x - x.mean(), (1, 1))
    batch = _tests.Batch(t, np.full((1, 8), 400.0), _tests.Dispersion(np.zeros(1), fixed=1.0))
    still = batch.run(np.zeros((1, 1, 8)))
    needed = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    slope = needed * float(still.slope_se[0, 0])
    drawn = -slope * t[:, None, :] + rng.standard_normal((1, 4000, 8)) / 20
    found = batch.run(drawn)
    assert ((found.p_slope < 0.05) & (found.slope < 0)).mean() == pytest.approx(0.8, abs=0.03)


def test_series_do_not_depend_on_row_order_or_on_each_other() -> None:
    x = np.linspace(0, 1, 8)
    frame = pl.concat(series(curve(x), 500, i, name) for i, (name, curve) in enumerate(SHAPES.items()))
    options: dict[str, Any] = {"x": "n_params", "y": "score", "by": "name", "bootstrap": 0, "multiplicity": None}
    whole = sdb.trends.classify(frame, **options)
    assert whole.equals(sdb.trends.classify(frame.sample(fraction=1, shuffle=True, seed=1), **options))
    alone = pl.concat(
        sdb.trends.classify(frame.filter(pl.col("name") == name), **options) for name in sorted(frame["name"].unique())
    )
    assert whole.drop("sentence").equals(alone.drop("sentence"), null_equal=True)


def test_the_bootstrap_is_reproducible() -> None:
    frame = series(0.6 - 0.1 * np.linspace(0, 1, 6), 300)
    first, second, other = (
        sdb.trends.classify(frame, x="n_params", y="score", rng=seed)["effect_low"].item() for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


# ---- the tests behind the labels, against SciPy and statsmodels ----------------------------------


def test_mann_kendall_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for k in (4, 6, 9, 15):
        z = rng.standard_normal((20, k))
        _, p = _tests.mann_kendall(z)
        wanted = [stats.kendalltau(np.arange(k), row, method="exact").pvalue for row in z]
        assert p == pytest.approx(wanted, abs=1e-12)


def test_mann_kendall_with_ties_is_conservative() -> None:
    z = np.array([[3.0, 3.0, 2.0, 1.0, 0.5, 0.1]])
    score, p = _tests.mann_kendall(z)
    assert score[0] == -14
    assert p[0] >= stats.kendalltau(np.arange(6), z[0], method="asymptotic").pvalue


def test_isotonic_fits_are_those_of_scipy() -> None:
    from scipy.optimize import isotonic_regression

    rng = np.random.default_rng(1)
    z, w = rng.standard_normal((30, 9)), rng.uniform(0.2, 3, (30, 9))
    wanted = [(wi * (zi - isotonic_regression(zi, weights=wi).x) ** 2).sum() for zi, wi in zip(z, w, strict=True)]
    assert _tests.isotonic_rss(z, w) == pytest.approx(wanted, rel=1e-9)


def test_models_are_those_of_statsmodels_weighted_least_squares() -> None:
    from statsmodels.regression.linear_model import WLS

    rng = np.random.default_rng(2)
    t, z, w = np.sort(rng.uniform(-1, 1, (5, 9)), 1), rng.standard_normal((5, 9)), rng.uniform(0.5, 4, (5, 9))
    found = _tests.Batch(t, w, _tests.Dispersion(np.zeros(5))).run(z[:, None, :])
    for i in range(5):
        line = WLS(z[i], np.column_stack([np.ones(9), t[i]]), weights=w[i]).fit()
        curve = WLS(z[i], np.column_stack([np.ones(9), t[i], t[i] ** 2]), weights=w[i]).fit()
        assert found.slope[i, 0] == pytest.approx(line.params[1])
        assert found.p_slope[i, 0] == pytest.approx(line.pvalues[1])
        assert found.rss["quadratic"][i, 0] == pytest.approx((w[i] * curve.resid**2).sum())
        hinge = np.maximum(t[i] - found.turn[i, 0], 0)
        broken = WLS(z[i], np.column_stack([np.ones(9), t[i], hinge]), weights=w[i]).fit()
        assert found.rss["one_break"][i, 0] == pytest.approx((w[i] * broken.resid**2).sum())
        assert (found.left[i, 0], found.right[i, 0]) == pytest.approx((broken.params[1], broken.params[1:].sum()))
        # AICc of Hurvich and Tsai: three parameters, the variance among them
        wanted = 9 * np.log((w[i] * line.resid**2).sum() / 9) + 6 + 24 / 5
        assert found.aicc["linear"][i, 0] == pytest.approx(wanted)


def test_two_lines_are_two_separate_regressions_that_share_their_scatter() -> None:
    rng = np.random.default_rng(3)
    t = np.linspace(-1, 1, 9)[None, :]
    z = (np.abs(t) + 0.05 * rng.standard_normal((1, 9)))[:, None, :]
    found = _tests.Batch(t, np.ones((1, 9)), _tests.Dispersion(np.zeros(1))).run(z)
    at = found.two_lines_at[0, 0]
    left, right = int(np.floor(at)), int(np.ceil(at))
    values, place = z[0, 0], t[0]
    p = []
    for here, there in (
        (slice(None, left + 1), slice(left + 1, None)),
        (slice(right, None), slice(None, right)),
    ):
        design = np.zeros((9, 4))
        for column, part in enumerate((here, there)):
            design[part, 2 * column], design[part, 2 * column + 1] = 1, place[part]
        coefficients, rss, *_ = np.linalg.lstsq(design, values, rcond=None)
        error = np.sqrt(rss[0] / 5 * np.linalg.inv(design.T @ design)[1, 1])
        p.append(2 * stats.t.sf(abs(coefficients[1] / error), 5))
    assert found.p_reversal[0, 0] == pytest.approx(_tests.BREAK_PENALTY * max(p))
    assert found.bend[0, 0] > 0


def test_empirical_logits_agree_with_binomial_regression() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    t = np.linspace(-1, 1, 10)
    p = 1 / (1 + np.exp(-(0.4 - 0.8 * t)))
    y = rng.binomial(1500, p) / 1500
    z, variance = empirical_logits(t[None, :], y[None, :], np.full((1, 10), 1500.0))
    found = _tests.Batch(t[None, :], 1 / variance, _tests.Dispersion(np.zeros(1), fixed=1.0)).run(z[:, None, :])
    design = np.column_stack([np.ones(10), t])
    glm = sm.GLM(np.column_stack([y * 1500, (1 - y) * 1500]), design, family=sm.families.Binomial()).fit()
    assert found.slope[0, 0] == pytest.approx(glm.params[1], abs=0.3 * glm.bse[1])
    assert found.slope_se[0, 0] == pytest.approx(glm.bse[1], rel=0.05)


def test_pooled_scatter_recovers_its_prior_and_gives_power() -> None:
    rng = np.random.default_rng(6)
    df = np.full(4000, 5.0)
    true = 2.0 * 8 / rng.chisquare(8, 4000)  # scaled inverse chi-square with 8 degrees of freedom
    prior_df, prior = _tests.squeeze(true * rng.chisquare(5, 4000), df)
    assert prior_df == pytest.approx(8, rel=0.25)
    assert prior == pytest.approx(2, rel=0.1)
    x = np.linspace(0, 1, 4)
    frame = pl.concat(series(0.55 - 0.12 * x, 400, seed, str(seed)) for seed in range(200))
    options: dict[str, Any] = {"x": "n_params", "y": "score", "by": "name", "bootstrap": 0, "multiplicity": None}
    own, pooled = (
        (sdb.trends.classify(frame, dispersion=kind, **options)["label"] == "worsens").mean()
        for kind in ("own", "pooled")
    )
    assert float(pooled) > float(own) + 0.1


def test_the_cauchy_combination_of_equal_values_is_that_value() -> None:
    p = np.array([1e-12, 1e-4, 0.02, 0.3])
    assert _tests.combined(p, p) == pytest.approx(p, rel=1e-4)
    assert np.all(_tests.combined(p, np.ones(4)) <= 2.01 * p)
    assert np.all(_tests.combined(p, np.ones(4)) > p)
    assert _tests.combined(np.array([0.7]), np.array([0.9])) == pytest.approx(0.7)


# ---- error rates ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    file = ROOT / "benchmarks" / "trend_error_rates.py"
    if not file.is_file():
        pytest.skip("the benchmarks are not installed with the package")
    spec = importlib.util.spec_from_file_location("trend_error_rates", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["trend_error_rates"] = module
    spec.loader.exec_module(module)
    return module


def test_flat_and_improving_series_are_rarely_called_harmful(benchmark: ModuleType) -> None:
    n_series = 300
    alarms = benchmark.false_alarms(n_series, np.random.default_rng(1))
    assert alarms.height == 4 * 4 * 6
    # three standard errors of a share of 5 % among 300 series, for the largest of 96 cells
    assert float(alarms["harmful"].max()) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_series)
    assert float(alarms["harmful"].mean()) < 0.03
    # the rules in use have no error rate to speak of
    assert float(alarms.filter(pl.col("truth") == "flat at 0.4")["sign of the slope"].mean()) > 0.4
    assert float(alarms.filter(pl.col("truth") == "improves late (emergent)")["quadratic sign"].mean()) > 0.9


def test_power_grows_with_the_effect_and_with_sizes(benchmark: ModuleType) -> None:
    power = benchmark.power(150, np.random.default_rng(2)).filter(pl.col("noise") == "items 1000")
    for k in benchmark.SIZES:
        curve = power.filter(pl.col("sizes") == k)["worsens"].to_list()
        assert all(b >= a - 0.05 for a, b in itertools.pairwise(curve)), curve
        assert curve[-1] > 0.9
    at = power.filter(pl.col("effect") == 0.1).sort("sizes")["worsens"].to_list()
    assert at[-1] > at[0]
    # a single cut-off that keeps its promise under every noise sees far less
    better = power.filter(pl.col("effect").is_in([0.05, 0.1]))
    assert float((better["worsens"] - better["sign of the slope, one cut-off"]).mean()) > 0.1


def test_noise_that_neighbours_share_raises_false_alarms_and_the_sentence_says_so(benchmark: ModuleType) -> None:
    table = benchmark.correlated(400, np.random.default_rng(0)).filter(pl.col("sizes") >= 8)
    rates = dict(table.group_by("correlation").agg(pl.col("worsens").mean()).iter_rows())
    assert rates[0.0] < 0.04
    assert rates[0.8] > 0.08
    independent = table.filter(correlation=0.0)["estimated correlation"]
    assert independent.abs().max() < 0.06
    found = sdb.trends.classify(series(np.linspace(0.7, 0.3, 10)), x="n_params", y="score")
    assert found["label"].item() == "worsens"
    assert "if neighbouring sizes share no noise" in found["sentence"].item()
    assert -1 <= found["serial_correlation"].item() <= 1
    short = sdb.trends.classify(series(np.linspace(0.7, 0.3, 5)), x="n_params", y="score")
    assert short["serial_correlation"].item() is None


def test_the_benchmark_refuses_too_few_series(benchmark: ModuleType) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--series", "3"])


# ---- published results ---------------------------------------------------------------------------


def test_all_published_t_statistics_to_the_printed_digits(db: sdb.Warehouse, prize: pl.DataFrame) -> None:
    """arXiv 2305.14681: 12 scores, three terms each, printed to two digits after the point."""
    found = sdb.trends.surface(prize, y="score", by=["task", "metric"])
    slug = {
        "isp_pattern_matching_suppression": "pattern_match_suppression",
        "truthfulqa_mc": "truthfulqa",
    }
    ours = {}
    for row in found.iter_rows(named=True):
        task = slug.get(row["task"], row["task"].removeprefix("isp_"))
        task += f"_{row['metric']}" if task == "truthfulqa" else ""
        term = "parameters" if row["term"] == "size" else row["term"]
        ours[f"2305.14681/{task}/{term}"] = row
    published = db.sql(
        "select claim_id, claim, value from claims "
        "where source_id = 'emergent_inabilities' and quantity = 't_statistic'"
    )
    assert published.height == 36
    assert set(published["claim_id"]) == set(ours)
    for claim in published.iter_rows(named=True):
        row = ours[claim["claim_id"]]
        assert round(row["t"], 2) == claim["value"], claim["claim_id"]
        assert row["df"] == 60
        printed = claim["claim"].split(", p")[1].split(" ")[0]  # '<0.001' or '=0.012', Benjamini-Hochberg
        if printed.startswith("<"):
            assert row["p_adjusted"] < 0.001
        else:
            assert row["p_adjusted"] == pytest.approx(float(printed[1:]), abs=0.00051)


def test_counts_of_the_abstract(prize: pl.DataFrame) -> None:
    surface = sdb.trends.surface(prize, y="score", by=["task", "metric"])
    assert surface.filter(pl.col("term") == "interaction", pl.col("t") < 0, pl.col("p_adjusted") < 0.05).height == 5
    largest = prize.filter(pl.col("n_params") == 12e9).sort("step")
    ends = largest.group_by("task", "metric").agg(first=pl.col("score").first(), last=pl.col("score").last())
    assert ends.height == 12
    assert ends.filter(pl.col("last") < pl.col("first")).height == 8


def test_agreement_with_the_chain_of_thought_follows_accuracy(db: sdb.Warehouse) -> None:
    """The repository's regressions: R2 0.451 with slope 0.220, and 0.956 with 0.048 once accuracy is held."""
    rows = db.sql(
        """
        select a.n_params, a.score as acc, c.score as chain_match
        from scores a
        join scores c on c.run_id = a.run_id and c.metric = 'chain_match' and c.task = a.task || ':chain'
        where a.source_id = 'cot_faithfulness' and a.metric = 'acc'
        """
    )
    found = sdb.trends.given(rows, x="n_params", y="chain_match", covariates="acc")
    alone, held = found.iter_rows(named=True)
    assert (alone["n_rows"], held["n_rows"]) == (55, 55)
    assert (round(alone["r_squared"], 3), round(alone["slope"], 3)) == (0.451, 0.220)
    assert (round(held["r_squared"], 3), round(held["slope"], 3)) == (0.956, 0.048)
    assert round(1 - held["slope_left"], 3) == 0.784


def test_labels_of_the_contest_tasks(prize: pl.DataFrame) -> None:
    final = prize.filter(pl.col("step") == 143000)
    found = sdb.trends.classify(final, x="n_params", y="score", by=["task", "metric"])
    labels = {(row["task"], row["metric"]): row for row in found.iter_rows(named=True)}
    assert labels["truthfulqa_mc", "mc2"]["label"] == "worsens"
    assert labels["isp_memo_trap", "acc"]["label"] == "worsens"
    assert labels["isp_into_the_unknown", "acc"]["label"] == "flat"
    # jumps between 0 and 1: no slope is claimed
    assert labels["isp_modus_tollens", "acc"]["label"] == "inconclusive"
    # sizes of the test sets, recovered from the standard errors
    assert labels["isp_hindsight_neglect", "acc"]["n_items"] == pytest.approx(315, abs=0.5)
    assert labels["truthfulqa_mc", "mc1"]["n_items"] == pytest.approx(817, abs=0.5)


def test_difficulty_groups_of_the_persian_questions_bend_as_published(db: sdb.Warehouse) -> None:
    """arXiv 2410.01692, figure 2: easy questions rise and fall, hard ones fall and rise, below the threshold."""
    rows = db.sql(
        """
        select regexp_extract(e.eval_set, ':(\\d+)_\\d+$', 1)::int as low,
               e.metric, e.unit, e.n_items, e.value, r.train_flops
        from evals e join runs r using (run_id)
        where e.eval_set like 'parsinlu_qa_mc:redist:t199.5:g10:%' and e.metric = 'brier' and r.train_flops <= 1.995e23
          and e.flag is null
        """
    )
    found = sdb.trends.classify(
        rows, x="train_flops", y="value", by="low", ties="mean", multiplicity=None, bootstrap=0
    ).sort("low")
    assert found.height == 10
    assert found["label"].to_list()[:2] == ["inverted_u", "inverted_u"]
    assert found["label"].to_list()[-2:] == ["u_shaped", "u_shaped"]


# ---- around the label ----------------------------------------------------------------------------


def test_metrics_side_by_side() -> None:
    x = np.linspace(0, 1, 8)
    frame = pl.concat(
        [
            series(0.3 + 0.4 * x).with_columns(metric=pl.lit("acc"), task=pl.lit("made by the metric")),
            series(0.3 + 0.4 * x).with_columns(metric=pl.lit("error_rate"), task=pl.lit("made by the metric")),
            series(0.3 + 0.4 * x).with_columns(metric=pl.lit("acc"), task=pl.lit("agreed")),
            series(0.7 - 0.4 * x).with_columns(metric=pl.lit("error_rate"), task=pl.lit("agreed")),
            series(0.5 + 0 * x).with_columns(metric=pl.lit("acc"), task=pl.lit("silent")),
            series(0.7 - 0.4 * x).with_columns(metric=pl.lit("error_rate"), task=pl.lit("silent")),
        ]
    ).drop("name")
    found = sdb.trends.compare_metrics(frame, x="n_params", y="score", by="task", bootstrap=0)
    assert dict(found.select("task", "verdict").iter_rows()) == {
        "made by the metric": "contradict",
        "agreed": "agree",
        "silent": "only some are conclusive",
    }
    assert found.filter(pl.col("task") == "made by the metric").select("acc", "error_rate").row(0) == (
        "improves",
        "worsens",
    )


def test_a_fit_before_the_turn_does_not_see_it() -> None:
    x = np.linspace(0, 1, 12)
    frame = series(np.where(x < 0.5, 0.3 + 0.8 * x, 0.7 - 0.8 * (x - 0.5)), 5000)
    found = sdb.trends.before_the_turn(frame, x="n_params", y="score")
    assert 4 <= found["is_fitted"].sum() <= 8
    last = found.row(-1, named=True)
    assert last["error"] > 0.3
    assert not last["is_inside"]
    assert found.filter("is_fitted")["is_inside"].all()
    with pytest.raises(DataError, match=r"12 of 12 sizes lie up to n_params = 1e\+12"):
        sdb.trends.before_the_turn(frame, x="n_params", y="score", turn=1e12)


def answers(n_items: int = 400, seed: int = 0) -> pl.DataFrame:
    """Right and wrong answers of six sizes: a tenth of the items falls, the others stay."""
    rng = np.random.default_rng(seed)
    rows = []
    for step, size in enumerate(np.geomspace(1e8, 1e10, 6)):
        p = np.full(n_items, 0.6)
        p[: n_items // 10] = 0.95 - 0.18 * step
        rows.append(
            pl.DataFrame(
                {
                    "item_id": [f"q{i:03d}" for i in range(n_items)],
                    "n_params": size,
                    "correct": (rng.random(n_items) < p).astype(float),
                }
            )
        )
    return pl.concat(rows)


def test_items_that_drive_a_decline_are_found() -> None:
    found = sdb.trends.items(answers(), x="n_params", y="correct", higher_is_better=True)
    assert found.height == 400
    assert found["share"].sum() == pytest.approx(1)
    worst = found.head(20)["item_id"].str.slice(1).cast(pl.Int64)
    assert (worst < 40).mean() > 0.6  # type: ignore[operator]
    holes = answers().filter(~((pl.col("item_id") == "q007") & (pl.col("n_params") > 9e9)))
    assert sdb.trends.items(holes, x="n_params", y="correct", higher_is_better=True)["n_left_out"][0] == 1


def test_grouping_by_difficulty_creates_no_trend() -> None:
    rng = np.random.default_rng(1)
    flat = pl.concat(
        pl.DataFrame(
            {"item_id": [f"q{i}" for i in range(600)], "n_params": size, "correct": rng.integers(0, 2, 600) * 1.0}
        )
        for size in np.geomspace(1e8, 1e10, 8)
    )
    groups = sdb.trends.by_difficulty(flat, x="n_params", y="correct", higher_is_better=True)
    assert groups.group_by("difficulty").agg(pl.col("n_items").first())["n_items"].to_list() == [200.0] * 3
    spread = groups.group_by("difficulty").agg(pl.col("correct").mean()).sort("difficulty")["correct"]
    assert spread[0] - spread[2] > 0.3  # luck alone separates the groups ...
    found = sdb.trends.classify(groups, x="n_params", y="correct", by="difficulty", bootstrap=0)
    assert not set(found["label"]) & {"improves", "worsens", "u_shaped", "inverted_u"}  # ... and bends none


def test_groups_that_cancel_each_other_are_seen() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for step, size in enumerate(np.geomspace(1e8, 1e11, 8)):
        p = np.repeat([0.95 - 0.03 * step, 0.10 + 0.03 * step], 500)
        rows.append(
            pl.DataFrame(
                {"item_id": [f"q{i}" for i in range(1000)], "n_params": size, "correct": (rng.random(1000) < p) * 1.0}
            )
        )
    frame = pl.concat(rows)
    whole = frame.group_by("n_params").agg(pl.col("correct").mean(), n_items=pl.len().cast(pl.Float64))
    assert label(whole, y="correct") == "flat"
    groups = sdb.trends.by_difficulty(frame, x="n_params", y="correct", n_groups=2, higher_is_better=True)
    found = sdb.trends.classify(groups, x="n_params", y="correct", by="difficulty", bootstrap=0).sort("difficulty")
    assert found["label"].to_list() == ["worsens", "improves"]


def test_pilot_items_where_they_are_built(db: sdb.Warehouse) -> None:
    rows = db.sql(
        """
        select i.task, i.item_id, i.metric, i.value, r.n_params from items i join runs r using (run_id)
        where i.source_id = 'inverse_scaling_pilot' and i.metric = 'answer_loss' and i.task like 'lambada_gpt%'
        """
    )
    if rows.is_empty():
        pytest.skip("inverse_scaling_pilot is not shipped: scalingdb build inverse_scaling_pilot")
    found = sdb.trends.items(rows, x="n_params", y="value", by="task")
    assert float(found["change"].mean()) > 0  # ordinary scaling: losses fall  # type: ignore[arg-type]


# ---- the scan ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_size(db: sdb.Warehouse) -> pl.DataFrame:
    return sdb.trends.scan(db, "size")


def test_the_scan_ranks_what_gets_worse(by_size: pl.DataFrame) -> None:
    assert by_size.height > 5000
    assert by_size["source_id"].n_unique() >= 10
    harmful = by_size["label"].is_in(["worsens", "u_shaped", "inverted_u"])
    assert harmful[: harmful.sum()].all()
    top = by_size.filter(harmful)
    assert top.filter(pl.col("task") == "truthfulqa_mc", pl.col("metric") == "mc2").height >= 1
    assert (top["p_adjusted"] <= 0.05).all()
    assert by_size["n_sizes"].min() >= 4  # type: ignore[operator]


def test_series_along_size_have_one_value_a_size(db: sdb.Warehouse, notices: Callable[[], list[str]]) -> None:
    rows = sdb.trends.task_series(db, "size")
    assert not rows.select("series", "x").is_duplicated().any()
    assert rows.filter(pl.col("metric") == "pct_stereotype").is_empty()
    assert any("left out" in said for said in notices())
    gadre = rows.filter(pl.col("source_id") == "gadre_overtraining")
    assert gadre["held_constant"].str.starts_with("D/N=").all()


@pytest.mark.parametrize(
    ("along", "at_least"), [pytest.param("training", 5000, marks=pytest.mark.ci), ("compute", 1000), ("inference", 1)]
)
def test_the_other_kinds_of_scaling_have_series(db: sdb.Warehouse, along: Any, at_least: int) -> None:
    rows = sdb.trends.task_series(db, along)
    assert rows["series"].n_unique() >= at_least
    if along == "training":
        assert rows.group_by("series").len()["len"].max() <= 12  # type: ignore[operator]


def test_answers_improve_with_the_tokens_spent_on_them(db: sdb.Warehouse) -> None:
    found = sdb.trends.scan(db, "inference").filter(pl.col("source_id") == "o1_inference")
    assert found["label"].to_list() == ["improves"]


def test_an_unknown_kind_of_scaling_is_refused(db: sdb.Warehouse) -> None:
    with pytest.raises(DataError, match="along='width' is unknown"):
        sdb.trends.task_series(db, "width")  # type: ignore[arg-type]


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3])
def test_fewer_than_four_sizes_are_inconclusive_with_the_reason(k: int) -> None:
    row = sdb.trends.classify(series(np.linspace(0.9, 0.1, k)), x="n_params", y="score").row(0, named=True)
    assert row["label"] == "inconclusive"
    assert f"only {k} distinct size" in row["reason"]
    assert row["p_trend"] is None
    assert "at least 4" in row["sentence"]


def test_ties_are_refused_by_name_or_averaged() -> None:
    frame = pl.concat([series(np.linspace(0.7, 0.3, 6), seed=s) for s in (0, 1)])
    with pytest.raises(DataError, match=r"series \(name='a'\) has 2 values at n_params = 1e\+08"):
        sdb.trends.classify(frame, x="n_params", y="score", by="name")
    merged = sdb.trends.classify(frame, x="n_params", y="score", by="name", ties="mean").row(0, named=True)
    assert (merged["n_sizes"], merged["n_items"], merged["label"]) == (6, 2000, "worsens")


def test_scores_at_chance_throughout_measure_nothing() -> None:
    frame = series(np.full(8, 0.25), 400, seed=1)
    row = sdb.trends.classify(frame, x="n_params", y="score", chance=0.25).row(0, named=True)
    assert row["label"] == "inconclusive"
    assert "chance" in row["reason"]
    assert abs(row["distance_to_chance"]) < 0.1
    same = sdb.trends.classify(frame.with_columns(chance_level=0.25), x="n_params", y="score").row(0, named=True)
    assert same["reason"] == row["reason"]
    away = sdb.trends.classify(frame, x="n_params", y="score", chance=0.5).row(0, named=True)
    assert away["label"] == "flat"


@pytest.mark.parametrize(("column", "values"), [("metric", ["acc", "f1"]), ("n_shots", [0, 5]), ("task", ["a", "b"])])
def test_mixtures_in_one_series_are_refused_by_name(column: str, values: list[Any]) -> None:
    frame = series(np.linspace(0.7, 0.3, 6)).with_columns(pl.Series(column, values * 3))
    with pytest.raises(DataError, match=rf"series \(name='a'\) mixes 2 values of '{column}'"):
        sdb.trends.classify(frame, x="n_params", y="score", by="name")
    both = sdb.trends.classify(frame, x="n_params", y="score", by=["name", column])
    assert both["label"].to_list() == ["inconclusive"] * 2  # three sizes each


@pytest.mark.parametrize("metric", ["acc", None])
def test_percentages_are_refused_by_name(metric: str | None) -> None:
    frame = series(np.linspace(0.7, 0.3, 6)).with_columns(pl.col("score") * 100, metric=pl.lit(metric, pl.String))
    with pytest.raises(
        DataError, match=r"(?s)series \(name='a'\): values run from .* a score is a fraction.*divide by 100"
    ):
        sdb.trends.classify(frame, x="n_params", y="score", by="name")


def test_an_unknown_direction_is_refused() -> None:
    losses = series(np.linspace(0.7, 0.3, 6)).drop("n_items").with_columns(pl.col("score") * 5)
    with pytest.raises(DataError, match="nothing says whether larger values are better"):
        sdb.trends.classify(losses, x="n_params", y="score")
    assert label(losses, higher_is_better=False) == "improves"
    assert label(losses.with_columns(metric=pl.lit("loss"), unit=pl.lit("nats_per_token"))) == "improves"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "lack a finite"),
        ({"score": float("nan")}, "lack a finite"),
        ({"n_params": 0.0}, "not positive"),
        ({"n_params": float("inf")}, "lack a finite"),
        ({"n_items": 0.0}, "not a count of test items"),
    ],
)
def test_unusable_values_are_refused_by_name(change: dict[str, float | None], message: str) -> None:
    column, value = next(iter(change.items()))
    frame = series(np.linspace(0.7, 0.3, 6)).with_columns(
        pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(value, pl.Float64)).otherwise(pl.col(column)).alias(column)
    )
    with pytest.raises(DataError, match=rf"series \(name='a'\).*{message}"):
        sdb.trends.classify(frame, x="n_params", y="score", by="name")


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0.0},
        {"level": 0.5},
        {"margin": 0.0},
        {"dispersion": "none"},
        {"dispersion": -1.0},
        {"ties": "first"},
        {"multiplicity": "guess"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    frame = pl.concat([series(np.linspace(0.7, 0.3, 6), name=name) for name in "aab"[1:]])
    frame = pl.concat([frame, frame.head(1)]) if "ties" in options else frame
    with pytest.raises(DataError, match=f"{next(iter(options))}="):
        sdb.trends.classify(frame, x="n_params", y="score", by="name", **options)


def test_missing_columns_and_empty_frames_are_refused() -> None:
    frame = series(np.linspace(0.7, 0.3, 6))
    with pytest.raises(UnknownNameError, match="unknown column 'value'"):
        sdb.trends.classify(frame, x="n_params", y="value")
    with pytest.raises(DataError, match="no rows"):
        sdb.trends.classify(frame.clear(), x="n_params", y="score")
    with pytest.raises(DataError, match="not numbers"):
        sdb.trends.classify(frame.with_columns(pl.col("score").cast(pl.String)), x="n_params", y="score")


def test_constant_and_perfect_scores_do_not_break_anything() -> None:
    for value in (0.0, 0.5, 1.0):
        row = sdb.trends.classify(series(np.full(6, value), 50).with_columns(score=value), x="n_params", y="score").row(
            0, named=True
        )
        assert row["label"] in {"flat", "inconclusive"}
        assert row["p_reversal"] == 1.0


def test_an_own_csv_takes_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("n_params,value,n_items\n1e8,0.71,1000\n1e9,0.62,1000\n1e10,0.54,1000\n1e11,0.43,1000\n")
    found = sdb.trends.classify(pl.read_csv(file), x="n_params", y="value")
    assert found["label"].item() == "worsens"
    assert found["n_items"].item() == 1000
    assert found["sentence"].item().startswith("Worsens with n_params over 4 sizes")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: sdb.trends.surface(f, y="score", tokens="n_tokens"), "does not vary"),
        (lambda f: sdb.trends.surface(f.head(3), y="score", tokens="n_items"), "does not vary"),
        (lambda f: sdb.trends.given(f.head(2), x="n_params", y="score", covariates="other"), "do not determine"),
        (
            lambda f: sdb.trends.items(
                f.with_columns(item_id=pl.lit("q")), x="n_tokens", y="score", higher_is_better=True
            ),
            "one value",
        ),
        (
            lambda f: sdb.trends.items(f.with_columns(item_id=pl.lit("q")), x="n_params", y="score"),
            "larger values are better",
        ),
        (lambda f: sdb.trends.by_difficulty(f, x="n_params", y="score", item="name", n_groups=1), "makes no groups"),
    ],
)
def test_other_analyses_refuse_what_they_cannot_answer(call: Callable[[pl.DataFrame], Any], message: str) -> None:
    frame = series(np.linspace(0.7, 0.3, 6)).with_columns(n_tokens=1e9, other=pl.Series(range(6)).cast(pl.Float64))
    with pytest.raises(DataError, match=message):
        call(frame)


# ---- charts --------------------------------------------------------------------------------------


def test_charts_are_small_and_valid(prize: pl.DataFrame) -> None:
    final = prize.filter(pl.col("step") == 143000).with_columns(name=pl.concat_str("task", "metric", separator=" "))
    final = final.drop("task", "metric")
    found = sdb.trends.classify(final, x="n_params", y="score", by="name", bootstrap=50)
    curves = sdb.trends.curves(final, x="n_params", y="score", by="name")
    assert curves.filter(pl.col("kind") == "observed").height == final.height
    turn = sdb.trends.before_the_turn(
        final.filter(pl.col("name").str.contains("redefine")), x="n_params", y="score", by="name"
    )
    wide = sdb.trends.compare_metrics(
        prize.filter(pl.col("step") == 143000), x="n_params", y="score", by="task", bootstrap=0
    )
    drawn = [
        sdb.charts.trend_gallery(curves, found, "name"),
        sdb.charts.trend_surface(prize.filter(pl.col("metric") == "acc")),
        sdb.charts.trend_scan(found, "name"),
        sdb.charts.label_matrix(wide, "task", ["acc", "mc1", "mc2"]),
        sdb.charts.unseen_turn(turn, "name"),
    ]
    for chart in drawn:
        spec = chart.to_dict()
        assert sum(len(rows) for rows in spec.get("datasets", {}).values()) < 5000
    gallery = drawn[0].to_json()
    assert '"subtitle": "worsens (' in gallery
    assert "isp_memo_trap acc" in gallery


def test_charts_refuse_what_they_cannot_draw(prize: pl.DataFrame) -> None:
    empty = pl.DataFrame(
        {"name": ["a"], "label": ["inconclusive"], "effect": [None], "effect_low": [None], "effect_high": [None]}
    )
    with pytest.raises(DataError, match="no effect to draw"):
        sdb.charts.trend_scan(empty, "name")
    with pytest.raises(DataError, match="no column 'effect'"):
        sdb.charts.trend_scan(empty.drop("effect"), "name")
    twice = pl.DataFrame(
        {
            "name": ["a", "a"],
            "label": ["flat"] * 2,
            "effect": [0.1, 0.2],
            "effect_low": [0.0] * 2,
            "effect_high": [0.3] * 2,
        }
    )
    with pytest.raises(DataError, match="names 1 rows of 2"):
        sdb.charts.trend_scan(twice, "name")
    with pytest.raises(DataError, match="too many"):
        sdb.charts.trend_surface(pl.concat([prize] * 6))


def test_a_key_with_the_name_of_a_result_is_refused() -> None:
    frame = series(np.linspace(0.7, 0.3, 6)).rename({"name": "effect"})
    with pytest.raises(DataError, match="column 'effect' of by="):
        sdb.trends.classify(frame, x="n_params", y="score", by="effect")


# ---- order never matters -------------------------------------------------------------------------

ANALYSES = {
    "classify": lambda f: sdb.trends.classify(f, x="n_params", y="score", by=["task", "metric"], ties="mean"),
    "curves": lambda f: sdb.trends.curves(f, x="n_params", y="score", by=["task", "metric"], ties="mean"),
    "compare_metrics": lambda f: sdb.trends.compare_metrics(f, x="n_params", y="score", by="task", ties="mean"),
    "before_the_turn": lambda f: sdb.trends.before_the_turn(
        f, x="n_params", y="score", by=["task", "metric"], ties="mean", turn=1e9
    ),
    "surface": lambda f: sdb.trends.surface(f, y="score", by=["task", "metric"]),
    "given": lambda f: sdb.trends.given(f, x="n_params", y="score", covariates="n_tokens", by=["task", "metric"]),
    "items": lambda f: sdb.trends.items(f.filter(metric="acc"), x="n_params", y="score", by="task"),
    "by_difficulty": lambda f: sdb.trends.by_difficulty(f.filter(metric="acc"), x="n_params", y="score", by="task"),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_the_order_of_the_rows_never_matters(name: str) -> None:
    generator = np.random.default_rng(0)
    frame = pl.DataFrame(
        [
            {"task": task, "metric": metric, "n_params": 1e8 * 3**size, "n_tokens": 1e9 * tokens, "item_id": item}
            | {"score": float(np.round(generator.uniform(0.2, 0.9), 1)), "n_items": 100.0}
            for task in "ab"
            for metric in ("acc", "brier")
            for size in range(6)
            for tokens in (1, 2)
            for item in range(4)
        ]
    )
    first, second = ANALYSES[name](frame), ANALYSES[name](frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert_frame_equal(first, second, rel_tol=1e-9, abs_tol=1e-12)
