"""Practices of fitting: synthetic families with known truth, and figures that were recomputed separately."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import scalingdb as sdb
from scalingdb import practices
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.practices import _core

LAW = sdb.get_law("chinchilla")
SIZES = (1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9)


@pytest.fixture(scope="module")
def db() -> sdb.Warehouse:
    return sdb.connect()


def family(
    name: str, *, noise: float = 0.0, warm_up: float = 0.0, unit: str | None = None, **change: float
) -> pl.DataFrame:
    """Curves of six sizes to 2e11 tokens; a warm-up adds a bump that dies away over the first tenth."""
    generator = np.random.default_rng(sum(map(ord, name)))
    tokens = np.linspace(2e9, 2e11, 60)
    params = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37} | change
    frames = []
    for size in SIZES:
        loss = LAW.function(size, tokens, **params) * np.exp(noise * generator.standard_normal(tokens.size))
        loss = loss + warm_up * np.exp(-tokens / 1e10)
        frames.append(
            pl.DataFrame({"family": name, "unit": unit or name, "run_id": f"{name}/{size:g}", "n_params": size}).join(
                pl.DataFrame({"n_tokens": tokens, "loss": loss}), how="cross"
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return pl.concat(
        [family("a", noise=1e-4), family("b", noise=1e-4, E=2.1, alpha=0.3, A=200.0), family("c", noise=1e-4, beta=0.3)]
    )


def test_a_true_law_forecasts_the_largest_model_to_the_noise(clean: pl.DataFrame) -> None:
    shown = practices.drop_first_tokens(clean, cuts=(0.0, 0.2))
    assert shown.rows["error"].max() < 5e-4  # noise is 1e-4 a row; the rest is extrapolation by a factor of two
    assert shown.rows["n_models"].unique().to_list() == [5]
    assert (shown.rows["scale_up"] == 2).all()


def test_a_warm_up_bump_is_better_left_out() -> None:
    curves = pl.concat([family(name, noise=1e-4, warm_up=0.4) for name in "abcd"])
    table = practices.drop_first_tokens(curves, cuts=(0.0, 0.3)).tidy()
    assert table["finding"].to_list() == ["baseline", "better"]
    assert table["ratio_high"][1] < 1


def test_final_losses_alone_cannot_fix_both_terms(clean: pl.DataFrame) -> None:
    shown = practices.checkpoints_or_finals(clean)
    by_arm = dict(zip(shown.tidy()["arm"], shown.tidy().iter_rows(named=True), strict=True))
    assert by_arm["final losses"]["n_fits"] == 0
    assert by_arm["final losses"]["finding"] == "no fit"
    assert shown.rows.filter(pl.col("arm") == "final losses")["problem"].str.contains("one distinct value").all()
    # E + A/N**alpha is the truth along equal tokens
    assert by_arm["final losses, law in N alone"]["error"] < 3e-3
    without = by_arm["no law: the largest small model"]
    assert without["error"] > 0.01
    assert without["finding"] == "worse"


def test_the_forecast_without_a_law_is_the_largest_small_models_loss(clean: pl.DataFrame) -> None:
    one = clean.filter(pl.col("family") == "a")
    shown = practices.checkpoints_or_finals(one).rows.filter(pl.col("verdict") == "no law")
    last = one.filter(pl.col("n_tokens") == 2e11).sort("n_params")["loss"]
    assert shown["bias"].item() == pytest.approx(last[-2] / last[-1] - 1, rel=1e-12)


def test_larger_small_models_beat_smaller_ones_when_the_law_is_wrong() -> None:
    # two powers of N: Chinchilla's single power is right only nearby
    curves = []
    for name, strength in (("a", 3e4), ("b", 6e4), ("c", 2e4), ("d", 4e4)):
        frame = family(name, noise=2e-4)
        curves.append(frame.with_columns(loss=pl.col("loss") + strength / pl.col("n_params") ** 0.7))
    shown = practices.small_models(pl.concat(curves), counts=(2, 3, 4), subsets=5)
    effect = practices.number_or_size(shown)
    distance = effect.filter(pl.col("change").str.contains("half")).row(0, named=True)
    assert distance["low"] > 1  # further away is worse
    assert effect["n_units"].to_list() == [4, 4]


def test_subsets_are_distinct_and_reproducible(clean: pl.DataFrame) -> None:
    first, second = (practices.small_models(clean, counts=(3,), subsets=4, rng=7).rows for _ in range(2))
    assert first.equals(second)
    assert first.group_by("family").len()["len"].unique().to_list() == [4]


def test_a_sibling_lends_what_one_model_cannot_know() -> None:
    curves = pl.concat(
        [
            family("a", noise=1e-4, unit="x"),
            family("a2", noise=1e-4, unit="x", E=2.0, B=1500.0),  # the same term in N
            family("b", noise=1e-4, unit="y", A=900.0, alpha=0.35),  # twice as strong
            family("c", noise=1e-4, unit="z", alpha=0.30),
        ]
    )
    shown = practices.borrow(curves, unit="unit")
    table = shown.tidy()
    error = dict(zip(table["arm"], table["error"], strict=True))
    assert error["one model, N-term of a sibling"] < 1e-3
    assert error["one model, N-term of another unit"] > 5 * error["one model, N-term of a sibling"]
    rows = shown.rows.drop_nulls("donor")
    own_unit = rows.filter(pl.col("arm") == "one model, N-term of a sibling")
    assert set(own_unit["family"]) == {"a", "a2"}
    assert (own_unit["family"] != own_unit["donor"]).all()  # nobody borrows from itself


def test_all_laws_counts_every_combination_once(clean: pl.DataFrame) -> None:
    found = practices.all_laws(clean, shares=(0.5, 1.0))
    assert found.height == 3 * 4 * 2  # families, 2 to 5 small models, moments
    assert found.select("family", "n_small", "seen").is_unique().all()
    assert set(found["outcome"]) <= {"identified", "weak", "at bound", "not identified", "not converged", "no fit"}


def test_columns_of_other_names_give_the_same_answer(clean: pl.DataFrame) -> None:
    renamed = clean.rename({"family": "f", "n_params": "N", "n_tokens": "D", "loss": "L", "run_id": "r"})
    columns = {"by": "f", "scale": "N", "tokens": "D", "output": "L", "run": "r"}
    ours = practices.drop_first_tokens(clean, cuts=(0.1,)).rows
    assert practices.drop_first_tokens(renamed, cuts=(0.1,), **columns).rows.equals(ours)  # type: ignore[arg-type]


def test_row_order_does_not_matter(clean: pl.DataFrame) -> None:
    ours = practices.drop_first_tokens(clean, cuts=(0.1,)).rows
    shuffled = practices.drop_first_tokens(clean.sample(fraction=1.0, shuffle=True, seed=1), cuts=(0.1,)).rows
    assert shuffled.equals(ours)


def test_families_of_one_unit_count_once() -> None:
    curves = pl.concat([family(name, noise=1e-4, unit=name[0]) for name in ("a1", "a2", "a3", "b1")])
    table = practices.drop_first_tokens(curves, cuts=(0.0, 0.1), unit="unit").tidy()
    assert table["n_units"].to_list() == [2, 2]
    assert table["n_fits"].to_list() == [4, 4]
    assert table["low"].null_count() == 2  # two units give no interval
    assert table["finding"][1] == "too few units"


def test_only_n_and_d_stand_for_inputs_of_those_names(clean: pl.DataFrame) -> None:
    """`vocab_loss` takes vocabulary parameters and `nmt_encdec` two sizes: neither of them is N."""
    with pytest.raises(UnknownNameError, match="unknown column 'n_params_vocabulary'"):
        practices.drop_first_tokens(clean, "vocab_loss", cuts=(0.1,))
    with pytest.raises(UnknownNameError, match="unknown column 'n_params_"):
        practices.drop_first_tokens(clean, "nmt_encdec", cuts=(0.1,))
    both = clean.with_columns(n_params_vocabulary=1e7 * (1 + pl.col("n_params").rank("dense")))
    families = _core.read(
        both,
        "vocab_loss",
        by="family",
        scale="n_params",
        tokens="n_tokens",
        output="loss",
        run="run_id",
        unit=None,
        tail=0.3,
        checkpoints=10,
    )
    assert families.inputs["n_params_vocabulary"] == "n_params_vocabulary"
    assert families.small["n_params_vocabulary"].unique().len() == 5
    missing = both.with_columns(n_params_vocabulary=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(DataError, match="n_params_vocabulary"):
        practices.drop_first_tokens(missing, "vocab_loss", cuts=(0.1,))


@pytest.mark.parametrize("seed", [1, 2])
def test_no_practice_depends_on_the_order_of_rows(clean: pl.DataFrame, seed: int) -> None:
    curves = clean.filter(pl.col("n_tokens").rank("dense").over("run_id") % 6 == 0)
    ties = pl.concat([curves, curves.filter(pl.col("n_params") == 8e8).with_columns(run_id=pl.lit("twin"))])
    mixed = ties.sample(fraction=1.0, shuffle=True, seed=seed)
    for trial in (
        lambda rows: practices.checkpoints_or_finals(rows, checkpoints=10).tidy(),
        lambda rows: practices.small_models(rows, counts=(2, 3), subsets=3).tidy(),
        lambda rows: practices.number_or_size(practices.small_models(rows, counts=(2, 3), subsets=3)),
        lambda rows: practices.borrow(rows, checkpoints=10).tidy(),
        lambda rows: practices.all_laws(rows, shares=(1.0,)).sort("family", "n_small").drop("verdict"),
        lambda rows: practices.seed_noise(rows, by=["family", "n_params", "n_tokens"]),
    ):
        assert_frame_equal(trial(mixed), trial(ties), rel_tol=1e-6, abs_tol=1e-9)
    sweep = pl.DataFrame({"rate": np.geomspace(1e-4, 1e-2, 12)}).join(
        pl.DataFrame({"batch": np.geomspace(1e5, 1e7, 12)}), how="cross"
    )
    sweep = sweep.with_columns(
        size=pl.int_range(pl.len()) % 2,
        loss=(2 + 0.01 * (pl.col("rate") / 1e-3).log() ** 2 + 0.01 * (pl.col("batch") / 1e6).log() ** 2).round(3),
        rule=pl.lit(1e-3),
    )
    shuffled = sweep.sample(fraction=1.0, shuffle=True, seed=seed)
    for table in (
        lambda rows: practices.plateau(rows, cell=["size"], knobs=["rate", "batch"]),
        lambda rows: practices.regret(rows, {"rate": "rule"}, cell=["size"]),
    ):
        assert_frame_equal(table(shuffled), table(sweep), rel_tol=1e-9)


def test_glance_and_augment_of_a_practice(clean: pl.DataFrame) -> None:
    shown = practices.drop_first_tokens(clean, cuts=(0.0, 0.2))
    row = shown.glance().row(0, named=True)
    arm = shown.tidy().row(1, named=True)
    assert (row["baseline"], row["best"]) == ("nothing left out", "first 20 %")
    assert (row["ratio"], row["finding"]) == (arm["ratio"], arm["finding"])
    assert shown.augment().equals(shown.rows)
    assert row["n_fits"] == shown.rows.height


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "nonsense"}, "nonsense"),
        ({"tail": 1.0}, "tail=1.0"),
        ({"checkpoints": 1}, "checkpoints=1"),
        ({"cuts": (1.5,)}, "1.5"),
        ({"of": "steps"}, "steps"),
    ],
)
def test_bad_input_is_refused(clean: pl.DataFrame, change: dict[str, object], message: str) -> None:
    with pytest.raises((DataError, UnknownNameError), match=message):
        practices.drop_first_tokens(clean, **change)  # type: ignore[arg-type]


def test_one_size_predicts_nothing(clean: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="two sizes"):
        practices.drop_first_tokens(clean.filter(pl.col("n_params") == 1e8))
    with pytest.raises(DataError, match="not positive"):
        practices.drop_first_tokens(clean.with_columns(loss=pl.col("loss") - 3))


# ---- figures recomputed separately -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "metric", "rows", "expected"),
    [
        # DATA_CATALOGUE, hitchhiker, "Recomputable claims": ARE over the last 30 % of the target's tokens, training
        # rows beyond 1e10 tokens, Huber 1e-3 on log residuals; printed to four digits, so half a unit of the last
        ("gpt3_curves", "loss", 5395, 0.0055),
        ("gpt3_curves", "train_loss", 4529, 0.0241),
        ("opt_curves", "perplexity", 101, 0.0191),
    ],
)
def test_catalogue_errors_reproduce(db: sdb.Warehouse, study: str, metric: str, rows: int, expected: float) -> None:
    curves = db.sql(
        "select family, run_id, n as n_params, n_tokens, if(metric = 'perplexity', ln(loss), loss) as loss "
        "from curves where source_id = 'hitchhiker' and study = $study and metric = $metric and flag is null",
        study=study,
        metric=metric,
    )
    found = practices.drop_first_tokens(curves, cuts=(1e10,), of="tokens", checkpoints=10**6).rows
    assert found["n_rows"].item() == rows
    assert found["error"].item() == pytest.approx(expected, abs=5e-5)


def test_thinning_the_curves_hardly_moves_the_answer(db: sdb.Warehouse) -> None:
    gpt3 = practices.corpus(db).filter(pl.col("unit") == "gpt3")
    full, thin = (
        practices.drop_first_tokens(gpt3, cuts=(1e10,), of="tokens", checkpoints=count).rows["error"].item()
        for count in (10**6, 50)
    )
    assert thin == pytest.approx(full, abs=2e-3)  # a fifth of a percent of the loss


def test_corpus_holds_what_it_says(db: sdb.Warehouse) -> None:
    curves = practices.corpus(db)
    sizes = curves.group_by("family").agg(pl.col("n_params").n_unique())
    assert sizes["n_params"].min() >= 3
    assert curves["family"].n_unique() == 24
    assert curves.null_count().select("loss", "n_tokens", "n_params").row(0) == (0, 0, 0)


@pytest.mark.ci  # many fits; made-up curves show the same above
def test_four_small_models_beat_two_on_real_curves(db: sdb.Warehouse) -> None:
    """More small models help (claim 2410.11840/5), with an interval that excludes no effect."""
    curves = practices.corpus(db).filter(pl.col("unit").is_in(["opt", "gpt3", "routed", "gemstones"]))
    shown = practices.small_models(curves, unit="unit", counts=(2, 4), subsets=4, checkpoints=10)
    row = shown.tidy().row(1, named=True)
    assert row["finding"] == "better"
    assert 0.1 < row["ratio"] < 0.8  # 0.36 measured; the choice of subsets moves it by a third


# ---- noise, stopping, knobs ---------------------------------------------------------------------


def test_seed_noise_recovers_the_scatter() -> None:
    generator = np.random.default_rng(3)
    runs = pl.DataFrame(
        {"size": np.repeat(np.arange(400), 4), "loss": 3 * np.exp(0.01 * generator.standard_normal(1600))}
    )
    found = practices.seed_noise(runs, by="size").row(0, named=True)
    assert found["low"] < 0.01 < found["high"]
    assert found["sd"] == pytest.approx(0.01, rel=0.05)  # 1,200 degrees of freedom: 2 % standard error
    assert found["floor"] == pytest.approx(found["sd"] * np.sqrt(2 / np.pi))
    with pytest.raises(DataError, match="no repetition"):
        practices.seed_noise(runs.with_row_index(), by="index")


def test_seeds_of_the_warehouse_scatter_by_a_fraction_of_a_percent(db: sdb.Warehouse) -> None:
    runs = db.sql(
        "select p.* from points p join runs r using (run_id) where p.source_id = 'datablations' and r.seed is not null"
    )
    found = practices.seed_noise(runs, by=["n_params", "n_tokens", "n_tokens_unique"]).row(0, named=True)
    assert (found["n_settings"], found["n_runs"]) == (16, 64)
    assert 1e-4 < found["sd"] < 0.02


def test_a_mean_stops_earlier_than_a_sum(db: sdb.Warehouse) -> None:
    fit = sdb.fit(db.points("epoch_chinchilla"), "chinchilla")
    around = {"E": (0.37, 2.7), "A": (1.0, 2e4), "B": (1.0, 2e4), "alpha": (0.1, 1.0), "beta": (0.1, 1.0)}
    shown = practices.stop_early(fit, ranges=around, n_starts=8)
    found = shown.group_by("reduction").agg(pl.col("above").min(), pl.col("iterations").sum())
    above, iterations = (dict(zip(found["reduction"], found[name], strict=True)) for name in ("above", "iterations"))
    assert shown["above"].min() > -1e-6  # nothing lies below the global minimum
    assert above["mean"] > 3 * above["sum"]  # 0.59 and 0.079 measured
    assert iterations["mean"] < 0.5 * iterations["sum"]  # 86 and 273 measured
    with pytest.raises(UnknownNameError, match="gamma"):
        practices.stop_early(fit, ranges={"gamma": (0.1, 1.0)})


def test_plateau_and_regret_on_a_known_bowl() -> None:
    rates, batches = np.geomspace(1e-4, 1e-2, 15), np.geomspace(1e5, 1e7, 15)
    frame = pl.DataFrame({"rate": rates}).join(pl.DataFrame({"batch": batches}), how="cross")
    frame = frame.with_columns(
        size=pl.lit(1.0),
        loss=2.0 * (0.004 * (pl.col("rate") / 1e-3).log() ** 2 + 0.002 * (pl.col("batch") / 1e6).log() ** 2).exp(),
    )
    found = practices.plateau(frame, cell=["size"], knobs=["rate", "batch"], within=(0.001,))
    assert found["optimum"].to_list() == pytest.approx([1e-3, 1e6], rel=1e-6)
    expected = [np.exp(np.sqrt(0.001 / 0.004)), np.exp(np.sqrt(0.001 / 0.002))]
    assert found["factor_0.1%"].to_list() == pytest.approx(expected, rel=1e-6)
    rule = frame.with_columns(rate_rule=pl.lit(rates[3]), batch_rule=pl.lit(2e7))
    cost = practices.regret(rule, {"rate": "rate_rule", "batch": "batch_rule"}, cell=["size"]).row(0, named=True)
    assert cost["rate"] == rates[3]
    assert cost["is_outside"]
    nearest = frame.filter((pl.col("rate") == rates[3]) & (pl.col("batch") == batches[-1]))["loss"].item()
    assert cost["regret"] == pytest.approx(nearest / frame["loss"].min() - 1)
    with pytest.raises(DataError, match="no knob"):
        practices.regret(rule, {})


def test_step_law_costs_a_tenth_of_a_percent(db: sdb.Warehouse) -> None:
    """Catalogue, steplaw: the nearest grid run costs 0.0975 % on average, 0.31 % at worst, over 17 cells."""
    runs = db.points("steplaw", study="dense", flagged=True)
    lr, batch = sdb.get_law("step_law"), sdb.get_law("step_law_batch")
    n, d = runs["n_params_non_embedding"].to_numpy(), runs["n_tokens"].to_numpy()
    ruled = runs.with_columns(
        lr_rule=pl.Series(lr(n, d, variant="published")), batch_rule=pl.Series(batch(d, variant="published"))
    )
    cost = practices.regret(ruled, {"learning_rate": "lr_rule", "batch_size_tokens": "batch_rule"})
    assert cost.height == 17
    # that recomputation snaps each knob in its own way; the nearest run by summed squared logarithms may differ
    assert cost["regret"].mean() == pytest.approx(0.000975, abs=2e-4)
    assert cost["regret"].max() < 0.004


# ---- charts -------------------------------------------------------------------------------------


def test_charts_of_practices_are_valid_and_small(clean: pl.DataFrame) -> None:
    cuts = practices.drop_first_tokens(clean, cuts=(0.0, 0.2))
    subsets = practices.small_models(clean, counts=(2, 3), subsets=2)
    sweep = pl.DataFrame(
        {
            "cell": ["a"] * 4,
            "learning_rate": [1e-3, 2e-3] * 2,
            "batch_size_tokens": [1e5, 1e5, 2e5, 2e5],
            "excess": 0.01,
        }
    )
    marks = sweep.head(1).with_columns(mark=pl.lit("best run"))
    shifts = pl.DataFrame({"trap": ["x", "y"], "answer": ["alpha", "beta"], "factor": [0.5, 3.0]})
    charts = {
        "arms": cuts.chart(),
        "subsets": sdb.charts.subset_errors(subsets.rows),
        "shift": sdb.charts.answer_shift(shifts),
        "sweep": sdb.charts.sweep_map(sweep, marks),
    }
    for name, chart in charts.items():
        specification = chart.to_dict(validate=True)
        assert sum(map(len, specification["datasets"].values())) < 5000, name
        assert specification["config"]["background"] == "white"
    assert charts["arms"].to_dict()["height"] == 2 * 46  # offsets would multiply a step by the number of units
    for draw in (sdb.charts.subset_errors, sdb.charts.answer_shift, sdb.charts.sweep_map):
        with pytest.raises(DataError, match="no column"):
            draw(pl.DataFrame({"nothing": [1.0]}))
    with pytest.raises(DataError, match="nothing to draw"):
        sdb.charts.practice_arms(cuts.rows.with_columns(error=pl.lit(None, pl.Float64)), cuts.tidy())


def test_a_perceptron_after_pruning() -> None:
    """Without pruning 0.5005 / a, as replica theory has it for the hyperplane of largest margin (Opper and Kinzel)."""
    table = sdb.practices.pruning_theory([300.0, 3000.0])
    assert (table["error"] * table["kept_per_param"]).to_list() == pytest.approx([0.5005, 0.5005], abs=1e-4)
    few, many = (
        {keep: sdb.practices.pruning_theory(a, 0.5, keep)["error"].item() for keep in ("hardest", "easiest")}
        for a in (1.0, 100.0)
    )
    assert few["easiest"] < few["hardest"]
    assert many["hardest"] < many["easiest"]
    half = sdb.practices.pruning_theory(2.0, [0.2, 1.0], "easiest")
    assert half["kept_per_param"].to_list() == pytest.approx([0.4, 2.0])
    assert half["error"][0] > half["error"][1] > 0


def test_a_perceptron_agrees_with_a_simulation() -> None:
    """The hyperplane of largest margin in 60 dimensions, by the dual problem, on the hardest third of the examples."""
    rng = np.random.default_rng(0)
    width, errors = 60, []
    for _ in range(6):
        x = rng.standard_normal((9 * width, width))
        x = x[np.argsort(np.abs(x[:, 0]))[: 3 * width]]
        signed = x * np.sign(x[:, [0]])
        from scipy.optimize import nnls

        # least distance of the convex hull of the signed examples from the origin
        multipliers, _ = nnls(np.vstack([1e3 * np.ones(len(signed)), signed.T]), np.r_[1e3, np.zeros(width)])
        student = multipliers @ signed
        errors.append(np.arccos(student[0] / np.linalg.norm(student)) / np.pi)
    expected = sdb.practices.pruning_theory(9.0, 1 / 3)["error"].item()
    assert np.mean(errors) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0.0,), "not positive"), ((1.0, 1.5), "not a share"), ((1.0, 0.5, "middle"), "unknown option 'middle'")],
)
def test_pruning_refuses(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(sdb.ScalingDBError, match=message):
        sdb.practices.pruning_theory(*arguments)  # type: ignore[arg-type]


def test_half_of_a_run_says_what_its_end_is() -> None:
    hours = np.geomspace(100, 1e5, 60)
    score = sdb.get_law("rl_sigmoid")(hours, R_0=0.1, A=0.6, B=1.5, C_mid=3000)
    run = pl.DataFrame({"gpu_hours": hours, "pass_rate": score + 0.003 * np.cos(3 * np.arange(60))})
    report = practices.half_run(run)
    row = report.filter(param="A").row(0, named=True)
    assert row["half_low"] < 0.6 < row["half_high"]
    end = report.filter(pl.col("param") == "prediction of the end").row(0, named=True)
    assert end["half"] == pytest.approx(end["whole"], abs=0.02)
    with pytest.raises(sdb.ScalingDBError, match="rows lie in the first 50 %"):
        practices.half_run(run.tail(8))
