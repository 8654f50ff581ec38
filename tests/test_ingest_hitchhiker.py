"""The Hitchhiker corpus: counts of every study, and one test for each trap of its files."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest

from ingest import hitchhiker
from ingest._build import SHIPPED, source_tables
from ingest._hitchhiker_tools import count_of, expect
from ingest._raw import RawFolder, find_raw_directory
from scalingdb.errors import DataError, RawFileError

NO_RAW = "no raw files: set SCALINGDB_RAW to a directory with one folder per source"

STUDIES = {
    # study: runs, evals, flagged evals
    "amber_7b": (1, 7832, 0),
    "bimix": (12, 3720, 0),
    "chinchilla": (245, 245, 245),
    "convnets": (26, 26, 5),
    "datablations_code": (9, 296, 0),
    "datablations_curves": (48, 9261, 326),
    "datablations_points": (229, 229, 229),
    "gadre": (104, 104 * (8 + 48), 104 * (8 + 48)),
    "gpt3_curves": (8, 12_097, 0),
    "gzip": (150, 64_560 + 150, 0),
    "ibm_moe": (7, 1345, 0),
    "k2_65b": (2, 9986 + 5 * (118 + 27), 0),
    "llm_zero_shot": (31, 1942, 1345 + 19),
    "mamba_3b": (1, 44_174, 0),
    "olmo": (3, 38_769, 165),
    "opt_bigbench": (6, 147 * 6, 0),
    "opt_curves": (6, 142, 0),
    "pile_t5": (4, 807, 4),
    "pythia_harness": (67 + 1 + 2, 212_107 - 451 - 240, 11_700 + 3584 + 104_768),
    "redpajama_incite": (2, 72 + 63, 0),
    "revisiting_language": (11, 1399 - 687, 0),
    "revisiting_vision": (6, 18_883, 0),
}
"""Pythia: 67 base models, one v0 run that only bias evaluations name, and two second files; of the scores,
451 exact repeats and 240 byte perplexities are not stored."""


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    directory = find_raw_directory()
    if directory is None:
        pytest.skip(NO_RAW)
    return source_tables("hitchhiker", directory)


@pytest.fixture(scope="module")
def evals(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Evaluations with the study, size and family of their run."""
    return _with_runs(tables["runs"], tables["evals"])


@pytest.fixture(scope="module")
def shipped() -> dict[str, pl.DataFrame]:
    files = {table: SHIPPED / table / "hitchhiker.parquet" for table in ("sources", "runs", "evals")}
    if not all(file.exists() for file in files.values()):
        pytest.skip("the warehouse has not been built with this source yet")
    return {table: pl.read_parquet(file) for table, file in files.items()}


def _with_runs(runs: pl.DataFrame, evals: pl.DataFrame) -> pl.DataFrame:
    columns = ("run_id", "study", "family", "model_name", "model_id", "n_params")
    return evals.join(runs.select(columns), on="run_id", how="left", maintain_order="left")


def _of(evals: pl.DataFrame, study: str, run: str | None = None) -> pl.DataFrame:
    rows = evals.filter(pl.col("study") == study)
    return rows if run is None else rows.filter(pl.col("run_id") == f"hitchhiker/{study}/{run}")


def _run(tables: dict[str, pl.DataFrame], name: str) -> dict[str, object]:
    return tables["runs"].row(by_predicate=pl.col("run_id") == f"hitchhiker/{name}", named=True)


# ---- helpers, no raw files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.8B", 2.8e9),
        ("125m", 1.25e8),
        ("1b7", 1.7e9),
        ("16.7B", 1.67e10),
        ("13.0B", 1.3e10),
        ("1T", 1e12),
        ("0.5M", 5e5),
    ],
)
def test_sizes_are_parsed(text: str, number: float) -> None:
    assert pl.select(pl.lit(text).alias("x")).select(count_of("x")).item() == number


@pytest.mark.parametrize("text", ["?", "Pile", "IBM Pile", "", "7", "B7"])
def test_what_is_no_size_becomes_null(text: str) -> None:
    assert pl.select(pl.lit(text).alias("x")).select(count_of("x")).item() is None


