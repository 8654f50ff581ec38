"""Harness scores of Pythia, OPT and BLOOM: 212,107 numbers under 98 names for 67 base models."""

from __future__ import annotations

import polars as pl

from ingest._hitchhiker_tools import Study, count_of, expect, make_study
from ingest._model_ids import model_id
from ingest._raw import RawFolder

__all__ = ["pythia_harness"]

FILE = "_derived/pythia_rebuilt_long.parquet"
STEP_TOKENS = 2_097_152
OLD_SIZES = {"19m": "70m", "350m": "410m", "1.3b": "1.4b", "6.7b": "6.9b"}
"""First names of the sizes: counted without embeddings. All models under these names are v0."""
DOUBLE_BATCH = ("160m", "410m", "1.4b")
"""v0 models of these sizes took 4M-token batches and half the steps, 71,500."""
METRICS = {
    "acc": "acc",
    "acc_norm": "acc_norm",
    "em": "exact_match",
    "ppl": "perplexity",
    "word_perplexity": "perplexity",
    "bits_per_byte": "bits_per_byte",
    "pct_stereotype": "pct_stereotype",
    "likelihood_difference": "likelihood_difference",
}
UNITS = {
    "ppl": "perplexity_per_word",
    "word_perplexity": "perplexity_per_word",
    "bits_per_byte": "bits_per_byte",
    "likelihood_difference": "nats_per_answer",
}
KEY = ["run", "steps", "metric", "eval_set", "n_shots"]
ALSO_IN_PYTHIA_EVALS = (
    r"^(pythia-(70m|160m|410m|1\.4b|2\.8b|6\.9b|12b)(-deduped)?|pythia-1b-deduped|pythia-bf16-1b|opt-.+|bloom-.+)$"
)
"""Runs whose harness scores source pythia_evals holds too: the v1 models, OPT and BLOOM."""
N_ALSO_IN_PYTHIA_EVALS = 104_768
TOKENS_OF_FAMILY = {"opt": 300e9, "bloom": 341e9}
"""What the repository's loader assumes for the models without checkpoints."""


def pythia_harness(raw: RawFolder) -> Study:
    """One run per base model; a ``-5shot`` name is the same run with five examples in the prompt."""
    cells = _shape(_read(raw))
    runs = _runs(cells)
    batch = runs.select("run", tokens_per_step="batch_size_tokens")
    cells = cells.join(batch, on="run", how="left", maintain_order="left").with_columns(
        n_tokens=pl.col("steps") * pl.col("tokens_per_step")
    )
    name_says_five = pl.col("contradictory")
    is_copy = pl.col("run").str.contains(ALSO_IN_PYTHIA_EVALS) & ~pl.col("eval_set").str.contains("/", literal=True)
    expect(FILE, "scores that pythia_evals holds too", cells.select(is_copy.sum()).item(), N_ALSO_IN_PYTHIA_EVALS)
    evals = cells.select(
        "run",
        "raw_file",
        "raw_row",
        "eval_set",
        "n_tokens",
        "n_shots",
        "value",
        step=pl.col("steps").cast(pl.Float64),
        metric=pl.col("metric").replace_strict(METRICS, return_dtype=pl.String),
        unit=pl.col("metric").replace_strict(UNITS, default="fraction", return_dtype=pl.String),
        raw_field=pl.format("{}/{}", "task", "metric"),
        flag=pl.when(name_says_five)
        .then(pl.lit("contradictory_shots"))
        .when(pl.col("ambiguous"))
        .then(pl.lit("ambiguous_run"))
        .when(is_copy)
        .then(pl.lit("duplicate_source")),
        flag_reason=pl.when(name_says_five)
        .then(
            pl.lit(
                "filed under five-shot, but its configuration says zero and nearly all values equal the zero-shot file"
            )
        )
        .when(pl.col("ambiguous"))
        .then(
            pl.lit(
                "two files give this model, step and task different values; which run each belongs to is not recorded"
            )
        )
        .when(is_copy)
        .then(pl.lit("repeats source pythia_evals, which has standard errors; use that source")),
    )
    totals = runs.join(evals.group_by("run").agg(pl.col("n_tokens").max()), on="run", how="left", maintain_order="left")
    totals = totals.with_columns(
        n_tokens=pl.coalesce(
            "n_tokens", pl.col("family").replace_strict(TOKENS_OF_FAMILY, default=None, return_dtype=pl.Float64)
        )
    )
    return make_study("pythia_harness", totals, evals)


def _read(raw: RawFolder) -> pl.DataFrame:
    """The file with record numbers, without the byte perplexities, which repeat the bits per byte."""
    cells = pl.read_parquet(raw.path(FILE)).with_row_index("raw_row", offset=1)
    raw.count(FILE, cells.height)
    expect(
        FILE,
        "scores, upstream rows and model names",
        (cells.height, cells["row_id"].n_unique(), cells["model_name"].n_unique()),
        (212_107, 1749, 98),
    )
    wide = cells.filter(pl.col("task") == "wikitext").pivot(on="metric", index="row_id", values="value")
    ratio = wide["byte_perplexity"] / 2 ** wide["bits_per_byte"]
    expect(FILE, "byte perplexities that equal 2 ** bits_per_byte", ((ratio - 1).abs() < 1e-9).sum(), 240)
    return cells.filter(pl.col("metric") != "byte_perplexity").with_columns(
        raw_file=pl.lit(FILE), raw_row=pl.col("raw_row").cast(pl.Int64)
    )


