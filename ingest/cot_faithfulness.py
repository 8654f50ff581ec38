"""Does a model use its chain of thought? Agreement with and without one, 17 models on five sets (2026)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt, require
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

LONG, TABLE = "summary_long.csv", "regression_table.csv"
N_LONG, N_TABLE, N_MODELS = 195, 55, 17
COPY = ("Qwen/Qwen2.5-0.5B-Instruct", "aqua")
"""The one shuffled-chain row whose mean, spread and unreadable outputs equal those of the ordered chains."""
CONDITIONS = {"core_sweep": "chain", "shuffled_cot": "shuffled", "base_ablation": "chain"}
QUANTISED_BITS = 4.0

SOURCE = Source(
    source_id="cot_faithfulness",
    title="Inverse scaling of chain-of-thought faithfulness: an independent replication",
    authors="sohv (repository owner)",
    year=2026,
    repository="sohv/inverse-scaling-cot",
    upstream_commit="ab131a7fc64f79891ae6c68458476da975a1dd11",
    licence="none stated",
    redistribution="195 result rows as our own table of facts with citation",
    headline_metric="chain_match",
    n_definition="n_params",
    not_upstream=(LONG, TABLE),
    notes=(
        "Tests the claim of Lanham et al. (2023) that larger models use their chain of thought less. Metric "
        "chain_match is the share of answers after a chain that equal the answer without one: HIGHER MEANS LESS USE "
        "of the chain, although the source calls it a faithfulness proxy. Eval set '<set>:chain' is the plain "
        "condition (instruction-tuned models, and six base models), '<set>:shuffled' has the steps of the chain in "
        "random order; low and high are bootstrap intervals over questions. Metric acc on eval set '<set>' is "
        "accuracy without a chain. n_items are the 100 questions, each with 20 sampled chains. n_unparsed counts "
        "outputs without a readable answer; on '<set>:chain:direct' and '<set>:shuffled:direct' those of the answers "
        "without a chain that the agreement is taken with. Shuffling lowers the agreement of all models but one row: "
        "Qwen2.5 0.5B on AQuA equals the plain condition in mean, spread and unreadable outputs, and is flagged "
        "exact_duplicate. n_params are the nominal sizes of the names; two models (70B and 72B) are "
        "quantised to four bits (AWQ). Without control for accuracy chain_match grows with size (slope 0.220 per "
        "decade, R2 0.451 on 55 rows); with accuracy in the regression the slope is 0.048 (R2 0.956): the apparent "
        "inverse scaling is mostly a matter of accuracy. The regression table of the repository repeats these rows "
        "and is checked, not stored."
    ),
    bibtex=(
        "@misc{sohv2026cot, title={inverse-scaling-cot: replication of the scaling of chain-of-thought faithfulness}, "
        "author={sohv}, howpublished={GitHub repository}, year={2026}}"
    ),
    set_aside=(SetAside(TABLE, N_TABLE, f"the same numbers stand in {LONG}"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model; accuracy, agreement and unreadable outputs of each set and condition."""
    numbers = [
        "n_questions",
        "accuracy",
        "n_correct",
        "n_extraction_failures",
        "mean_match_fraction",
        "std_match_fraction",
        "bootstrap_ci_lower",
        "bootstrap_ci_upper",
        "n_extraction_failures_cot",
        "n_extraction_failures_no_cot",
    ]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(["model_id", "dataset_name", "experiment"], pl.String)
    rows = raw.csv(LONG, columns | dict.fromkeys(numbers, pl.Float64), rows=N_LONG)
    condition = pl.col("experiment").replace_strict(CONDITIONS, default=None)
    rows = rows.with_columns(
        name="model_id",
        run_id=pl.concat_str(pl.lit("cot_faithfulness/"), pl.col("model_id")),
        eval_set=pl.concat_str([pl.col("dataset_name"), condition], separator=":", ignore_nulls=True),
    )
    _check(raw, rows)
    fields = [
        {"raw_field": "accuracy", "metric": "acc", "unit": "fraction"},
        {"raw_field": "mean_match_fraction", "metric": "chain_match", "unit": "fraction"},
        {"raw_field": "std_match_fraction", "metric": "chain_match_sd", "unit": "fraction"},
        {"raw_field": "n_extraction_failures", "metric": "n_unparsed", "unit": "count"},
        {"raw_field": "n_extraction_failures_cot", "metric": "n_unparsed", "unit": "count"},
        {"raw_field": "n_extraction_failures_no_cot", "metric": "n_unparsed", "unit": "count"},
    ]
    keep = ["run_id", "eval_set", "n_items", "low", "high", "raw_file", "raw_row"]
    rows = rows.rename({"n_questions": "n_items", "bootstrap_ci_lower": "low", "bootstrap_ci_upper": "high"})
    is_copy = (pl.col("run_id") == f"cot_faithfulness/{COPY[0]}") & (pl.col("eval_set") == f"{COPY[1]}:shuffled")
    is_mean = pl.col("metric") == "chain_match"
    evals = melt(rows, keep, fields).with_columns(
        low=pl.when(is_mean).then("low"),
        high=pl.when(is_mean).then("high"),
        eval_set=pl.when(pl.col("raw_field") == "n_extraction_failures_no_cot")
        .then(pl.concat_str("eval_set", pl.lit(":direct")))
        .otherwise("eval_set"),
        split=pl.lit("all"),
        value_origin=pl.lit("reported"),
        flag=pl.when(is_copy).then(pl.lit("exact_duplicate")),
        flag_reason=pl.when(is_copy).then(
            pl.lit(
                "mean, spread and unreadable outputs equal those of the ordered chains (to 15 digits); set aside here, "
                "because shuffling changes every other row"
            )
        ),
    )
    name = pl.col("name")
    runs = (
        rows.select("run_id", "name")
        .unique(maintain_order=True)
        .select(
            "run_id",
            study=pl.lit("cot_faithfulness"),
            model_name="name",
            model_id=model_id(name),
            family=pl.when(name.str.contains("(?i)llama")).then(pl.lit("llama-3")).otherwise(pl.lit("qwen2.5")),
            architecture=pl.lit("decoder"),
            n_params=name.str.extract(r"-(\d+(?:\.\d+)?)B").cast(pl.Float64) * 1e9,
            is_instruct=name.str.contains("Instruct"),
            precision_weight_bits=pl.when(name.str.contains("AWQ")).then(QUANTISED_BITS),
        )
    )
    return {"runs": conform("runs", runs, "cot_faithfulness"), "evals": conform("evals", evals, "cot_faithfulness")}


