"""Pythia checkpoints on inverse-scaling tasks and TruthfulQA, zero-shot (arXiv 2305.14681).

8 model sizes x 8 checkpoints x 12 task scores; the long file adds length-normalised accuracy. The
36 t-tests of the paper are claims, not measurements.
"""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

LONG = "harness_json_long.csv"
SHORT = "all_results.tsv"
TESTS = "statistical_tests.tsv"
N_LONG, N_SHORT, N_TESTS = 1408, 768, 12
TOKENS_PER_STEP = 2_097_152
"""Batch size of all Pythia models, as the authors' analysis uses it."""

SIZES = {
    "pythia-70m": 70e6,
    "pythia-160m": 160e6,
    "pythia-410m": 410e6,
    "pythia-1b": 1e9,
    "pythia-1.4b": 1.4e9,
    "pythia-2.8b": 2.8e9,
    "pythia-6.9b": 6.9e9,
    "pythia-12b": 12e9,
}
"""Model sizes as the authors' analysis uses them: the rounded numbers of the names."""

STEPS = (2_000.0, 4_000.0, 8_000.0, 16_000.0, 32_000.0, 64_000.0, 128_000.0, 143_000.0)

SOURCE = Source(
    source_id="emergent_inabilities",
    title="Emergent Inabilities? Inverse Scaling Over the Course of Pretraining",
    authors="James A. Michaelov, Benjamin K. Bergen",
    year=2023,
    arxiv_id="2305.14681",
    repository="jmichaelov/emergent-inabilities",
    upstream_commit="eb36a6c85b852601f283c4a045221b44373fb987",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(LONG, SHORT, TESTS),
    notes=(
        "Ten multiple-choice tasks of the Inverse Scaling Prize (metrics acc and acc_norm; all but prompt injection) "
        "and TruthfulQA (metrics mc1 and mc2, eval set truthfulqa_mc), zero-shot, at eight checkpoints of eight Pythia "
        "models: a complete grid. The table file of the repository holds 768 of these 1,408 numbers (acc, mc1, mc2); "
        "the build checks that they agree. The paper analyses acc, mc1 and mc2. n_params are the rounded sizes of the "
        "model names, as in the authors' regression; n_tokens is step x 2,097,152. Chance level is null: it differs by "
        "task and the released files do not state it (most tasks offer two options; sig_figs does not behave so; MC1 "
        "and MC2 have baselines of their own). acc and acc_norm disagree strongly on modus_tollens and memo_trap. Some "
        "tasks hardly move; modus_tollens and repetitive_algebra jump with size, so that a slope fitted there is "
        "noise. Learning-rate schedules are unfinished at all checkpoints but the last. The paper's t-tests (60 "
        "residual degrees of freedom, predictors log10 of size and of tokens, all standardised; p-values after "
        "Benjamini-Hochberg) are rows of the table claims. The long file was assembled from the repository's 64 result "
        "files, so that it cannot be downloaded from one address."
    ),
    bibtex=(
        "@inproceedings{michaelov2023emergent, title={Emergent Inabilities? Inverse Scaling Over the Course of "
        "Pretraining}, author={Michaelov, James A. and Bergen, Benjamin K.}, booktitle={Findings of the Association "
        "for Computational Linguistics: EMNLP 2023}, pages={14607--14615}, year={2023}}"
    ),
    set_aside=(
        SetAside(SHORT, N_SHORT, f"the same scores stand in {LONG}"),
        SetAside(TESTS, N_TESTS, "read into claims: the t-tests of three terms"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model size, one score per checkpoint, task and metric; one claim per published t-test."""
    scores = raw.csv(
        LONG,
        {
            "model": pl.String,
            "step": pl.Float64,
            "task": pl.String,
            "metric": pl.String,
            "value": pl.Float64,
            "stderr": pl.Float64,
            "num_fewshot": pl.Int64,
        },
        rows=N_LONG,
    )
    _check_grid(scores)
    _check_short_table(raw, scores)
    run_id = pl.concat_str(pl.lit("emergent_inabilities/"), pl.col("model"))
    runs = pl.DataFrame({"model": list(SIZES), "n_params": list(SIZES.values())}).select(
        "n_params",
        run_id=run_id,
        study=pl.lit("emergent_inabilities"),
        model_name=pl.concat_str(pl.lit("EleutherAI/"), pl.col("model")),
        model_id="model",
        family=pl.lit("pythia"),
        architecture=pl.lit("decoder"),
        n_tokens=pl.lit(STEPS[-1] * TOKENS_PER_STEP),
        corpus=pl.lit("The Pile"),
        batch_size_tokens=pl.lit(float(TOKENS_PER_STEP)),
        n_steps=pl.lit(STEPS[-1]),
    )
    evals = scores.select(
        "step",
        "metric",
        "value",
        "raw_file",
        "raw_row",
        run_id=run_id,
        n_tokens=pl.col("step") * TOKENS_PER_STEP,
        eval_set="task",
        split=pl.lit("all"),
        n_shots="num_fewshot",
        unit=pl.lit("fraction"),
        std_error="stderr",
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("value"),
    )
    return {
        "runs": conform("runs", runs, "emergent_inabilities"),
        "evals": conform("evals", evals, "emergent_inabilities"),
        "claims": conform("claims", _claims(raw), "emergent_inabilities"),
    }


def _check_grid(scores: pl.DataFrame) -> None:
    """Every model at every checkpoint, with the same tasks and metrics, once, zero-shot."""
    models, steps = set(scores["model"]), set(scores["step"])
    per_cell = scores.group_by("model", "step").len()["len"].unique().to_list()
    if models != set(SIZES) or steps != set(STEPS) or per_cell != [N_LONG // (len(SIZES) * len(STEPS))]:
        raise DataError(
            f"emergent_inabilities, {LONG!r}: not the grid of {len(SIZES)} models x {len(STEPS)} checkpoints; "
            f"models {sorted(models)}, steps {sorted(steps)}, numbers per checkpoint {per_cell}"
        )
    if scores["num_fewshot"].unique().to_list() != [0]:
        raise DataError(f"emergent_inabilities, {LONG!r}: scores that are not zero-shot")


def _check_short_table(raw: RawFolder, scores: pl.DataFrame) -> None:
    """Account for the repository's own table: each of its rows is a row of the long file.

    Raises
    ------
    DataError
        If a row has no partner or differs by more than the rounding of its printed digits.
    """
    short = raw.csv(
        SHORT,
        {
            "ModelName": pl.String,
            "ModelRevision": pl.String,
            "Task": pl.String,
            "Accuracy": pl.Float64,
            "Accuracy_SE": pl.Float64,
        },
        rows=N_SHORT,
        separator="\t",
    ).select(
        pl.col("ModelName").str.strip_prefix("EleutherAI/").alias("model"),
        pl.col("ModelRevision").str.strip_prefix("step").cast(pl.Float64).alias("step"),
        pl.col("Task").alias("name"),
        "Accuracy",
        "Accuracy_SE",
        "raw_row",
    )
    # the two TruthfulQA scores are two tasks here and two metrics of one task there
    names = (
        pl.when(pl.col("task") == "truthfulqa_mc")
        .then(pl.concat_str(pl.lit("truthfulqa_"), "metric"))
        .otherwise("task")
    )
    partner = scores.filter(pl.col("metric") != "acc_norm").select("model", "step", "value", "stderr", name=names)
    joined = short.join(partner, on=["model", "step", "name"], how="left")
    close = ((pl.col("Accuracy") - pl.col("value")).abs() < 1e-12) & (
        (pl.col("Accuracy_SE") - pl.col("stderr")).abs() < 1e-12
    )
    bad = joined.filter(close.not_().fill_null(value=True))
    if bad.height or joined.height != partner.height:
        raise DataError(
            f"emergent_inabilities: {bad.height} row(s) of {SHORT!r} are not in {LONG!r} or differ there "
            f"(records {bad['raw_row'].head(10).to_list()}); {joined.height} rows against {partner.height}"
        )


def _claims(raw: RawFolder) -> pl.DataFrame:
    """The published t-tests: three terms for each of twelve scores."""
    terms = {"Parameters": "model size", "Tokens": "training tokens", "Interaction": "model size and training tokens"}
    cells = (
        raw.csv(TESTS, {"task_name": pl.String, **dict.fromkeys(terms, pl.String)}, rows=N_TESTS, separator="\t")
        .unpivot(list(terms), index="task_name", variable_name="term", value_name="cell")
        .with_columns(
            parts=pl.col("cell").str.extract_groups(r"^t\((?<df>\d+)\)=(?<t>-?[\d.]+), p(?<p>[<=][\d.]+)$"),
            slug=pl.col("task_name").str.to_lowercase().str.replace_all(r"[ -]", "_"),
        )
        .unnest("parts")
    )
    unread = cells.filter(pl.any_horizontal(pl.col("df", "t", "p").is_null()) | (pl.col("df") != "60"))
    if unread.height:
        raise DataError(
            f"emergent_inabilities, {TESTS!r}: {unread.height} cell(s) are no t-test with 60 degrees of freedom, "
            f"first {unread['cell'][0]!r}"
        )
    return cells.select(
        claim_id=pl.concat_str(pl.lit("2305.14681/"), "slug", pl.lit("/"), pl.col("term").str.to_lowercase()),
        claim=pl.concat_str(
            "task_name",
            pl.lit(
                ": in the regression of accuracy on standardised log model size, log training tokens and their "
                "product, "
            ),
            pl.lit("the t statistic of the term '"),
            pl.col("term").str.to_lowercase(),
            pl.lit("' is "),
            "t",
            pl.lit(" (60 degrees of freedom, p"),
            "p",
            pl.lit(" after correction)"),
        ),
        quantity=pl.lit("t_statistic"),
        value=pl.col("t").cast(pl.Float64),
        unit=pl.lit("unitless"),
        varies=pl.col("term").replace_strict(terms),
        where_stated=pl.concat_str(
            pl.lit(f"statistical_analysis/{TESTS} of the repository, row "), "task_name", pl.lit(", column "), "term"
        ),
        test_source=pl.lit("emergent_inabilities"),
    )