def _shape(cells: pl.DataFrame) -> pl.DataFrame:
    """Give every score its run, evaluation set and shots, and settle the names that hold more than one file.

    The bias evaluations ran the same tasks with other code, so their sets carry a prefix. Those
    stored under 6.9b-deduped, but for WinoBias, agree with the v0 model and not with v1 (median
    difference 0.002 against 0.060): they go to v0. Files that repeat another one exactly are left
    out; pairs that differ are kept as a run and a second run, all flagged.
    """
    name, task = pl.col("model_name"), pl.col("task")
    is_winobias = pl.col("test_subtype") == "winobias"
    to_v0 = (
        is_winobias
        & (pl.col("metric") != "em")
        & name.is_in(["pythia-6.9b-deduped", "pythia-intervention-6.9b-deduped"])
    )
    contradictory = name.str.contains("-5shot") & (pl.col("num_fewshot") == 0)
    cells = cells.with_columns(
        run=pl.concat_str(
            name.str.replace("-5shot", "", literal=True), pl.when(to_v0).then(pl.lit("-v0")), ignore_nulls=True
        ),
        eval_set=pl.when(is_winobias)
        .then(pl.format("winobias/{}", task))
        .when(pl.col("test_type") == "bias-evals")
        .then(pl.format("bias-evals/{}", task))
        .otherwise(task),
        n_shots=pl.when(~contradictory.fill_null(False)).then(pl.col("num_fewshot")),
        contradictory=contradictory.fill_null(False),
    )
    expect(FILE, "base models", cells["model_name"].str.replace("-5shot", "").n_unique(), 67)
    pair = (pl.len() > 1).over(KEY) & pl.col("run").is_in(["pythia-1.3b", "pythia-intervention-1.4b-deduped"])
    cells = cells.with_columns(ambiguous=pair)
    expect(FILE, "scores that stand twice with different files", cells["ambiguous"].sum(), 2 * (72 + 1720))
    second = pl.col("ambiguous") & (pl.col("row_id") > pl.col("row_id").min().over(KEY))
    cells = cells.with_columns(run=pl.when(second).then(pl.format("{}-second-file", "run")).otherwise("run"))
    distinct = cells.unique([*KEY, "value"], keep="first", maintain_order=True)
    expect(FILE, "scores of files that repeat another exactly", cells.height - distinct.height, 451)
    return distinct


def _runs(cells: pl.DataFrame) -> pl.DataFrame:
    """Sizes, corpora, families and batch sizes from the names."""
    runs = cells.group_by("run", maintain_order=True).agg(
        pl.col("data").first(), pl.col("steps").max(), n_names=pl.col("model_name").n_unique()
    )
    size = pl.col("run").str.extract(r"-(\d+(?:\.\d+)?[mb]\d*)(?:-|$)")
    runs = runs.with_columns(
        # OPT has true sizes of 350m, 1.3b and 6.7b
        size=pl.when(pl.col("run").str.starts_with("pythia")).then(size.replace(OLD_SIZES)).otherwise(size),
        named=size,
        suite=pl.col("run").str.extract(r"^([a-z]+)"),
        base=pl.col("run").str.replace("-second-file", ""),
    )
    is_pythia = pl.col("suite") == "pythia"
    is_v0 = is_pythia & (pl.col("base").str.ends_with("-v0") | pl.col("named").is_in(list(OLD_SIZES)))
    halved = is_v0 & pl.col("size").is_in(DOUBLE_BATCH)
    runs = runs.with_columns(
        is_v0=is_v0, batch_size_tokens=pl.when(is_pythia).then(STEP_TOKENS * pl.when(halved).then(2.0).otherwise(1.0))
    )
    over = runs.filter(pl.col("steps") * pl.col("batch_size_tokens") > 143_000 * STEP_TOKENS)
    short = runs.filter(pl.col("batch_size_tokens") > STEP_TOKENS)["steps"].max()
    expect(
        FILE,
        "runs with more than 300 billion tokens; last step with 4M-token batches",
        (over.height, short),
        (0, 71_500),
    )
    variant = pl.col("base").str.extract(r"^pythia-(baseline|intervention|long-intervention)-")
    deduped = pl.when(pl.col("base").str.contains("-deduped")).then(pl.lit("deduped"))
    version = pl.when("is_v0").then(pl.lit("v0"))
    family = pl.concat_str("suite", variant.str.replace("-", "_"), deduped, version, separator="_", ignore_nulls=True)
    shared = model_id(pl.concat_str("suite", "size", deduped, version, separator="-", ignore_nulls=True))
    # a size is parsed from the name used today: 410m, not the 350m without embeddings
    return runs.with_columns(count=count_of("size")).select(
        "run",
        "batch_size_tokens",
        model_name="base",
        model_id=pl.when(variant.is_null() & (pl.col("base") == pl.col("run"))).then(shared),
        family=family,
        architecture=pl.lit("decoder"),
        n_params="count",
        n_steps=pl.when(is_pythia).then(pl.when(halved).then(71_500).otherwise(143_000)),
        # the file says "pile" for OPT and BLOOM too, which is false
        corpus=pl.when(is_pythia).then(
            pl.when(pl.col("data") == "pile").then(pl.lit("The Pile")).otherwise(pl.lit("The Pile, deduplicated"))
        ),
    )