def test_a_wrong_count_stops_the_build_and_names_the_file() -> None:
    with pytest.raises(DataError, match=r"file\.csv.*blank rows.*found 3, expected 2"):
        expect("file.csv", "blank rows", 3, 2)


def test_sources_declare_why_485_cannot_be_reproduced() -> None:
    notes = hitchhiker.SOURCE.notes
    for name in (
        "485",
        "Amber.csv",
        "pythia.csv",
        "overtrain.csv",
        "loss_size_flops_llama_sh.npy",
        "data.csv.zst",
        "gzip",
    ):
        assert name in notes


# ---- counts ---------------------------------------------------------------------------------


def test_counts_of_every_study(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    runs = dict(tables["runs"].group_by("study").len().iter_rows())
    rows = evals.group_by("study").agg(pl.len(), flagged=pl.col("flag").count())
    found = {study: (runs[study], n, flagged) for study, n, flagged in rows.iter_rows()}
    assert found == STUDIES


def test_every_flag_has_a_reason(evals: pl.DataFrame) -> None:
    assert evals.filter(pl.col("flag").is_null() != pl.col("flag_reason").is_null()).is_empty()


def test_every_raw_file_is_used_and_every_value_says_where_it_stands(evals: pl.DataFrame) -> None:
    directory = find_raw_directory()
    folder = RawFolder(hitchhiker.SOURCE, directory)
    metadata = {"_derived/gpt3_metadata.csv"}  # sizes only, no measurement
    assert set(evals["raw_file"].unique()) == set(folder.registry) - metadata
    assert evals.select("raw_row", "raw_field").null_count().row(0) == (0, 0)


def test_values_are_those_of_the_raw_rows(evals: pl.DataFrame) -> None:
    """A value points at the record and column that it was taken from."""
    directory = find_raw_directory()
    folder = RawFolder(hitchhiker.SOURCE, directory)
    for study, file, column in (
        ("datablations_curves", "aggregated_eval/datablations_losses.csv", "loss"),
        ("bimix", "_derived/bimix_domain_losses.csv", "loss"),
        ("mamba_3b", "aggregated_eval/llm360Mamba3B.csv", "loss"),
    ):
        raw = folder.csv(file, {column: pl.Float64}).select("raw_row", raw=column)
        joined = _of(evals, study).join(raw, on="raw_row")
        assert joined.height == STUDIES[study][1]
        assert joined.filter(pl.col("value") != pl.col("raw")).is_empty()


# ---- units ----------------------------------------------------------------------------------


def test_opt_curves_undo_log10_and_keep_perplexity(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    first = _of(evals, "opt_curves", "OPT-125m").sort("step").row(0, named=True)
    assert first["n_tokens"] == 1e9
    assert first["value"] == pytest.approx(67.52265, abs=1e-5)
    assert (first["metric"], first["unit"]) == ("perplexity", "perplexity")
    run = _run(tables, "opt_curves/OPT-175b")
    assert run["n_tokens"] == 2.8e11
    assert run["train_flops"] == pytest.approx(6 * 175e9 * 2.8e11, rel=1e-9)


def test_bimix_is_in_nats_with_its_mixture(evals: pl.DataFrame) -> None:
    rows = _of(evals, "bimix")
    assert rows["unit"].unique().to_list() == ["nats_per_token"]
    assert rows["value"].max() == pytest.approx(3.7568, abs=1e-4)
    assert rows["n_tokens"].max() == 200_000 * 524_288
    shares = rows.filter(pl.col("step") == 10_000).group_by("run_id").agg(pl.col("domain_share").sum())
    assert shares["domain_share"].to_list() == pytest.approx([1.0] * 12, abs=1e-4)
    assert rows.filter(pl.col("eval_set") == "avg")["domain_share"].null_count() == 240


def test_pile_t5_keeps_only_the_perplexity_without_a_scale(
    tables: dict[str, pl.DataFrame], evals: pl.DataFrame
) -> None:
    rows = _of(evals, "pile_t5")
    assert rows.select("metric", "unit").unique().rows() == [("perplexity", "unitless")]
    assert rows.filter(pl.col("flag") == "untrained")["step"].to_list() == [0.0] * 4
    assert rows.filter(pl.col("flag").is_null())["value"].max() < 1.09
    assert _run(tables, "pile_t5/xxl")["n_params"] == 11_135_426_560
    assert _run(tables, "pile_t5/base")["d_model"] == 768


def test_revisited_losses_are_rescaled_and_examples_are_no_tokens(evals: pl.DataFrame) -> None:
    rows = _of(evals, "revisiting_language")
    assert rows["n_tokens"].null_count() == rows.height
    assert rows["n_examples"].null_count() == 0
    losses = rows.filter(pl.col("metric") == "loss")
    assert losses["unit"].unique().to_list() == ["nats_rescaled"]
    assert losses["value"].max() == pytest.approx(0.999)
    big_bench = rows.filter(pl.col("metric") == "error_rate")
    assert big_bench.height == 10 * 43
    assert sorted(big_bench["n_shots"].unique()) == [1, 2]


def test_training_column_becomes_the_split(evals: pl.DataFrame) -> None:
    language = _of(evals, "revisiting_language")["split"].value_counts()
    # 528 of the 766 fit rows are language-model points that the file holds four times
    assert dict(language.iter_rows()) == {"fit": 766 - 528 * 3 // 4, "validation": 633 - 388 * 3 // 4}
    vision = dict(_of(evals, "revisiting_vision")["split"].value_counts().iter_rows())
    assert vision == {"fit": 3902, "validation": 14_981}


@pytest.mark.parametrize(
    ("study", "run", "metric"),
    [
        ("opt_bigbench", "OPT-125m", "acc"),
        ("ibm_moe", "obsidian-17B-Pile", "acc"),
        ("k2_65b", "K2", "task_score"),
        ("amber_7b", "Amber", "task_score"),
        ("convnets", "F1-x683", "error_rate"),
    ],
)
def test_percent_scores_are_fractions_and_say_so(evals: pl.DataFrame, study: str, run: str, metric: str) -> None:
    rows = _of(evals, study, run).filter(pl.col("metric") == metric)
    assert rows["unit"].unique().to_list() == ["fraction"]
    assert 0.1 < rows["value"].max() < 1.0
    assert rows["raw_field"].str.contains("percent").all()


def test_opt_bigbench_value(evals: pl.DataFrame) -> None:
    row = _of(evals, "opt_bigbench", "OPT-125m").filter(
        (pl.col("step") == 2000) & pl.col("eval_set").str.contains("code")
    )
    assert row["value"].to_list() == [0.45]


def test_amber_perplexities_are_per_document_and_checkpoint_zero_has_no_tokens(evals: pl.DataFrame) -> None:
    rows = _of(evals, "amber_7b")
    assert rows.filter(pl.col("metric") == "perplexity")["unit"].unique().to_list() == ["perplexity_per_document"]
    assert rows.filter(pl.col("step") == 0)["n_tokens"].null_count() == rows.filter(pl.col("step") == 0).height
    assert rows["n_tokens"].max() == 1.25e12


def test_word_perplexities_are_not_token_perplexities(evals: pl.DataFrame) -> None:
    rows = evals.filter(pl.col("eval_set").is_in(["lambada_openai", "wikitext"]) & (pl.col("metric") == "perplexity"))
    assert rows["unit"].unique().to_list() == ["perplexity_per_word"]


# ---- tokens ---------------------------------------------------------------------------------


def test_gpt3_splits_training_and_validation_in_billions_of_tokens(
    tables: dict[str, pl.DataFrame], evals: pl.DataFrame
) -> None:
    rows = _of(evals, "gpt3_curves")
    kinds = rows.group_by("metric", "eval_set").len().sort("metric").rows()
    assert kinds == [("loss", "validation", 6506), ("train_loss", "train", 5591)]
    assert rows["value_origin"].unique().to_list() == ["digitised"]
    assert 299e9 < rows["n_tokens"].max() < 301e9
    largest = _run(tables, "gpt3_curves/175b")
    assert (largest["n_params"], largest["learning_rate"], largest["batch_size_tokens"]) == (175e9, 6e-5, 3.2e6)


def test_mamba_tokens(evals: pl.DataFrame) -> None:
    last = _of(evals, "mamba_3b").sort("step").row(-1, named=True)
    assert last["step"] == 176_700
    assert last["n_tokens"] == pytest.approx(500e9 * 176_700 / 176_703)


def test_redpajama_is_digitised_billions(evals: pl.DataFrame) -> None:
    rows = _of(evals, "redpajama_incite")
    assert rows["value_origin"].unique().to_list() == ["digitised"]
    assert rows["n_tokens"].max() == pytest.approx(890.956781e9, rel=1e-6)


def test_k2_last_row_has_the_last_tokens(evals: pl.DataFrame) -> None:
    """The row with the largest Step was sorted in 265 rows too early, with too few tokens."""
    loss = _of(evals, "k2_65b", "K2").filter(pl.col("metric") == "train_loss").sort("step")
    assert loss["n_tokens"].is_sorted()
    assert loss.row(-1, named=True)["raw_row"] == 9722
    spike = _of(evals, "k2_65b", "K2-spike-1")
    assert spike.height == 5 * 27
    assert spike["n_tokens"].min() > 6e11


def test_olmo_tokens_follow_the_batch_of_each_model(tables: dict[str, pl.DataFrame]) -> None:
    assert _run(tables, "olmo/OLMo-7B")["n_tokens"] == 556_000 * 4_423_680
    assert _run(tables, "olmo/OLMo-1B")["n_tokens"] == 738_000 * 4_194_304


def test_olmo_takes_each_set_once_and_flags_doubled_rows(evals: pl.DataFrame) -> None:
    rows = _of(evals, "olmo")
    perplexities = (
        rows.filter(pl.col("metric") == "perplexity").group_by("run_id").agg(pl.col("eval_set").unique().sort())
    )
    assert {run.split("/")[-1]: sets for run, sets in perplexities.iter_rows()} == {
        "OLMo-1B": ["v2-small-pile-validation"],
        "OLMo-7B-Twin-2T": ["c4_100_domains-validation", "c4_en-validation"],
    }
    twin = rows.filter(pl.col("run_id").str.ends_with("Twin-2T") & (pl.col("eval_set") == "gab-validation")).sort(
        "step"
    )
    flagged = twin.filter(pl.col("flag") == "summed_upstream")
    assert flagged["step"].to_list() == [158_000.0 + 1000 * i for i in range(11)]
    around = twin.filter(pl.col("step").is_between(151_000, 175_000))["value"]
    assert around.max() - around.min() < 0.05  # doubled values would be 3.1 nats away


def test_pythia_v0_tokens_use_the_doubled_batch(tables: dict[str, pl.DataFrame]) -> None:
    full = 143_000 * 2_097_152
    for name in ("160m-v0", "410m-deduped-v0", "1.4b-v0", "350m-deduped", "1.3b", "70m-v0", "12b-v0", "410m", "19m"):
        assert _run(tables, f"pythia_harness/pythia-{name}")["n_tokens"] == full, name
    assert _run(tables, "pythia_harness/pythia-410m-v0")["n_steps"] == 71_500
    assert _run(tables, "pythia_harness/pythia-410m")["n_steps"] == 143_000


# ---- names and duplicates -------------------------------------------------------------------


def test_old_pythia_names_share_the_model_of_v0(tables: dict[str, pl.DataFrame]) -> None:
    ids = {
        old: _run(tables, f"pythia_harness/pythia-{old}")["model_id"] for old in ("19m", "350m", "1.3b-deduped", "6.7b")
    }
    assert ids == {
        "19m": "pythia-70m-v0",
        "350m": "pythia-410m-v0",
        "1.3b-deduped": "pythia-1.4b-deduped-v0",
        "6.7b": "pythia-6.9b-v0",
    }
    # sizes of OPT that look like old Pythia names are its own
    opt = _run(tables, "pythia_harness/opt-350m")
    assert (opt["model_id"], opt["n_params"]) == ("opt-350m", 3.5e8)
    assert _run(tables, "opt_curves/OPT-1.3b")["model_id"] == _run(tables, "pythia_harness/opt-1.3b")["model_id"]


def test_five_shot_names_are_no_runs_of_their_own(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    runs = tables["runs"].filter(pl.col("study") == "pythia_harness")
    assert runs.filter(pl.col("run_id").str.contains("shot")).is_empty()
    last = _of(evals, "pythia_harness", "pythia-12b").filter(
        (pl.col("step") == 143_000) & (pl.col("eval_set") == "lambada_openai") & (pl.col("metric") == "acc")
    )
    values = dict(last.select("n_shots", "value").iter_rows())
    assert set(values) == {0, 5}
    assert values[0] == pytest.approx(0.7046, abs=5e-5)


def test_contradictory_five_shot_files_have_no_shots(evals: pl.DataFrame) -> None:
    rows = evals.filter(pl.col("flag") == "contradictory_shots")
    assert rows["n_shots"].null_count() == rows.height
    assert set(rows["model_name"].unique()) == {
        f"pythia-{size}{d}-v0" for size in ("160m", "410m", "1.4b") for d in ("", "-deduped")
    }


def test_bias_evaluations_of_v0_do_not_reach_v1(evals: pl.DataFrame) -> None:
    """What is stored as 6.9b-deduped agrees with v0: its accuracies go to that run, under their own names."""
    v0 = _of(evals, "pythia_harness", "pythia-6.9b-deduped-v0").filter(pl.col("metric") == "acc")
    theirs = v0.filter(pl.col("eval_set").str.starts_with("winobias/")).with_columns(
        pl.col("eval_set").str.strip_prefix("winobias/")
    )
    both = theirs.join(v0.filter(pl.col("n_shots") == 0), on=["step", "eval_set"])
    assert both.height > 50
    assert (both["value"] - both["value_right"]).abs().median() < 0.01


def test_ambiguous_pairs_are_two_runs_all_flagged(evals: pl.DataFrame) -> None:
    rows = evals.filter(pl.col("flag") == "ambiguous_run")
    counts = rows.group_by("run_id").len().sort("run_id")
    assert dict(counts.iter_rows()) == {
        f"hitchhiker/pythia_harness/pythia-{name}{file}": n
        for name, n in (("1.3b", 72), ("intervention-1.4b-deduped", 1720))
        for file in ("", "-second-file")
    }


def test_families_separate_what_was_trained_differently(tables: dict[str, pl.DataFrame]) -> None:
    runs = tables["runs"]
    families = set(runs.filter(pl.col("study") == "pythia_harness")["family"])
    assert {"pythia", "pythia_deduped", "pythia_v0", "pythia_deduped_v0", "opt", "bloom"} <= families
    assert runs.filter(pl.col("study") == "datablations_curves")["family"].n_unique() == 16
    assert runs.filter(pl.col("study") == "chinchilla")["model_name"].n_unique() == 43


def test_copied_oscar_curve_is_flagged_once(evals: pl.DataFrame) -> None:
    rows = _of(evals, "datablations_curves")
    three, four = (rows.filter(pl.col("run_id").str.ends_with(f"2.8B-oscar-{n}ep")).sort("n_tokens") for n in (3, 4))
    assert three["value"].equals(four["value"])
    assert three["flag"].unique().to_list() == ["exact_duplicate"]
    assert four["flag"].null_count() == 326


def test_datablations_flops_are_left_out(tables: dict[str, pl.DataFrame]) -> None:
    runs = tables["runs"].filter(pl.col("study").is_in(["datablations_curves", "datablations_code"]))
    assert runs["train_flops"].null_count() == runs.height == 57


def test_mis_split_name_is_corrected(tables: dict[str, pl.DataFrame]) -> None:
    run = _run(tables, "datablations_points/2b855b1b25")
    assert (run["n_tokens"], run["n_tokens_unique"], run["n_epochs"]) == (55e9, 1.25e9, 44.0)
    points = tables["runs"].filter(pl.col("study") == "datablations_points")
    ratio = points["train_flops"] / (6 * points["n_params"] * points["n_tokens"])
    assert (ratio - 1).abs().max() < 1e-12
    assert points["n_tokens_unique"].n_unique() > 1  # the file claims 1.5e9 for all


def test_code_mixtures_are_neither_epochs_nor_seeds(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    runs = tables["runs"].filter(pl.col("study") == "datablations_code")
    assert runs.select("seed", "n_epochs").null_count().row(0) == (9, 9)
    assert _run(tables, "datablations_code/4.2B-c4-10pct")["corpus"] == "C4 10 %, Python 90 %"
    last = (
        _of(evals, "datablations_code", "4.2B-c4-10pct")
        .sort("n_tokens")
        .group_by("eval_set")
        .agg(pl.col("value", "domain_share").last())
    )
    assert {row[0]: row[1:] for row in last.iter_rows()} == {
        "c4": (pytest.approx(2.809719, abs=1e-6), 0.1),
        "code": (pytest.approx(0.560319, abs=1e-6), 0.9),
    }


def test_copies_of_other_sources_are_flagged(evals: pl.DataFrame) -> None:
    for study, source in (
        ("chinchilla", "epoch_chinchilla"),
        ("gadre", "gadre_overtraining"),
        ("datablations_points", "datablations"),
    ):
        rows = _of(evals, study)
        assert rows["flag"].unique().to_list() == ["duplicate_source"]
        assert rows["flag_reason"].str.contains(source).all()
    copies = _of(evals, "pythia_harness").filter(pl.col("flag") == "duplicate_source")
    assert copies["flag_reason"].str.contains("pythia_evals").all()
    original = source_tables("pythia_evals", find_raw_directory())["evals"].with_columns(
        model_name=pl.col("run_id").str.strip_prefix("pythia_evals/").replace("pythia-1b-bf16", "pythia-bf16-1b")
    )
    key = ["model_name", "step", "metric", "eval_set", "n_shots", "value"]
    assert copies.join(original, on=key, how="anti", nulls_equal=True).is_empty()
    assert copies.height == 104_768


def test_gadre_errors_and_intervals(evals: pl.DataFrame) -> None:
    rows = _of(evals, "gadre")
    losses = rows.filter(pl.col("metric") == "loss")
    assert losses.filter(~pl.col("value").is_between("low", "high")).is_empty()
    assert rows.filter(pl.col("metric") == "error_rate")["low"].count() == 0


def test_gzip_validation_loss_is_the_mean_after_training(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    rows = _of(evals, "gzip")
    final = rows.filter(pl.col("metric") == "loss")
    assert final["value_origin"].unique().to_list() == ["derived"]
    training = (
        rows.filter(pl.col("metric") == "train_loss").sort("step").group_by("run_id").agg(last=pl.col("value").last())
    )
    gap = final.join(training, on="run_id").select((pl.col("value") - pl.col("last")).abs().median()).item()
    assert gap < 0.05  # nats; one evaluation after training, not a curve
    ratios = tables["runs"].filter(pl.col("study") == "gzip")["gzip_ratio"].unique().sort()
    assert ratios.round(2).to_list() == [0.12, 0.23, 0.33, 0.45, 0.61]


def test_spreadsheet_rows_belong_to_the_model_of_their_block(evals: pl.DataFrame) -> None:
    rows = _of(evals, "llm_zero_shot")
    assert rows.filter(pl.col("model_name") == "Random").is_empty()
    first = rows.filter((pl.col("model_name") == "h1-k4") & (pl.col("step") == 1) & (pl.col("eval_set") == "hellaswag"))
    assert first["n_tokens"].unique().to_list() == [28e9]
    assert first["value"].sort().to_list() == pytest.approx([0.3368, 0.3984])
    kept = rows.filter(pl.col("flag").is_null() & (pl.col("model_name") == "LLAMA"))
    assert kept["n_tokens"].unique().to_list() == [1e12]


def test_moe_final_rows_have_no_tokens(tables: dict[str, pl.DataFrame], evals: pl.DataFrame) -> None:
    run = _run(tables, "ibm_moe/ST-h1-Pile")
    assert (run["n_params"], run["n_params_active"]) == (4e9, 3.5e8)
    last = _of(evals, "ibm_moe", "ST-h1-Pile").filter(pl.col("step") == 6)
    assert last.height > 0
    assert last["n_tokens"].null_count() == last.height


def test_chance_levels_only_where_the_options_are_fixed(evals: pl.DataFrame) -> None:
    levels = evals.filter(pl.col("study") == "pythia_harness").group_by("eval_set").agg(pl.col("chance_level").max())
    found = dict(levels.iter_rows())
    assert (found["hendrycksTest-anatomy"], found["piqa"], found["winogrande"]) == (0.25, 0.5, 0.5)
    assert found["arc_challenge"] is None
    assert found["crows_pairs_english"] is None


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hitchhiker" / "aggregated_eval" / "opt_trajectories.csv"
    file.parent.mkdir(parents=True)
    file.write_text("model_name,model_size\n", encoding="utf-8")
    with pytest.raises(RawFileError, match=r"opt_trajectories\.csv"):
        RawFolder(hitchhiker.SOURCE, tmp_path).path("aggregated_eval/opt_trajectories.csv")


# ---- shipped tables, no raw files -----------------------------------------------------------


def test_shipped_counts(shipped: dict[str, pl.DataFrame]) -> None:
    rows = _with_runs(shipped["runs"], shipped["evals"]).group_by("study").len()
    assert dict(rows.iter_rows()) == {study: n for study, (_, n, _) in STUDIES.items()}


def test_shipped_size(shipped: dict[str, pl.DataFrame]) -> None:
    size = sum(file.stat().st_size for file in SHIPPED.glob("*/hitchhiker.parquet"))
    assert size < 5_000_000


def test_shipped_lambada_grows_with_size(shipped: dict[str, pl.DataFrame]) -> None:
    """LAMBADA accuracy of the standard Pythia models after training, as their evaluations give it."""
    rows = _with_runs(shipped["runs"], shipped["evals"]).filter(
        (pl.col("family") == "pythia")
        & (pl.col("step") == 143_000)
        & (pl.col("eval_set") == "lambada_openai")
        & (pl.col("metric") == "acc")
        & (pl.col("n_shots") == 0)
        & (pl.col("flag") == "duplicate_source")  # pythia_evals holds them first-hand
    )
    found = dict(rows.sort("n_params").select("model_id", "value").iter_rows())
    expected = {
        "70m": 0.1846,
        "160m": 0.3284,
        "410m": 0.5162,
        "1b": 0.5620,
        "1.4b": 0.6161,
        "2.8b": 0.6472,
        "6.9b": 0.6728,
        "12b": 0.7046,
    }
    assert found == {f"pythia-{size}": pytest.approx(value, abs=5e-5) for size, value in expected.items()}
    assert rows.sort("n_params")["value"].is_sorted()


def test_shipped_wikitext_perplexity_and_bits_agree(shipped: dict[str, pl.DataFrame]) -> None:
    """ln(word perplexity) / (bits per byte x ln 2) is wikitext's mean word length in bytes, 5.347, for every model."""
    rows = shipped["evals"].filter((pl.col("eval_set") == "wikitext") & pl.col("run_id").str.contains("pythia_harness"))
    key = ["run_id", "step", "n_shots"]
    bits = rows.filter(pl.col("metric") == "bits_per_byte").select(*key, bits="value")
    words = rows.filter(pl.col("metric") == "perplexity").join(bits, on=key, nulls_equal=True)
    ratio = words["value"].log() / (words["bits"] * math.log(2))
    assert words.height >= 150
    assert (ratio - 5.347451).abs().max() < 1e-5
