"""Sources that carry scaling runs: row counts, traps, and published numbers that follow from the rows.

Counts and traps were taken from the raw files themselves; published numbers name their place. Tests
that need raw files skip, saying so, where no raw directory is at hand.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import least_squares

from ingest import emergent_inabilities, farseer, gadre_overtraining, steplaw
from ingest._build import load_source, source_tables
from ingest._raw import RawFolder
from scalingdb.errors import DataError
from scalingdb.schema import EVIDENCE

KEY = ["run_id", "step", "metric", "eval_set", "split", "n_shots"]

# source -> rows of runs, rows of evals, rows set aside
COUNTS = {
    "farseer": (411, 2 * 411, 2 * 4),
    "gadre_overtraining": (104 + 435, 104 * 8 + 104 * 46 + 435, 0),
    "steplaw": (1911 + 708, 2 * (1911 + 708), 2 * 181),
    "emergent_inabilities": (8, 1408, 0),
}


@cache
def _tables(source_id: str, directory: Path) -> dict[str, pl.DataFrame]:
    return source_tables(source_id, directory)


def _runs(source_id: str, directory: Path) -> pl.DataFrame:
    return _tables(source_id, directory)["runs"]


def _evals(source_id: str, directory: Path) -> pl.DataFrame:
    return _tables(source_id, directory)["evals"]


def _points(source_id: str, directory: Path, metric: str, eval_set: str) -> pl.DataFrame:
    """Runs joined with one of their losses."""
    losses = _evals(source_id, directory).filter((pl.col("metric") == metric) & (pl.col("eval_set") == eval_set))
    return _runs(source_id, directory).join(losses.drop("source_id", "n_tokens"), on="run_id")


def _fit(source_id: str, law: str, variant: str) -> dict[str, float]:
    """Declared coefficients."""
    source, _ = load_source(source_id)
    (fit,) = (f for f in source.published_fits if (f.law, f.variant) == (law, variant))
    return dict(fit.params)


# ---- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source_id", COUNTS)
def test_counts_keys_and_flags(source_id: str, raw_directory: Path) -> None:
    runs, evals, set_aside = COUNTS[source_id]
    tables = _tables(source_id, raw_directory)
    assert tables["runs"].height == runs
    assert tables["evals"].height == evals
    assert not tables["evals"].select(KEY).is_duplicated().any()
    flagged = tables["evals"].filter(pl.col("flag").is_not_null())
    assert flagged.height == set_aside
    assert flagged["flag_reason"].null_count() == 0


@pytest.mark.parametrize("source_id", COUNTS)
def test_every_run_is_measured_and_no_machine_is_named(source_id: str, raw_directory: Path) -> None:
    tables = _tables(source_id, raw_directory)
    assert set(tables["runs"]["run_id"]) == set(tables["evals"]["run_id"])
    for frame in tables.values():
        for column in frame.select(pl.col(pl.String)).iter_columns():
            assert not column.str.contains(r"s3://|/home|/admin|/mnt|/fsx|https?://\S*@").any(), column.name


@pytest.mark.parametrize("source_id", COUNTS)
def test_headline_metric_and_eval_set_exist(source_id: str, raw_directory: Path) -> None:
    source, _ = load_source(source_id)
    evals = _evals(source_id, raw_directory)
    assert source.headline_metric in set(evals["metric"])
    assert source.headline_eval_set is None or source.headline_eval_set in set(evals["eval_set"])
    assert source.n_definition is not None
    headline_runs = evals.filter(pl.col("metric") == source.headline_metric)["run_id"]
    known = _runs(source_id, raw_directory).filter(pl.col("run_id").is_in(headline_runs.implode()))
    if source.headline_eval_set == "c4_val":
        known = known.filter(pl.col("study") == "gadre_overtraining")
    assert known[source.n_definition].null_count() == 0


@pytest.mark.parametrize("source_id", ["farseer", "gadre_overtraining", "hoffmann", "kaplan", "steplaw"])
def test_one_default_set_a_law_and_every_set_is_stated(source_id: str) -> None:
    source, _ = load_source(source_id)
    for fit in source.published_fits:
        assert fit.where_stated
        assert fit.evidence in EVIDENCE
        assert set(fit.intervals) <= set(fit.params)
        assert all(low < fit.params[name] < high for name, (low, high) in fit.intervals.items())
    for law in {fit.law for fit in source.published_fits} - {"chinchilla"}:  # its default is Epoch's replication
        assert sum(fit.is_default for fit in source.published_fits if fit.law == law) == 1


# ---- farseer -------------------------------------------------------------------------------------


def _farseer_law(points: pl.DataFrame, p: dict[str, float]) -> np.ndarray:
    n, d = points["n_params_non_embedding"].to_numpy(), points["n_tokens"].to_numpy()
    slope = np.exp(p["a1"] * n ** p["alpha"] + p["b1"])
    return np.exp(p["a3"] * n ** p["gamma"] + p["b3"]) + np.exp(p["a2"] * n ** p["beta"] + p["b2"]) * d**-slope


@pytest.fixture
def farseer_points(raw_directory: Path) -> pl.DataFrame:
    return _points("farseer", raw_directory, "bits_per_character", "english_validation")


def test_farseer_grid(farseer_points: pl.DataFrame) -> None:
    fit = farseer_points.filter(pl.col("split") == "fit")
    assert (fit.height, farseer_points.filter(pl.col("split") == "validation").height) == (404, 7)
    assert fit["n_params_non_embedding"].n_unique() == 25
    assert farseer_points.select("n_params_non_embedding", "n_tokens").n_unique() == 407
    assert farseer_points["value"].is_between(0.438, 0.7095).all()
    # with embeddings: two untied matrices of 65,536 rows
    embeddings = farseer_points["n_params"] - farseer_points["n_params_non_embedding"]
    assert (embeddings == 131_072 * farseer_points["d_model"]).all()


def test_farseer_two_outputs_are_two_metrics(raw_directory: Path) -> None:
    evals = _evals("farseer", raw_directory)
    units = evals.group_by("metric", "eval_set", "unit").len().sort("metric").rows()
    assert units == [
        ("bits_per_character", "english_validation", "bits_per_character", 411),
        ("train_loss", "train", "nats_per_token", 411),
    ]


def test_farseer_duplicates_are_flagged_once(farseer_points: pl.DataFrame) -> None:
    flagged = farseer_points.filter(pl.col("flag") == "exact_duplicate")
    assert sorted(flagged["n_params_non_embedding"]) == [956354688, 1125938688, 4504118400, 6369572352]
    kept = farseer_points.filter(pl.col("flag").is_null())
    assert not kept.select("n_params_non_embedding", "n_tokens").is_duplicated().any()
    key = ["n_params_non_embedding", "n_tokens", "value"]
    twins = flagged.select(*key, "flag_reason").join(kept.select(*key, raw_row_right="raw_row"), on=key)
    assert twins.height == 4
    assert [f"record {row} " in reason for row, reason in twins.select("raw_row_right", "flag_reason").rows()] == [
        True
    ] * 4


def test_farseer_unmarked_duplicate_is_refused(raw_directory: Path) -> None:
    columns = {"run_id": pl.String, "split": pl.String, "is_exact_duplicate": pl.Boolean, "bpc_en": pl.Float64}
    raw = RawFolder(farseer.SOURCE, raw_directory)
    merged = raw.csv(farseer.MERGED, columns | dict.fromkeys(farseer.NUMBERS, pl.Float64))
    with pytest.raises(DataError, match="3 row"):
        # the last of the four copies loses its mark
        last = merged.filter("is_exact_duplicate")["raw_row"].max()
        farseer._with_duplicates(
            merged.with_columns(is_exact_duplicate=pl.col("is_exact_duplicate") & (pl.col("raw_row") != last))
        )


def test_farseer_disagreement_of_the_two_copies_names_the_record(raw_directory: Path) -> None:
    raw = RawFolder(farseer.SOURCE, raw_directory)
    merged = raw.csv(farseer.MERGED, dict.fromkeys(farseer.NUMBERS, pl.Float64))
    copy = raw.csv(farseer.COPY, dict.fromkeys(farseer.NUMBERS.values(), pl.Float64))
    farseer._check_agreement(merged, copy)
    with pytest.raises(DataError, match=r"disagree in 1 record\(s\) of the first \(17\)"):
        changed = pl.when(pl.col("raw_row") == 17).then(pl.col("peak_lr") * 2).otherwise("peak_lr")
        farseer._check_agreement(merged.with_columns(peak_lr=changed), copy)


def test_farseer_flops_survive_beyond_64_bit_integers(farseer_points: pl.DataFrame) -> None:
    # 2e22 exceeds 2**63: read or multiplied as integers, these 356 products wrap around
    assert farseer_points["train_flops"].max() == pytest.approx(2.0211814655e22, rel=1e-9)
    ratio = farseer_points["flops_per_token"] * farseer_points["n_tokens"] / farseer_points["train_flops"]
    assert (ratio - 1).abs().max() < 0.005  # train_flops is stored with three digits


@pytest.mark.parametrize(
    ("label", "published"),
    # arXiv 2506.10972, figure 2a (project page): number of fit points for sizes up to the label, N > 2e8
    [("1.9", 250), ("2.3", 264), ("2.7", 279), ("3.2", 292), ("3.8", 305), ("4.5", 318), ("5.4", 329)],
)
def test_farseer_published_point_counts_include_duplicates(
    label: str, published: int, farseer_points: pl.DataFrame
) -> None:
    n = pl.col("n_params_non_embedding")
    fitted = farseer_points.filter((pl.col("split") == "fit") & (n > 2e8))
    # the labels are sizes rounded to 0.1B
    assert fitted.filter((n / 1e9).round(1) <= float(label)).height == published


def test_farseer_341_rows_are_337_runs(farseer_points: pl.DataFrame) -> None:
    fitted = farseer_points.filter((pl.col("split") == "fit") & (pl.col("n_params_non_embedding") > 2e8))
    assert (fitted.height, fitted.filter(pl.col("flag").is_null()).height) == (341, 337)


def test_farseer_published_law_reproduces_the_six_printed_errors(farseer_points: pl.DataFrame) -> None:
    held_out = farseer_points.filter(pl.col("split") == "validation").sort("n_params_non_embedding", "n_tokens")
    error = 100 * np.abs(
        _farseer_law(held_out, _fit("farseer", "farseer", "published")) / held_out["value"].to_numpy() - 1
    )
    # sizes 2.27B (not in the figure), 2.70B, 3.82B, 5.35B (215B and 431B tokens), 6.37B, 25.1B; figure 3 prints
    # 0.33, 0.65, 0.26, 0.72, 0.53, 0.47 %. Half a unit of the third decimal of our own recomputation.
    assert error == pytest.approx([0.380, 0.329, 0.646, 0.257, 0.718, 0.532, 0.473], abs=5e-4)
    assert np.round(error[1:], 2).tolist() == [0.33, 0.65, 0.26, 0.72, 0.53, 0.47]
    assert error[1:].mean() == pytest.approx(0.493, abs=5e-4)  # printed 0.50


def test_farseer_three_digits_are_too_few(farseer_points: pl.DataFrame) -> None:
    fitted = farseer_points.filter((pl.col("split") == "fit") & (pl.col("n_params_non_embedding") > 2e8))
    errors = {}
    for variant in ("published", "printed"):
        law = _farseer_law(fitted, _fit("farseer", "farseer", variant))
        errors[variant] = 100 * np.abs(law / fitted["value"].to_numpy() - 1).mean()
    # 0.176 % is the error of the paper's own law on these rows; the printed digits are fourteen times worse
    assert errors["published"] == pytest.approx(0.176, abs=5e-4)
    assert errors["printed"] == pytest.approx(2.514, abs=5e-3)


# ---- gadre_overtraining --------------------------------------------------------------------------


def _gadre_law(n: np.ndarray, d: np.ndarray, p: dict[str, float]) -> np.ndarray:
    ratio = d / n
    return p["E"] + (p["a"] * ratio ** p["eta"] + p["b"] * ratio ** -p["eta"]) * (6 * n * d) ** -p["eta"]


def test_gadre_models(raw_directory: Path) -> None:
    runs = _runs("gadre_overtraining", raw_directory)
    models = runs.filter(pl.col("study") == "gadre_overtraining")
    assert models.group_by("family").len().sort("family").rows() == [("c4", 34), ("redpajama", 35), ("refinedweb", 35)]
    sizes = [10569312, 78914048, 153677376, 411616256, 1439795200, 6889410560]
    assert sorted(models["n_params"].unique()) == sizes
    # D = 20 m N with the Chinchilla multiplier m, in all 104
    multiplier = models["n_tokens"] / (20 * models["n_params"])
    assert set(multiplier.to_list()) == {0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0}
    # the one cell that the grid lacks: C4, 412M, m = 32
    cell = models.filter((pl.col("family") == "c4") & (pl.col("n_params") == 411616256))
    assert (cell["n_tokens"] / (20 * cell["n_params"])).max() == 16.0
    # the shape is stated in the name of the small models only
    assert models.filter(pl.col("d_model").is_null())["n_params"].unique().sort().to_list() == sizes[-2:]
    assert runs.filter(pl.col("study") == "gadre_grid").height == 435


def test_gadre_parameters_without_embedding_still_count_the_head(raw_directory: Path) -> None:
    models = _runs("gadre_overtraining", raw_directory).filter(
        pl.col("d_model").is_not_null() & pl.col("n_params").is_not_null()
    )
    # one matrix of 50,432 rows is left out, not two: calling this non-embedding would be wrong by 6.5 times at 11M
    assert ((models["n_params"] - models["n_params_with_head"]) / models["d_model"]).unique().to_list() == [50_432.0]
    assert models["n_params_non_embedding"].null_count() == models.height


def test_gadre_placeholder_batch_is_null(raw_directory: Path) -> None:
    models = _runs("gadre_overtraining", raw_directory).filter(pl.col("study") == "gadre_overtraining")
    missing = models.filter(pl.col("batch_size_tokens").is_null())
    assert missing["n_params"].to_list() == [6889410560.0] * 3
    assert set(models["batch_size_tokens"].drop_nulls()) == {64 * 2048.0, 256 * 2048.0, 512 * 2048.0}


def test_gadre_eight_losses_with_intervals(raw_directory: Path) -> None:
    losses = _evals("gadre_overtraining", raw_directory).filter(
        (pl.col("metric") == "loss") & (pl.col("eval_set") != "unstated")
    )
    assert losses.group_by("eval_set").len().sort("eval_set").rows() == [
        (name, 104)
        for name in (
            "c4_val",
            "openlm",
            "paloma_c4_en",
            "paloma_dolma_100_programing_languages",
            "paloma_falcon-refinedweb",
            "paloma_ptb",
            "paloma_redpajama",
            "val_de-en_100",  # named by its folder it would be "de-en", a language pair
        )
    ]
    assert (losses["low"] <= losses["value"]).all()
    assert (losses["value"] <= losses["high"]).all()


def test_gadre_grid_stays_out_of_the_headline(raw_directory: Path) -> None:
    evals = _evals("gadre_overtraining", raw_directory)
    headline = evals.filter((pl.col("metric") == "loss") & (pl.col("eval_set") == "c4_val"))
    assert headline.height == 104
    trials = evals.filter(pl.col("run_id").str.contains("/grid/"))
    assert set(trials["eval_set"]) == {"unstated"}
    assert (trials["value"].min(), trials["value"].max()) == pytest.approx((2.470096, 5.351876), abs=1e-6)


def test_gadre_baselines_are_fractions_and_items_fit_the_scores(raw_directory: Path) -> None:
    scores = _evals("gadre_overtraining", raw_directory).filter(pl.col("metric") == "acc")
    assert scores["eval_set"].n_unique() == 46
    assert set(scores["chance_level"]) == {0.0, 0.25, 0.5}  # stated as 0, 25 and 50 percent
    assert set(scores["n_shots"]) == {0, 3, 5, 10}
    # every plain accuracy is a count over n_items; arc_challenge is so only with the corrected number.
    # Four scores are means over categories. The files hold 32-bit floats: 1e-7 x 38,160 items = 0.004.
    plain = scores.filter(~pl.col("eval_set").is_in(["jeopardy", "mmlu", "mmlu_zeroshot", "bbq"]))
    hits = plain["value"] * plain["n_items"]
    assert (hits - hits.round()).abs().max() < 0.01
    assert scores.filter(pl.col("eval_set") == "arc_challenge")["n_items"].unique().to_list() == [1172.0]


def test_gadre_correction_stops_once_upstream_mends_the_file(raw_directory: Path) -> None:
    raw = RawFolder(gadre_overtraining.SOURCE, raw_directory)
    table = raw.csv(gadre_overtraining.METADATA, {"Eval Task": pl.String, "#datapoints": pl.Float64})
    (fix,) = gadre_overtraining.CORRECTIONS
    assert table.row(fix.row - 1, named=True)["Eval Task"] == "arc_challenge"
    with pytest.raises(DataError, match="if upstream mended the value"):
        raw.correct(raw.correct(table, [fix]), [fix])


@pytest.mark.parametrize(
    ("family", "big", "biggest"),
    # relative error in percent on the over-trained 1.4B and on the 6.9B model: outputs stored in the authors' notebook
    [("redpajama", 0.7103, 0.7320), ("c4", 1.498, 4.295), ("refinedweb", 0.005, 1.619)],
)
def test_gadre_refits_predict_as_published(family: str, big: float, biggest: float, raw_directory: Path) -> None:
    points = _points("gadre_overtraining", raw_directory, "loss", "c4_val").filter(pl.col("family") == family)
    n, d, loss = (points[name].to_numpy() for name in ("n_params", "n_tokens", "value"))
    params = _fit("gadre_overtraining", "gadre_overtrain", family)
    error = 100 * np.abs(_gadre_law(n, d, params) / loss - 1)
    over_trained = np.argmax(np.where(n == 1439795200, d, 0))
    # half a unit of the last digit quoted above
    assert error[over_trained] == pytest.approx(big, abs=5e-4)
    assert error[np.argmax(n)] == pytest.approx(biggest, abs=5e-4)
    # the authors' code fits E + a' N^-2eta + b 6^-eta D^-2eta: the same function, a = a' 6^eta
    a_code = params["a"] * 6 ** -params["eta"]
    code = (
        params["E"] + a_code * n ** (-2 * params["eta"]) + params["b"] * 6 ** -params["eta"] * d ** (-2 * params["eta"])
    )
    assert _gadre_law(n, d, params) == pytest.approx(code, rel=1e-13)
    # the stored set is the least-squares optimum of the five small runs
    small = (n < 1e9) & ((d == 20 * n) | ((n == 10569312) & (d == 320 * n)))
    assert small.sum() == 5

    def residual(theta: np.ndarray) -> np.ndarray:
        p = {"E": theta[0], "a": math.exp(theta[1]), "b": math.exp(theta[2]), "eta": theta[3]}
        return _gadre_law(n[small], d[small], p) - loss[small]

    start = np.array([params["E"], math.log(params["a"]), math.log(params["b"]), params["eta"]])
    polished = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac")
    # five points, four parameters: the valley is flat, so compare parameters at 1e-4 and the objective tightly
    assert polished.x == pytest.approx(start, rel=1e-4)
    assert np.sum(residual(start) ** 2) == pytest.approx(np.sum(polished.fun**2), rel=1e-7)


# ---- steplaw -------------------------------------------------------------------------------------


@pytest.fixture
def sweeps(raw_directory: Path) -> pl.DataFrame:
    return _points("steplaw", raw_directory, "train_loss_smoothed", "train")


def test_steplaw_groups(sweeps: pl.DataFrame) -> None:
    dense = sweeps.filter(pl.col("study") == "dense").group_by("n_params_non_embedding", "n_tokens").len()
    assert (dense.height, dense["len"].sum(), dense["len"].min(), dense["len"].max()) == (17, 1911, 47, 120)
    assert dense.filter(pl.col("len") == 47)["n_params_non_embedding"].to_list() == [1073741824.0]
    moe = sweeps.filter(pl.col("study") == "moe").group_by("family", "n_params_active").len().sort("family")
    assert moe.rows() == [
        ("moe_1in8", 590436352.0, 174),
        ("moe_1in89", 187973632.0, 180),
        ("moe_2in88", 232579072.0, 180),
        ("moe_3in8", 1241270272.0, 174),
    ]


def test_steplaw_parameters_exclude_embeddings(sweeps: pl.DataFrame) -> None:
    dense = sweeps.filter(pl.col("study") == "dense")
    weights = dense["n_layers"] * (4 * dense["d_model"] ** 2 + 3 * dense["d_model"] * dense["d_ff"])
    assert (weights == dense["n_params_non_embedding"]).all()
    assert sweeps["n_params"].null_count() == sweeps.height
    moe = sweeps.filter(pl.col("study") == "moe")
    assert (moe["n_params_active"] < moe["n_params_non_embedding"]).all()
    # FLOPs per token count active weights and attention over 2,048 positions
    flops = 6 * moe["n_params_active"] + 12 * moe["n_layers"] * moe["d_model"] * 2048
    assert (flops == moe["flops_per_token"]).all()


def test_steplaw_diverged_runs_are_flagged_and_kept(sweeps: pl.DataFrame) -> None:
    diverged = sweeps.filter(pl.col("flag") == "diverged")
    assert diverged.height == 181
    assert set(diverged["study"]) == {"dense"}
    assert diverged["value"].min() > 4.17  # nothing between 3.16 and 4.17: the threshold 3.5 is not delicate
    assert sweeps.filter(pl.col("flag").is_null())["value"].max() < 3.16
    assert sweeps.filter(pl.col("value") > 10).height == 2


def test_steplaw_two_losses_differ(raw_directory: Path) -> None:
    evals = _evals("steplaw", raw_directory).filter(pl.col("flag").is_null())
    wide = evals.pivot("metric", index="run_id", values="value").filter(pl.col("train_loss_smoothed").is_not_null())
    dense = wide.join(_runs("steplaw", raw_directory).filter(pl.col("study") == "dense"), on="run_id")
    gap = (dense["train_loss"] - dense["train_loss_smoothed"]).abs()
    # 0.023 and 0.127 as the source's notes say; three digits
    assert gap.mean() == pytest.approx(0.023, abs=2e-3)
    assert gap.max() == pytest.approx(0.1267, abs=5e-4)


def test_steplaw_batches_are_tokens_and_tokens_are_rounded(sweeps: pl.DataFrame) -> None:
    seen = sweeps["batch_size_tokens"] * sweeps["n_steps"]
    assert (seen / sweeps["n_tokens"] - 1).abs().max() < 0.0023
    assert (seen != sweeps["n_tokens"]).any()
    assert sweeps["batch_size_tokens"].min() == 16 * 2048
    assert sweeps["learning_rate_final"].unique().to_list() == [
        1e-5
    ]  # spelled 1e-5, 1.00e-05 and 1.00E-05 in the names


def test_steplaw_bootstrap_mean_is_that_of_the_stored_rows(raw_directory: Path) -> None:
    columns = ["lr_intercept", "lr_coefN", "lr_coefD", "bs_intercept", "bs_coefD"]
    rows = RawFolder(steplaw.SOURCE, raw_directory).csv(
        steplaw.BOOTSTRAP, dict.fromkeys(columns, pl.Float64), rows=1000
    )
    mean = {name: rows[name].mean() for name in columns}
    ends = {name: np.quantile(rows[name].to_numpy(), [0.025, 0.975]) for name in columns}
    fits = {f.law: f for f in steplaw.SOURCE.published_fits if f.variant == "bootstrap_mean"}
    rate, batch = fits["step_law"], fits["step_law_batch"]
    # declared to the last digit; 1e-12 leaves room for the order of a sum
    assert dict(rate.params) == pytest.approx(
        {"c": math.exp(mean["lr_intercept"]), "a": -mean["lr_coefN"], "b": mean["lr_coefD"]}, rel=1e-12
    )
    assert dict(batch.params) == pytest.approx({"c": math.exp(mean["bs_intercept"]), "b": mean["bs_coefD"]}, rel=1e-12)
    assert rate.intervals["c"] == pytest.approx(tuple(np.exp(ends["lr_intercept"])), rel=1e-12)
    assert rate.intervals["a"] == pytest.approx(tuple(-ends["lr_coefN"][::-1]), rel=1e-12)
    assert rate.intervals["b"] == pytest.approx(tuple(ends["lr_coefD"]), rel=1e-12)
    assert batch.intervals["c"] == pytest.approx(tuple(np.exp(ends["bs_intercept"])), rel=1e-12)
    assert batch.intervals["b"] == pytest.approx(tuple(ends["bs_coefD"]), rel=1e-12)
    # and rounds to the published digits (the second of them differs by one unit in c)
    assert rate.params["c"] == pytest.approx(1.79, abs=0.01)


@pytest.mark.parametrize(("variant", "mean_penalty"), [("published", 0.0957), ("bootstrap_mean", 0.0975)])
def test_steplaw_predicted_optimum_costs_a_tenth_of_a_percent(
    variant: str, mean_penalty: float, sweeps: pl.DataFrame
) -> None:
    rate, batch = _fit("steplaw", "step_law", variant), _fit("steplaw", "step_law_batch", variant)
    n, d = pl.col("n_params_non_embedding"), pl.col("n_tokens")
    far = (pl.col("learning_rate") / (rate["c"] * n ** -rate["a"] * d ** rate["b"])).log() ** 2 + (
        pl.col("batch_size_tokens") / (batch["c"] * d ** batch["b"])
    ).log() ** 2
    penalty = (
        sweeps.filter(pl.col("study") == "dense")
        .with_columns(far=far)
        .group_by("n_params_non_embedding", "n_tokens")
        .agg(penalty=100 * (pl.col("value").sort_by("far").first() / pl.col("value").min() - 1))["penalty"]
    )
    # the paper states 0.09 % (0.094 in its last version); nearest grid run in log space, median 0.067, worst 0.31 %
    assert penalty.mean() == pytest.approx(mean_penalty, abs=5e-5)
    assert penalty.median() == pytest.approx(0.067, abs=5e-4)
    assert penalty.max() == pytest.approx(0.31, abs=1e-3)


# ---- emergent_inabilities ------------------------------------------------------------------------


@pytest.fixture
def analysed(raw_directory: Path) -> pl.DataFrame:
    """The 768 scores that the paper analyses: accuracy, MC1 and MC2."""
    evals = _evals("emergent_inabilities", raw_directory).filter(pl.col("metric") != "acc_norm")
    sizes = _runs("emergent_inabilities", raw_directory).select("run_id", "model_id", "n_params")
    return evals.join(sizes, on="run_id").with_columns(
        task=pl.when(pl.col("eval_set") == "truthfulqa_mc")
        .then(pl.concat_str(pl.lit("truthfulqa_"), "metric"))
        .otherwise(pl.col("eval_set").str.strip_prefix("isp_"))
    )


def test_emergent_grid_is_complete(analysed: pl.DataFrame) -> None:
    cells = analysed.group_by("model_id", "step").agg(pl.col("task").n_unique())
    assert cells.height == 64
    assert set(cells["task"]) == {12}
    assert set(analysed["n_shots"]) == {0}
    assert (analysed["n_tokens"] == analysed["step"] * 2_097_152).all()
    assert set(analysed["model_id"]) == {
        f"pythia-{size}" for size in ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
    }


def test_emergent_metrics_are_kept_apart(raw_directory: Path) -> None:
    evals = _evals("emergent_inabilities", raw_directory)
    assert dict(evals.group_by("metric").len().rows()) == {"acc": 640, "acc_norm": 640, "mc1": 64, "mc2": 64}
    tollens = evals.filter(pl.col("eval_set") == "isp_modus_tollens").pivot(
        "metric", index=["run_id", "step"], values="value"
    )
    assert (tollens["acc"] - tollens["acc_norm"]).abs().max() > 0.5
    assert evals["chance_level"].null_count() == evals.height


def test_emergent_altered_table_is_refused(raw_directory: Path) -> None:
    columns = {"model": pl.String, "step": pl.Float64, "task": pl.String, "metric": pl.String}
    raw = RawFolder(emergent_inabilities.SOURCE, raw_directory)
    scores = raw.csv(emergent_inabilities.LONG, columns | {"value": pl.Float64, "stderr": pl.Float64})
    emergent_inabilities._check_short_table(raw, scores)
    with pytest.raises(DataError, match="1 row"):
        shifted = pl.when(pl.col("raw_row") == 1).then(pl.col("value") + 1e-6).otherwise("value")
        emergent_inabilities._check_short_table(raw, scores.with_columns(value=shifted))


# ---- coefficients without runs -------------------------------------------------------------------


@pytest.mark.parametrize(("source_id", "rows"), [("kaplan", 16), ("hoffmann", 14)])
def test_literature_sources_build_without_raw_files(source_id: str, rows: int) -> None:
    tables = source_tables(source_id, None)
    assert set(tables) == {"sources", "published_fits"}
    assert tables["published_fits"].height == rows


def test_kaplan_coefficients_imply_the_papers_overfitting_bound() -> None:
    p = _fit("kaplan", "kaplan_lnd", "kaplan")
    exponent = p["alpha_N"] / p["alpha_D"]
    # L(N, D) / L(N, infinity) - 1 = 0.02 solved for D: eq. 4.4 prints 5e3 N^0.74
    factor = p["D_c"] * p["N_c"] ** -exponent / (1.02 ** (1 / p["alpha_D"]) - 1)
    assert exponent == pytest.approx(0.74, abs=5e-3)
    assert 4.5e3 < factor < 5.6e3  # printed to one digit


@pytest.mark.parametrize(
    ("variant", "tokens_per_parameter"),
    # optimum at 5.76e23 FLOP; rounding the exponents to two digits moves it by half
    [("hoffmann", 92.6), ("hoffmann_tex", 58.9)],
)
def test_hoffmann_digits_matter(variant: str, tokens_per_parameter: float) -> None:
    p = _fit("hoffmann", "chinchilla", variant)
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    n = scale * (5.76e23 / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    assert 5.76e23 / (6 * n) / n == pytest.approx(tokens_per_parameter, abs=0.05)
    # the printed digits are the full ones, rounded
    full = _fit("hoffmann", "chinchilla", "hoffmann_tex")
    assert (round(full["E"], 2), round(full["A"], 1), round(full["B"], 1)) == (1.69, 406.4, 410.7)
    assert (round(full["alpha"], 2), round(full["beta"], 2)) == (0.34, 0.28)
