"""(Mis)Fitting: 261 training logs with checkpoints, and an older spreadsheet of 222 runs (arXiv 2502.18969)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

CURVES = "data/scaling_results.csv"
FINALS = "data/scaling_results_last_ckpt_only.csv"
SHEET = "data/data.csv"
N_CHECKPOINTS, N_LOGS, N_RUNS = 4852, 261, 240
N_SHEET, N_SHEET_RUNS, N_SHEET_EMPTY = 307, 222, 5
N_COPIED_ROWS, N_PAST_END = 36, 2
N_BAD_FLOPS = 20
TOKENS_PER_STEP = 1_048_576
VOCABULARY = 50_432
"""Rows of each of the two embeddings: (N - N without embeddings) / 50,432 is twice the width in all eleven sizes."""
WIDTH = (pl.col("N") - pl.col("N_no_emb")) / (2 * VOCABULARY)
SHEET_VOCABULARY = 32_000

SOURCE = Source(
    source_id="misfitting",
    title="(Mis)Fitting: A Survey of Scaling Laws",
    authors="Margaret Li, Sneha Kudugunta, Luke Zettlemoyer",
    year=2025,
    arxiv_id="2502.18969",
    repository="hadasah/scaling_laws",
    upstream_commit="1f3708c0a12df0effb0ee906b1da5f9f0ff4f4f1",
    licence="none stated",
    redistribution="training results as our own table of facts with citation; no file of the repository is shipped",
    headline_metric="loss",
    headline_eval_set="c4_val",
    n_definition="n_params",
    notes=(
        "Study 'misfitting': 240 runs of 11 sizes, trained on FineWeb and evaluated on C4, that is out of "
        "distribution, with their checkpoints. A checkpoint before the last step lies within an unfinished "
        "learning-rate schedule: fit finals or checkpoints, knowing which. n_params counts both embeddings (50,432 "
        "rows each); d_model follows from the two counts. One sweep of the 17M model (21 runs) was logged twice: each "
        "final loss occurs in two logs, one complete and one short, whose first step is wrong (128 for the last "
        "evaluation before the end) and whose learning rate often differs. The short logs are kept as runs of their "
        "own with suffix 'copy' and all their rows are flagged exact_duplicate; without them every combination of "
        "size, rate and length occurs once (the file with the last checkpoints counts these logs too: 261 rows). At "
        "200 steps both logs of a pair are alike, and two runs are labelled 2e-3 in one and 4e-3 in the other; their "
        "learning_rate is null. Two rows lie past the end of their run (step 256 of 250) and are flagged. train_flops "
        "is the authors' count at the last step; it equals 6 n_params n_tokens to nine digits. The column "
        "'total_epochs' counts log entries, not passes over the data, and is left out. Study 'misfitting_sheet': 222 "
        "runs of an older spreadsheet with another vocabulary (32,000), losses printed to three digits, final values "
        "only: average training loss, C4 and Wikipedia loss. The perplexities beside them are exp of the losses and "
        "are not repeated; the largest training loss of the log is left out. train_flops is null in 20 of these runs, "
        "where the sheet's value contradicts its own FLOP per update by more than a tenth. Five of its rows are "
        "planned runs without a loss. Losses of the two studies never pool: tokenizers differ. What can be recomputed "
        "is how strongly the Chinchilla fit depends on form, loss, start, checkpoints or finals, and the definition "
        "of N; the paper states no single headline coefficient for these runs."
    ),
    bibtex=(
        "@inproceedings{li2025misfitting, title={(Mis)Fitting: A Survey of Scaling Laws}, author={Li, Margaret and "
        "Kudugunta, Sneha and Zettlemoyer, Luke}, booktitle={International Conference on Learning Representations}, "
        "year={2025}, note={arXiv:2502.18969}}"
    ),
    set_aside=(
        SetAside(FINALS, N_LOGS, f"the last checkpoint of each log, all of which stand in {CURVES}"),
        SetAside(SHEET, N_SHEET_EMPTY, "planned runs without a loss"),
        SetAside(
            SHEET,
            N_SHEET - N_SHEET_RUNS - N_SHEET_EMPTY,
            "header rows: size or length of the runs below, filled in there",
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """The logged runs with all checkpoints, then the runs of the spreadsheet."""
    logs = _logs(raw)
    _check_finals(raw, logs)
    sheet = _sheet(raw)
    runs = pl.concat(
        [conform("runs", _log_runs(logs), "misfitting"), conform("runs", _sheet_runs(sheet), "misfitting")]
    )
    evals = pl.concat(
        [
            conform("evals", _log_evals(logs), "misfitting"),
            *(
                conform("evals", _sheet_loss(sheet, metric, eval_set, field), "misfitting")
                for metric, eval_set, field in (
                    ("loss", "c4_val_sheet", "C4 Eval Loss"),
                    ("loss", "wikipedia_val_sheet", "Wiki Eval Loss"),
                    ("train_loss", "train", "Avg Train Loss"),
                )
            ),
        ]
    )
    return {"runs": runs, "evals": evals}


def _read(raw: RawFolder, name: str, rows: int) -> pl.DataFrame:
    # FLOP counts exceed 64-bit integers, so every number is read as a float
    numbers = ("loss", "C4 Eval Loss", "N", "N_no_emb", "D", "C", "C_6ND", "portion_steps_elapsed", "train_tokens")
    steps = ("total_steps", "current_steps", "peak_lr")
    table = raw.csv(
        name, {"model": pl.String, "sweep": pl.String, **dict.fromkeys(numbers + steps, pl.Float64)}, rows=rows
    )
    odd = table.filter(
        (pl.col("loss") != pl.col("C4 Eval Loss"))
        | (pl.col("D") != pl.col("train_tokens"))
        | (pl.col("D") != pl.col("current_steps") * TOKENS_PER_STEP)
        # C also counts a constant of a few operations a step
        | ((pl.col("C") / (6 * pl.col("N") * pl.col("D")) - 1).abs() > 1e-9)
        | (pl.col("N") != pl.col("N_no_emb") + 2 * VOCABULARY * WIDTH.round())
    )
    if odd.height:
        raise DataError(f"misfitting, {name!r}: {odd.height} row(s) contradict themselves, first {odd['raw_row'][0]}")
    return table


def _logs(raw: RawFolder) -> pl.DataFrame:
    """Checkpoints with the log they belong to, its name, and flags for copies and steps past the end."""
    rows = _read(raw, CURVES, N_CHECKPOINTS).with_columns(
        # a log ends with its row of portion 1
        log=(pl.col("portion_steps_elapsed") == 1).cum_sum().shift(1, fill_value=0)
    )
    key = ["model", "sweep", "peak_lr", "total_steps"]
    logs = rows.group_by("log", maintain_order=True).agg(
        *(pl.col(name).first() for name in key),
        mixed=pl.any_horizontal(pl.col(name).n_unique() > 1 for name in key),
        height=pl.len(),
        final=pl.col("loss").last(),
        ends=pl.col("portion_steps_elapsed").last() == 1,
    )
    if logs.height != N_LOGS or logs["mixed"].any() or not logs["ends"].all():
        raise DataError(f"misfitting, {CURVES!r}: rows do not form {N_LOGS} logs that end with their last step")
    run = ["model", "total_steps", "final"]
    # of two logs with the same end the longer is the complete one; the first where they are alike
    order = [pl.col("height"), -pl.col("log").cast(pl.Int64)]
    logs = logs.with_columns(
        is_copy=pl.struct(order).rank("ordinal", descending=True).over(run) > 1,
        rates=pl.col("peak_lr").n_unique().over(run),
        alike=pl.col("height").n_unique().over(run) == 1,
    ).with_columns(
        learning_rate=pl.when(~((pl.col("rates") > 1) & pl.col("alike"))).then("peak_lr"),
        stem=pl.concat_str(
            pl.lit("misfitting/"),
            pl.col("model").str.strip_prefix("misfitting_"),
            pl.lit("-lr"),
            pl.col("peak_lr").cast(pl.String),
            pl.lit("-"),
            pl.col("total_steps").cast(pl.Int64).cast(pl.String),
        ),
    )
    logs = _name(logs)
    rows = rows.join(logs.drop(key), on="log")
    return _flag(rows)


def _name(logs: pl.DataFrame) -> pl.DataFrame:
    """Give each log its run_id: rates that a pair of logs disputes are left out of the name."""
    base = (
        pl.when(pl.col("learning_rate").is_null()).then(pl.col("stem").str.replace(r"-lr[^-]+", "")).otherwise("stem")
    )
    logs = logs.with_columns(base=base)
    number = pl.col("log").rank("ordinal").over("base", "is_copy").cast(pl.String)
    repeated = pl.len().over("base", "is_copy") > 1
    tag = pl.when("is_copy").then(pl.lit("-copy")).otherwise(pl.lit("-run"))
    return logs.with_columns(
        run_id=pl.when(repeated)
        .then(pl.concat_str("base", tag, number))
        .when("is_copy")
        .then(pl.concat_str("base", tag))
        .otherwise("base")
    )


def _flag(rows: pl.DataFrame) -> pl.DataFrame:
    complete = rows.filter(~pl.col("is_copy")).select("model", "total_steps", "final", "loss", "raw_row", "run_id")
    key = ["model", "total_steps", "final", "loss"]
    rows = rows.join(
        complete.unique(key, keep="first", maintain_order=True),
        on=key,
        how="left",
        suffix="_first",
        maintain_order="left",
    )
    copied = pl.col("is_copy") & pl.col("raw_row_first").is_not_null()
    past = pl.col("portion_steps_elapsed") > 1
    rows = rows.with_columns(
        flag=pl.when(copied).then(pl.lit("exact_duplicate")).when(past).then(pl.lit("step_past_end")),
        flag_reason=pl.when(copied)
        .then(
            pl.concat_str(
                pl.lit("the same loss as record "),
                pl.col("raw_row_first").cast(pl.String),
                pl.lit(" of the same file ("),
                "run_id_first",
                pl.lit("): the run was logged twice, this time cut short; set aside here"),
            )
        )
        .when(past)
        .then(pl.lit("step 256 of a run of 250 steps; set aside here")),
    )
    counts = (rows.filter("is_copy").height, rows.filter(copied).height, rows.filter(past).height)
    if counts != (N_COPIED_ROWS, N_COPIED_ROWS, N_PAST_END):
        raise DataError(f"misfitting, {CURVES!r}: {counts} rows in copied logs, copied and past the end")
    return rows


def _check_finals(raw: RawFolder, logs: pl.DataFrame) -> None:
    """Account for the file of last checkpoints: its rows are the last rows of the logs."""
    key = ["model", "sweep", "peak_lr", "total_steps", "current_steps", "loss"]
    finals = _read(raw, FINALS, N_LOGS).select(key).sort(key)
    if not finals.equals(logs.filter(pl.col("portion_steps_elapsed") == 1).select(key).sort(key)):
        raise DataError(f"misfitting: {FINALS!r} does not hold the last rows of {CURVES!r}")


def _log_runs(logs: pl.DataFrame) -> pl.DataFrame:
    last = logs.filter(pl.col("portion_steps_elapsed") == 1)
    return last.select(
        "run_id",
        "learning_rate",
        study=pl.lit("misfitting"),
        model_name="model",
        family=pl.lit("misfitting"),
        architecture=pl.lit("decoder"),
        n_params="N",
        n_params_non_embedding="N_no_emb",
        n_tokens="D",
        train_flops="C",
        corpus=pl.lit("FineWeb"),
        tokenizer_id=pl.lit("misfitting-50432"),
        vocab_size=pl.lit(float(VOCABULARY)),
        d_model=WIDTH.round(),
        batch_size_tokens=pl.lit(float(TOKENS_PER_STEP)),
        n_steps="total_steps",
    )


def _log_evals(logs: pl.DataFrame) -> pl.DataFrame:
    return logs.select(
        "run_id",
        "flag",
        "flag_reason",
        "raw_file",
        "raw_row",
        step="current_steps",
        n_tokens="D",
        metric=pl.lit("loss"),
        eval_set=pl.lit("c4_val"),
        split=pl.lit("all"),
        value="C4 Eval Loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("C4 Eval Loss"),
    )


def _sheet(raw: RawFolder) -> pl.DataFrame:
    """Runs of the spreadsheet, each with the size and the length that header rows above it state."""
    results = ("lr", "Avg Train Loss", "C4 Eval PPL", "Wiki Eval PPL", "C4 Eval Loss", "Wiki Eval Loss", "C", "D")
    shape = ("layers", "model dim", "FFN dim", "n heads", "seq len", "FLOPs / update")
    rows = raw.csv(
        SHEET,
        {
            "Params": pl.String,
            "total steps": pl.String,
            **dict.fromkeys((*results, *shape, "N", "N_no_emb"), pl.Float64),
        },
        rows=N_SHEET,
    ).with_columns(
        *(pl.col(name).forward_fill() for name in ("Params", *shape)),
        pl.col("total steps").str.replace_all(",", "").cast(pl.Float64).forward_fill(),
    )
    trials = rows.filter(pl.col("lr").is_not_null())
    runs = trials.filter(pl.col("C4 Eval Loss").is_not_null())
    if (runs.height, trials.height - runs.height) != (N_SHEET_RUNS, N_SHEET_EMPTY):
        raise DataError(f"misfitting, {SHEET!r}: {runs.height} runs with a loss among {trials.height}")
    exact = ((pl.col("C4 Eval PPL").log() - pl.col("C4 Eval Loss")).abs() < 1e-3) & (
        (pl.col("Wiki Eval PPL").log() - pl.col("Wiki Eval Loss")).abs() < 1e-3
    )
    whole = (
        (pl.col("N") == pl.col("N_no_emb") + 2 * SHEET_VOCABULARY * pl.col("model dim"))
        # lengths are sometimes derived from a token budget, so that the last step is not whole
        & ((pl.col("D") / (pl.col("total steps") * TOKENS_PER_STEP) - 1).abs() < 1e-4)
    )
    odd = runs.filter(~(exact & whole))
    if odd.height:
        raise DataError(f"misfitting, {SHEET!r}: {odd.height} run(s) contradict themselves, first {odd['raw_row'][0]}")
    off = (pl.col("C") / (pl.col("FLOPs / update") * pl.col("total steps")) - 1).abs() > 0.1
    runs = runs.with_columns(train_flops=pl.when(~off).then("C"))
    if runs["train_flops"].null_count() != N_BAD_FLOPS:
        raise DataError(f"misfitting, {SHEET!r}: {runs['train_flops'].null_count()} FLOP counts are off")
    return runs.with_columns(
        run_id=pl.concat_str(
            pl.lit("misfitting/sheet-"),
            pl.col("Params").str.to_lowercase(),
            pl.lit("-lr"),
            pl.col("lr").cast(pl.String),
            pl.lit("-"),
            pl.col("total steps").cast(pl.Int64).cast(pl.String),
        )
    )


def _sheet_runs(sheet: pl.DataFrame) -> pl.DataFrame:
    return sheet.select(
        "run_id",
        "train_flops",
        study=pl.lit("misfitting_sheet"),
        model_name="Params",
        family=pl.lit("misfitting_sheet"),
        architecture=pl.lit("decoder"),
        n_params="N",
        n_params_non_embedding="N_no_emb",
        n_tokens="D",
        tokenizer_id=pl.lit("misfitting-32000"),
        vocab_size=pl.lit(float(SHEET_VOCABULARY)),
        context_length="seq len",
        d_model="model dim",
        d_ff="FFN dim",
        n_layers="layers",
        n_heads="n heads",
        learning_rate="lr",
        batch_size_tokens=pl.lit(float(TOKENS_PER_STEP)),
        n_steps="total steps",
    )


def _sheet_loss(sheet: pl.DataFrame, metric: str, eval_set: str, field: str) -> pl.DataFrame:
    return sheet.select(
        "run_id",
        "raw_file",
        "raw_row",
        step="total steps",
        n_tokens="D",
        metric=pl.lit(metric),
        eval_set=pl.lit(eval_set),
        split=pl.lit("all"),
        value=field,
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit(field),
    )
