"""OLMo's ladder: five sizes at six multiples of the Chinchilla tokens, and two targets (arXiv 2412.04403).

A raw file is one run with one evaluation step a row and 91 (targets: 111) measured columns. The
targets also come in parts; the whole file holds every row of its parts, which the build checks.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

RUNS = "src/scripts/paper/data/ladder-runs"
FIGURES = "src/scripts/paper/figures"
SIZES = {
    "190M": 190_354_176,
    "370M": 371_262_464,
    "760M": 758_220_288,
    "1B": 1_279_395_840,
    "3B": 3_169_537_280,
    "peteish7": 6_887_575_552,
    "peteish13": 13_202_396_160,
}
"""Parameters without embeddings, as the authors' configuration counts them; the files hold none."""
FITTED = ("190M", "370M", "760M", "1B")
FIT_MULTIPLES = ("1xC", "2xC", "5xC", "10xC")
TARGETS = {
    "peteish13_eval_full": ("peteish13", ("peteish13_eval_50k-150k", "peteish13_eval_final")),
    "peteish7_eval_full": ("peteish7", ("peteish7_eval_170k-450k",)),
    "peteish7_eval_anneal": ("peteish7-anneal", ()),
    "peteish7_medlr_eval_full": (
        "peteish7-medlr",
        (
            "peteish7_medlr_eval_170k-end",
            "peteish7_medlr_eval_210k-325k",
            "peteish7_medlr_eval_330k-490k",
            "peteish7_medlr_eval_5k-205k",
        ),
    ),
}
"""Whole files of the targets: the run, and the files that repeat part of it."""
N_PART_ROWS = {
    "peteish13_eval_50k-150k": 18,
    "peteish13_eval_final": 12,
    "peteish7_eval_170k-450k": 57,
    "peteish7_medlr_eval_170k-end": 65,
    "peteish7_medlr_eval_210k-325k": 24,
    "peteish7_medlr_eval_330k-490k": 33,
    "peteish7_medlr_eval_5k-205k": 41,
}
N_FILES, N_LADDER, N_ROWS, N_ROWS_STORED = 41, 30, 4198, 3948

TOKENS, GFLOPS, RATE = "throughput/total_tokens", "throughput/total_training_Gflops", "optim/learning_rate_group0"
BATCH, PEAK = "batch_size_in_tokens", "learning_rate_peak"
COUNTERS = ("_step", TOKENS, GFLOPS, RATE, PEAK, BATCH)

LOSS = r"^eval/(?<set>.+)-validation/CrossEntropyLoss$"
TASK = (
    r"^eval/downstream(?:_bpb|_soft_log|_soft)?/(?<task>.+_(?:rc|mc))_(?<shots>\d+)shot_"
    r"(?<kind>bpb|len_norm|acc|soft_log|soft)$"
)
KINDS = {
    "bpb": ("answer_bits_per_byte", "bits_per_byte"),
    "len_norm": ("acc_norm", "fraction"),
    "acc": ("acc", "fraction"),
    "soft": ("answer_probability", "fraction"),
    "soft_log": ("answer_log_probability", "nats_per_answer"),
}

STEPS = {
    "step1_main": "loss of the task (bits per byte of the right answer) from size and tokens",
    "step1_c4_main": "loss on C4 from size and tokens",
    "step1_taskce_main": "task cross-entropy from size and tokens",
    "step1_acc_main": "accuracy from size and tokens, in one step",
    "step2_main": "accuracy from task loss",
    "step2_c4_main": "accuracy from loss on C4",
    "step2_taskce_main": "accuracy from task cross-entropy",
    "chained_main": "accuracy from size and tokens, in two chained steps",
    "chained_flops_main": "accuracy from training FLOP, in two chained steps",
}
N_CLAIMS = 8 * (4 * 3 + 5 * 2) + 10 * 7