def _check(raw: RawFolder, rows: pl.DataFrame) -> None:
    """The regression table repeats the long one, and one shuffled result repeats the ordered one."""
    table = raw.csv(
        TABLE,
        {"model_id": pl.String, "dataset_name": pl.String}
        | dict.fromkeys(["faithfulness_proxy", "accuracy_no_cot", "size_b"], pl.Float64),
        rows=N_TABLE,
    )
    key = ["model_id", "dataset_name"]
    core = rows.filter(pl.col("experiment") == "core_sweep")
    joined = table.join(core.select(*key, "mean_match_fraction"), on=key, how="left").join(
        rows.filter(pl.col("experiment") == "accuracy").select(*key, "accuracy"), on=key, how="left"
    )
    same = (pl.col("faithfulness_proxy") == pl.col("mean_match_fraction")) & (
        pl.col("accuracy_no_cot") == pl.col("accuracy")
    )
    share = (pl.col("n_correct") / pl.col("n_questions") - pl.col("accuracy")).abs() > 1e-12
    shuffled = rows.filter(pl.col("experiment") == "shuffled_cot").join(core, on=key, suffix="_core")
    equal = shuffled.filter(
        (pl.col("mean_match_fraction") == pl.col("mean_match_fraction_core"))
        & ((pl.col("std_match_fraction") - pl.col("std_match_fraction_core")).abs() < 1e-12)
        & (pl.col("n_extraction_failures_cot") == pl.col("n_extraction_failures_cot_core"))
    )
    require(
        f"cot_faithfulness, {LONG!r}",
        models=(rows["model_id"].n_unique(), N_MODELS),
        regression_rows_that_differ=(joined.filter(same.not_().fill_null(value=True)).height, 0),
        accuracies_that_are_not_shares=(rows.filter(share).height, 0),
        shuffled_rows_equal_to_ordered_ones=(equal.select(key).rows(), [COPY]),
    )