SOURCE = Source(
    source_id="olmo_ladder",
    title="Establishing Task Scaling Laws via Compute-Efficient Model Ladders",
    authors=(
        "Akshita Bhagia, Jiacheng Liu, Alexander Wettig, David Heineman, Oyvind Tafjord, Ananya Harsh Jha, Luca "
        "Soldaini, Noah A. Smith, Dirk Groeneveld, Pang Wei Koh, Jesse Dodge, Hannaneh Hajishirzi"
    ),
    year=2024,
    arxiv_id="2412.04403",
    repository="allenai/OLMo-ladder",
    upstream_commit="67a3f440f787d020da35e3ca8eeae475fae754f5",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; shipped as our own table with citation",
    headline_metric="answer_bits_per_byte",
    headline_eval_set="hellaswag_val_rc",
    n_definition="n_params_non_embedding",
    notes=(
        "30 ladder runs (190M, 370M, 760M, 1B, 3B x 0.5, 1, 1 again, 2, 5, 10 times the Chinchilla tokens, named xC) "
        "and the targets of 7B and 13B. Split 'fit' is what the paper fits: 190M to 1B at 1, 2, 5 and 10xC, with the "
        "first 1xC run (with the rerun HellaSwag at 13B would be predicted as 0.644 instead of 0.653); 'validation' "
        "the two targets; 'all' the runs it uses for neither. A run's final value in the paper is the mean of its last "
        "five rows, its D that of the last row: use the curves, the last row alone is noisier. For 7B it is run "
        "peteish7-anneal, one evaluation at 3.945e12 tokens after the learning rate was decayed (the file gives no "
        "step); peteish7 is the same run before that, peteish7-medlr another with peak rate 6e-4. The part files of "
        "the targets repeat rows of the whole files exactly and are not stored again. n_params is null: the sizes are "
        "those of the authors' configuration and leave the embeddings out. n_tokens of the targets is step x batch. "
        "The peak learning rate of 13B is null: its file says 9e-4 at steps 105,000 to 150,000 and 3e-4 elsewhere. "
        "answer_bits_per_byte is the loss of the right answer; the scores of eval sets that end in _rc rank the "
        "answers by likelihood (rank classification), those in _mc ask for a letter (targets only); acc_norm is "
        "normalised by length; answer_probability is the probability of the right answer among the options and "
        "answer_log_probability the mean of its logarithm, which is below the logarithm of the mean. MMLU comes in "
        "four groups; the paper's MMLU is their mean weighted by examples, whose numbers are not in the files. "
        "train_flops is the throughput counter at the last row. Learning rates at the logged steps stand in table "
        "schedules. The ten result tables of the repository are claims."
    ),
    bibtex=(
        "@article{bhagia2024establishing, title={Establishing Task Scaling Laws via Compute-Efficient Model Ladders}, "
        "author={Bhagia, Akshita and Liu, Jiacheng and Wettig, Alexander and Heineman, David and Tafjord, Oyvind and "
        "Jha, Ananya Harsh and Soldaini, Luca and Smith, Noah A. and Groeneveld, Dirk and Koh, Pang Wei and Dodge, "
        "Jesse and Hajishirzi, Hannaneh}, journal={arXiv preprint arXiv:2412.04403}, year={2024}}"
    ),
    set_aside=(
        *(
            SetAside(f"{RUNS}/{part}.csv", N_PART_ROWS[part], f"the same rows stand in {whole}.csv")
            for whole, (_, parts) in TARGETS.items()
            for part in parts
        ),
        SetAside(f"{FIGURES}/*_main.csv", 8, "read into claims: predictions for 13B and their errors"),
        SetAside(f"{FIGURES}/variance.csv", 10, "read into claims: the noise of the tasks"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per file, one number per evaluation step and column."""
    names = raw.files(f"{RUNS}/*.csv")
    stems = [PurePosixPath(name).stem for name in names]
    parts = {part for _, repeated in TARGETS.values() for part in repeated}
    ladder = [stem for stem in stems if stem not in TARGETS and stem not in parts]
    if len(names) != N_FILES or len(ladder) != N_LADDER:
        raise DataError(f"olmo_ladder: {len(names)} run files, {len(ladder)} of the ladder")
    tables = {stem: _read(raw, stem) for stem in stems}
    _check_parts(tables)
    wholes = pl.concat([tables[stem] for stem in (*ladder, *TARGETS)], how="diagonal")
    total = sum(table.height for table in tables.values())
    if (total, wholes.height) != (N_ROWS, N_ROWS_STORED):
        raise DataError(f"olmo_ladder: {total} rows, {wholes.height} distinct; expected {N_ROWS} and {N_ROWS_STORED}")
    runs = _runs(wholes)
    evals = _evals(wholes)
    schedules = wholes.filter(pl.col(RATE).is_not_null()).select(
        "run_id", "raw_file", "raw_row", step="_step", learning_rate_at_step=RATE
    )
    return {
        "runs": conform("runs", runs, "olmo_ladder"),
        "evals": conform("evals", evals, "olmo_ladder"),
        "schedules": conform("schedules", schedules, "olmo_ladder"),
        "claims": conform("claims", _claims(raw), "olmo_ladder"),
    }


def _read(raw: RawFolder, stem: str) -> pl.DataFrame:
    """One file, every column a number, with its run, split and tokens."""
    name = f"{RUNS}/{stem}.csv"
    header = pl.read_csv(raw.path(name), n_rows=0).columns
    unread = [c for c in header if c not in COUNTERS and not _is_measured(c)]
    if unread or BATCH not in header:
        raise DataError(f"olmo_ladder, {name!r}: unknown column(s) {unread}, or no batch size")
    size, _, multiple = stem.partition("-")
    run = TARGETS[stem][0] if stem in TARGETS else stem
    if stem in TARGETS:
        split = "validation" if run != "peteish7-medlr" else "all"
    else:
        split = "fit" if size in FITTED and multiple in FIT_MULTIPLES else "all"
    frame = raw.csv(name, dict.fromkeys(header, pl.Float64))
    missing = [pl.lit(None, dtype=pl.Float64).alias(c) for c in ("_step", TOKENS, GFLOPS, RATE) if c not in header]
    frame = frame.with_columns(missing).with_columns(
        run=pl.lit(run),
        run_id=pl.lit(f"olmo_ladder/{run}"),
        split=pl.lit(split),
        n_tokens=pl.coalesce(TOKENS, pl.col("_step") * pl.col(BATCH)),
    )
    odd = frame.filter(pl.col(TOKENS) != pl.col("_step") * pl.col(BATCH))
    if odd.height or frame["n_tokens"].null_count():
        raise DataError(f"olmo_ladder, {name!r}: {odd.height} row(s) whose tokens are not step x batch, or none")
    return frame


def _is_measured(column: str) -> bool:
    return bool(pl.Series([column]).str.contains(f"{LOSS}|{TASK}").item())


def _check_parts(tables: dict[str, pl.DataFrame]) -> None:
    """Account for the part files: each of their rows stands in the whole file, with equal numbers."""
    for whole, (_, parts) in TARGETS.items():
        for part in parts:
            numbers = [c for c in tables[part].columns if c.startswith("eval/")]
            lost = tables[part].join(tables[whole], on=["_step", PEAK, *numbers], how="anti")
            if lost.height:
                raise DataError(f"olmo_ladder, {part}.csv: {lost.height} row(s) are not in {whole}.csv")


def _runs(rows: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("run").str.extract(r"^(peteish7|peteish13|[0-9]+[MB])")
    return (
        rows.group_by("run", "run_id", maintain_order=True)
        .agg(
            pl.col("n_tokens", "_step", GFLOPS).max(),
            pl.col(BATCH).first(),
            pl.when(pl.col(PEAK).n_unique() == 1).then(pl.col(PEAK).first()).alias("learning_rate"),
        )
        .select(
            "run_id",
            "n_tokens",
            "learning_rate",
            study=pl.lit("olmo_ladder"),
            model_name="run",
            family=pl.when(pl.col("run").str.starts_with("peteish"))
            .then(pl.lit("targets"))
            .otherwise(pl.lit("ladder")),
            architecture=pl.lit("decoder"),
            n_params_non_embedding=size.replace_strict(SIZES, return_dtype=pl.Float64),
            train_flops=pl.col(GFLOPS) * 1e9,
            tokenizer_id=pl.lit("olmo-2"),
            batch_size_tokens=BATCH,
            n_steps="_step",
        )
    )


def _evals(rows: pl.DataFrame) -> pl.DataFrame:
    """Long form; the meaning of each column is read off its name once."""
    columns = [c for c in rows.columns if c.startswith("eval/")]
    meaning = (
        pl.DataFrame({"raw_field": columns})
        .with_columns(loss=pl.col("raw_field").str.extract(LOSS), task=pl.col("raw_field").str.extract_groups(TASK))
        .unnest("task", separator=".")
        .select(
            "raw_field",
            metric=pl.col("task.kind").replace_strict({k: m for k, (m, _) in KINDS.items()}).fill_null("loss"),
            unit=pl.col("task.kind").replace_strict({k: u for k, (_, u) in KINDS.items()}).fill_null("nats_per_token"),
            eval_set=pl.coalesce("loss", "task.task"),
            n_shots=pl.col("task.shots").cast(pl.Int64),
        )
    )
    index = ["run_id", "_step", "n_tokens", "split", "raw_file", "raw_row"]
    return (
        rows.unpivot(columns, index=index, variable_name="raw_field", value_name="value")
        .drop_nulls("value")  # columns that only the targets have
        .join(meaning, on="raw_field", how="left", maintain_order="left")
        .rename({"_step": "step"})
        .with_columns(value_origin=pl.lit("reported"))
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    """Predictions for 13B and their errors, and the noise of the tasks: the repository's result tables."""
    claims: list[dict[str, Any]] = []
    for stem, subject in (*STEPS.items(), ("variance", "")):
        name = f"{FIGURES}/{stem}.csv"
        header = pl.read_csv(raw.path(name), n_rows=0).columns
        numbers = [c for c in header if c not in {"Task", "Actual"}]
        for row in raw.csv(name, {"Task": pl.String, **dict.fromkeys(numbers, pl.Float64)}).iter_rows(named=True):
            for column in numbers:
                what = column.lower().replace(" (cv)", "").replace("pred", "prediction")
                place = "for 13B, predicting " + subject if subject else "over the last checkpoints, or error for 7B"
                claims.append(
                    {
                        "claim_id": f"2412.04403/{stem}/{row['Task']}/{what.replace(' ', '_')}",
                        "claim": f"{row['Task']} ({place}): {what} is {row[column]:.4g}",
                        "quantity": what.replace(" ", "_"),
                        "value": row[column],
                        "unit": "fraction" if "error" in what or "rel" in what else "as the task's number",
                        "varies": "model size and training tokens",
                        "where_stated": name,
                        "test_source": "olmo_ladder",
                    }
                )
    if len(claims) != N_CLAIMS:
        raise DataError(f"olmo_ladder: {len(claims)} numbers in the result tables where {N_CLAIMS} are expected")
    return pl.DataFrame(claims)
