"""Gemstones: 22 shapes of one recipe to 350 billion tokens, with cooldowns and ablations (arXiv 2502.06857).

The release stores one table per selection of checkpoints, most of them inside another. `HOT_FILE`,
`LR_FILE` and the two cooldown files hold every measurement; each other table is checked against them.
"""

from __future__ import annotations

import json
import math
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from ingest._model_ids import chinchilla_point
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

TABLE = "wandb_dfs/wandb_df_for_fitting_{}.jsonl"
HOT_FILE, LR_FILE = TABLE.format("hot_100b+_477"), TABLE.format("lr_ablation_hot_477")
BEGIN_FILE, END_FILE = TABLE.format("cool_begin"), TABLE.format("cool_end")
SLIM_FILE, SLIM_LR_FILE = TABLE.format("slim_chinchilla"), TABLE.format("lr_ablation_slim_chinchilla")
VIEWS = {
    "hot": (HOT_FILE, 220),
    "hot_100b+": (HOT_FILE, 770),
    "hot_100b+_512x": (HOT_FILE, 175),
    "hot_120b+_only": (HOT_FILE, 528),
    "hot_120b+_only_477": (HOT_FILE, 2552),
    "hot_477": (HOT_FILE, 1100),
    "hot_sampled_like_chinchilla": (HOT_FILE, 24),
    "lr_ablation_hot": (LR_FILE, 200),
    "lr_ablation_hot_sampled_like_chinchilla": (LR_FILE, 23),
}
"""Tables that only select rows: the table they select from, and their rows."""
FINEWEB = {"fineweb_edu": "fineweb_edu_losses_combined", "fineweb_dclm": "fineweb_dclm_losses_combined"}
SCORES, ERRORS = "benchmarks/light_eval_df.parquet", "benchmarks/light_eval_df_err.parquet"
OPEN_MODELS = "data/our_val_loss_data.json"
PREFLIGHT = "data/preflight_mup_olmo_variant.csv"

N_HOT, N_LR, N_COOL, N_BENCHMARK, N_OPEN, N_PREFLIGHT, N_SLIM, N_FITS = 3850, 1000, 199, 770, 21, 24, 28, 66
STEP_TOKENS = 4_194_304
LAST_STEP = 83_475
VOCABULARY = 50_304
ROUNDING = 1e-6
"""Three starts of a cooldown repeat a checkpoint with fewer digits."""
N_STARTS_REPEATED = 162
LARGEST_LOSS = 30.0
"""A trial that ended at 59.5 nats has diverged; such a number is no loss (a uniform guess has 10.8)."""


def _power_sum(suffix: str, objective: str, n_definition: str, **params: float) -> PublishedFit:
    logs = {"E": params["e"], "A": params["a"], "B": params["b"]}
    return PublishedFit(
        law="chinchilla",
        variant=f"gemstones_{suffix}",
        params={name: math.exp(value) for name, value in logs.items()}
        | {"alpha": params["alpha"], "beta": params["beta"]},
        where_stated=(
            f"parameters_delta-4/approach_3_parameters_grid_search_0_{objective}.json (the file stores logarithms "
            "of E, A and B; Huber delta 1e-4 on the log loss)"
        ),
        evidence="converted",
        output_unit="nats_per_token",
        n_definition=n_definition,
    )


SOURCE = Source(
    source_id="gemstones",
    title="Gemstones: A Model Suite for Multi-Faceted Scaling Laws",
    authors=(
        "Sean McLeish, John Kirchenbauer, David Yu Miller, Siddharth Singh, Abhinav Bhatele, Micah Goldblum, Ashwinee "
        "Panda, Tom Goldstein"
    ),
    year=2025,
    arxiv_id="2502.06857",
    repository="mcleish7/gemstone-scaling-laws",
    upstream_commit="5f420478f6057b0cbb4d13405fb10ca64675bccb",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    headline_metric="loss",
    headline_eval_set="validation",
    n_definition="n_params",
    notes=(
        "Families: 'hot', 22 shapes (width x depth) at a constant learning rate, a checkpoint every 477 steps (2e9 "
        "tokens) to 350e9 tokens, 175 per run; 'cooldown', 199 branches of 20 of them, decayed over a further tenth of "
        "the tokens, each with its start and its end; 'lr_ablation', the first 100e9 tokens of 20 shapes again with "
        "another learning rate (its value is not in the files). Checkpoints of a run depend on each other: a fit over "
        "them needs errors by run. n_params counts two matrices of 50,304 rows, input embedding and output head (less "
        "both, close to 15 x layers x width^2 remain); n_params_with_head leaves out the first, n_params_non_embedding "
        "both. The authors' 'no_embeds' is n_params_with_head in approach 3 and n_params_non_embedding in approach 1. "
        "Of open models it is the authors' count, which leaves out one matrix also where the head is a second one. The "
        "tables named after the selections of the paper (hot, hot_100b+, hot_120b+_only ...) are subsets: select on "
        "n_tokens, 10e9 apart. 162 starts of cooldowns repeat a checkpoint of the hot run and are flagged "
        "exact_duplicate; 19 lie at a step the hot table does not have (23,840 against 23,850); the 18 of shapes "
        "2560x8 and 3072x12 differ from it by up to 0.06 nats, so those branches seem to come from another training of "
        "the same shape. The two 'slim_chinchilla' tables hold no Gemstone: their 28 points are points of source "
        "epoch_chinchilla (family 'chinchilla_extract', flagged duplicate_source). Evaluation set 'validation' is the "
        "authors' held-out text; fineweb_edu and fineweb_dclm are two more, at the 35 checkpoints 10e9 apart. Scores "
        "are the nine accuracies of the release with its standard errors; shots, items and chance level are not stated "
        "(three digits suggest 1,000 items), mmlu and its error look like means over subjects. Family 'open_models' "
        "holds losses of 21 public models on that text under their own tokenizers (eval set validation_open_models): "
        "not comparable with each other across tokenizers nor with the Gemstones. Family 'preflight' holds 23 short "
        "trials of the learning rate (training loss, tokens not stated); a 24th that diverged to 59.5 is left out. "
        "Stored fits of the authors are claims, two of them sets of the Chinchilla law. Their grid search stopped "
        "short for hot, cool_end and lr_ablation_hot: a better optimum exists there with beta 0.59 against the stored "
        "0.69, so those exponents are not identified by the data. Upstream lacks summary_df.jsonl and "
        "wandb_df_raw.jsonl."
    ),
    bibtex=(
        "@article{mcleish2025gemstones, title={Gemstones: A Model Suite for Multi-Faceted Scaling Laws}, "
        "author={McLeish, Sean and Kirchenbauer, John and Miller, David Yu and Singh, Siddharth and Bhatele, Abhinav "
        "and Goldblum, Micah and Panda, Ashwinee and Goldstein, Tom}, journal={arXiv preprint arXiv:2502.06857}, "
        "year={2025}}"
    ),
    published_fits=(
        _power_sum(
            "hot_100b",
            "hot_100b+",
            "n_params",
            e=0.6655226816,
            a=4.8761769847,
            b=12.6984060933,
            alpha=0.2575546364,
            beta=0.5909317455,
        ),
        _power_sum(
            "hot_100b_no_embeds",
            "hot_100b+_no_embeds",
            "n_params_with_head",
            e=0.6701923538,
            a=4.560218379,
            b=13.1801176946,
            alpha=0.2442197772,
            beta=0.6099171547,
        ),
    ),
    set_aside=(
        *(SetAside(TABLE.format(view), rows, f"a selection of {whole}") for view, (whole, rows) in VIEWS.items()),
        SetAside(SLIM_LR_FILE, N_SLIM - 1, f"the same points stand in {SLIM_FILE}"),
        SetAside(ERRORS, N_BENCHMARK, f"standard errors, joined to the scores of {SCORES}"),
        SetAside(PREFLIGHT, 1, "a trial that diverged to 59.5 nats, which is no loss"),
        SetAside("parameters*/*.json", 1, "read into claims: the numbers of one stored fit"),
    ),
)

CHECKPOINT = pl.Schema(
    {
        "run_name": pl.String,
        "params_active_precise": pl.Float64,
        "width": pl.Float64,
        "depth": pl.Float64,
        "tokens": pl.Float64,
        "step": pl.Float64,
        "num_nodes": pl.Float64,
        "seconds_per_step": pl.Float64,
        "final_loss": pl.Float64,
    }
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Runs of seven families, their losses and scores, and the stored fits as claims."""
    hot, ablation = _checkpoints(raw, HOT_FILE, N_HOT), _checkpoints(raw, LR_FILE, N_LR)
    _check_views(raw, {HOT_FILE: hot, LR_FILE: ablation})
    cooldown = _cooldowns(raw, hot)
    losses = pl.concat(
        [
            hot.with_columns(family=pl.lit("hot"), run=pl.col("shape")),
            ablation.with_columns(family=pl.lit("lr_ablation"), run=pl.format("{}-lr-ablation", "shape")),
            cooldown.with_columns(family=pl.lit("cooldown")),
        ],
        how="diagonal",
    ).with_columns(run_id=pl.format("gemstones/{}", "run"))
    benchmark = pl.concat([*(_fineweb(raw, name, hot) for name in FINEWEB), _scores(raw, hot)], how="diagonal_relaxed")
    others = [_open_models(raw), _preflight(raw, hot), _extract(raw)]
    runs = pl.concat([_runs(losses), *(runs for runs, _ in others)], how="diagonal_relaxed").with_columns(
        study=pl.lit("gemstones"), architecture=pl.lit("decoder")
    )
    evals = pl.concat(
        [_losses(losses), benchmark, *(evals for _, evals in others)], how="diagonal_relaxed"
    ).with_columns(split=pl.lit("all"), value_origin=pl.col("value_origin").fill_null("reported"))
    return {
        "runs": conform("runs", runs, "gemstones"),
        "evals": conform("evals", evals, "gemstones"),
        "claims": conform("claims", _claims(raw), "gemstones"),
    }


def _read(raw: RawFolder, name: str, schema: pl.Schema, rows: int) -> pl.DataFrame:
    """A file of JSON lines with record numbers."""
    frame = pl.read_ndjson(raw.path(name), schema=schema).with_row_index("raw_row", offset=1)
    if frame.height != rows:
        raise DataError(f"gemstones, {name!r}: {frame.height} records where {rows} are expected")
    raw.count(name, frame.height)
    return frame.with_columns(pl.col("raw_row").cast(pl.Int64), raw_file=pl.lit(name))


def _checkpoints(raw: RawFolder, name: str, rows: int) -> pl.DataFrame:
    """One table of checkpoints, after checks of its tokens, shapes and keys."""
    frame = _read(raw, name, CHECKPOINT, rows).with_columns(shape=pl.col("run_name").str.extract(r"-(\d+x\d+)_"))
    shape = pl.format("{}x{}", pl.col("width").cast(pl.Int64), pl.col("depth").cast(pl.Int64))
    bad = frame.filter((pl.col("tokens") != pl.col("step") * STEP_TOKENS) | (shape != pl.col("shape")))
    copies = frame.select("shape", "step").is_duplicated().sum()
    if bad.height or copies:
        raise DataError(
            f"gemstones, {name!r}: {bad.height} record(s) whose tokens are not step x {STEP_TOKENS} or whose name "
            f"contradicts width and depth, {copies} that repeat a step"
        )
    return frame


def _check_views(raw: RawFolder, tables: dict[str, pl.DataFrame]) -> None:
    """Account for the tables that are not read: each of their rows stands in the table they select from."""
    key = ["run_name", "step", "final_loss", "params_active_precise"]
    for view, (whole, rows) in VIEWS.items():
        name = TABLE.format(view)
        lost = _read(raw, name, CHECKPOINT, rows).join(tables[whole], on=key, how="anti")
        if lost.height:
            raise DataError(
                f"gemstones, {name!r}: {lost.height} record(s) are not in {whole!r}, first {lost['raw_row'][0]}"
            )


def _cooldowns(raw: RawFolder, hot: pl.DataFrame) -> pl.DataFrame:
    """Starts and ends of the cooldowns; a start that repeats a checkpoint of the hot run is flagged."""
    rank = pl.col("step").rank("ordinal").over("shape")
    begin = _checkpoints(raw, BEGIN_FILE, N_COOL).with_columns(branch=rank)
    end = _checkpoints(raw, END_FILE, N_COOL).with_columns(branch=rank)
    names = begin.select("shape", "branch", start="step")
    pairs = end.join(names, on=["shape", "branch"], how="left")
    # 10e9 and 11e9 tokens, 20e9 and 22e9, and so on: the branch is a tenth of what was trained before
    if pairs.filter((pl.col("step") / pl.col("start")).is_between(1.099, 1.1)).height != N_COOL:
        raise DataError(f"gemstones: a start in {BEGIN_FILE!r} has no end a tenth later in {END_FILE!r}")
    known = hot.select("shape", "step", loss_of_hot="final_loss")
    begin = begin.join(known, on=["shape", "step"], how="left", maintain_order="left").with_columns(start="step")
    repeats = ((pl.col("final_loss") - pl.col("loss_of_hot")).abs() < ROUNDING).fill_null(value=False)
    begin = begin.with_columns(
        flag=pl.when(repeats).then(pl.lit("exact_duplicate")),
        flag_reason=pl.when(repeats).then(
            pl.lit("the start of the cooldown repeats the checkpoint of the hot run; set aside so that it counts once")
        ),
    )
    if begin["flag"].count() != N_STARTS_REPEATED:
        raise DataError(
            f"gemstones, {BEGIN_FILE!r}: {begin['flag'].count()} starts repeat a hot checkpoint where "
            f"{N_STARTS_REPEATED} are expected"
        )
    return pl.concat([begin.drop("loss_of_hot"), pairs], how="diagonal_relaxed").with_columns(
        run=pl.format("{}-cooldown-{}", "shape", pl.col("start").cast(pl.Int64))
    )


def _runs(losses: pl.DataFrame) -> pl.DataFrame:
    return (
        losses.sort("step")
        .unique("run_id", keep="last", maintain_order=True)
        .select(
            "run_id",
            "family",
            "seconds_per_step",
            model_name=pl.col("run_name"),
            n_params="params_active_precise",
            n_params_non_embedding=pl.col("params_active_precise") - 2 * VOCABULARY * pl.col("width"),
            n_params_with_head=pl.col("params_active_precise") - VOCABULARY * pl.col("width"),
            n_tokens="tokens",
            n_steps="step",
            vocab_size=pl.lit(float(VOCABULARY)),
            d_model="width",
            n_layers="depth",
            n_nodes="num_nodes",
            batch_size_tokens=pl.lit(float(STEP_TOKENS)),
            tokenizer_id=pl.lit("gemstones"),
        )
    )


def _losses(losses: pl.DataFrame) -> pl.DataFrame:
    return losses.select(
        "run_id",
        "step",
        "raw_file",
        "raw_row",
        "flag",
        "flag_reason",
        n_tokens="tokens",
        metric=pl.lit("loss"),
        eval_set=pl.lit("validation"),
        value="final_loss",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("final_loss"),
        value_origin=pl.lit("reported"),
    )


def _on_grid(frame: pl.DataFrame, hot: pl.DataFrame, name: str) -> pl.DataFrame:
    """Check that `frame` names the hot checkpoints 10e9 tokens apart, each once, and add their tokens."""
    grid = hot.filter(pl.col("step") % 2385 == 0).select("shape", "step", n_tokens="tokens")
    joined = frame.join(grid, on=["shape", "step"], how="inner", maintain_order="left")
    if not joined.height == frame.height == grid.height:
        raise DataError(
            f"gemstones, {name!r}: {joined.height} of {frame.height} records are among the {grid.height} checkpoints"
        )
    return joined.with_columns(run_id=pl.format("gemstones/{}", "shape"))


def _fineweb(raw: RawFolder, eval_set: str, hot: pl.DataFrame) -> pl.DataFrame:
    name = f"benchmarks/{FINEWEB[eval_set]}.jsonl"
    schema = pl.Schema({"run_name": pl.String, "step": pl.Float64, "final_loss": pl.Float64})
    frame = _read(raw, name, schema, N_BENCHMARK).with_columns(shape=pl.col("run_name").str.extract(r"-(\d+x\d+)$"))
    return _on_grid(frame, hot, name).select(
        "run_id",
        "step",
        "n_tokens",
        "raw_file",
        "raw_row",
        metric=pl.lit("loss"),
        eval_set=pl.lit(eval_set),
        value="final_loss",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("final_loss"),
    )


def _scores(raw: RawFolder, hot: pl.DataFrame) -> pl.DataFrame:
    """Nine accuracies a checkpoint with their standard errors."""
    index = "__index_level_0__"
    values, errors = pl.read_parquet(raw.path(SCORES)), pl.read_parquet(raw.path(ERRORS))
    if values.height != N_BENCHMARK or not values[index].equals(errors[index]):
        raise DataError(f"gemstones: {SCORES!r} has {values.height} records, or {ERRORS!r} names others")
    raw.count(SCORES, values.height)
    raw.count(ERRORS, errors.height)
    tasks = [column for column in values.columns if column != index]
    values = values.with_row_index("raw_row", offset=1)
    # 'main' is the last checkpoint
    step = pl.col(index).str.extract(r"step_(\d+)$").cast(pl.Float64).fill_null(LAST_STEP)
    long = (
        values.unpivot(tasks, index=[index, "raw_row"], variable_name="task", value_name="value")
        .with_columns(std_error=errors.select(tasks).unpivot(tasks)["value"])
        .with_columns(shape=pl.col(index).str.extract(r"-(\d+x\d+)-"), step=step)
    )
    first = _on_grid(long.filter(pl.col("task") == tasks[0]), hot, SCORES)
    return long.join(
        first.select("shape", "step", "run_id", "n_tokens"), on=["shape", "step"], maintain_order="left"
    ).select(
        "run_id",
        "step",
        "n_tokens",
        "value",
        "std_error",
        metric=pl.lit("acc"),
        eval_set=pl.col("task").str.replace(":", "_"),
        unit=pl.lit("fraction"),
        raw_file=pl.lit(SCORES),
        raw_row=pl.col("raw_row").cast(pl.Int64),
        raw_field="task",
    )


def _open_models(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Public models on the same text, each under its own tokenizer."""
    columns: dict[str, list[Any]] = json.loads(raw.text(OPEN_MODELS))
    models = pl.DataFrame(columns).with_row_index("raw_row", offset=1)
    if models.height != N_OPEN:
        raise DataError(f"gemstones, {OPEN_MODELS!r}: {models.height} models where {N_OPEN} are expected")
    raw.count(OPEN_MODELS, models.height)
    name = pl.col("hf_name").str.split("/").list.last().str.to_lowercase().str.strip_suffix("-hf")
    models = models.with_columns(model_id=name, run_id=pl.format("gemstones/open/{}", name))
    runs = models.select(
        "run_id",
        "model_id",
        "vocab_size",
        model_name="hf_name",
        family=pl.lit("open_models"),
        n_params="params",
        n_params_non_embedding="non_emb_params",
        d_model="width",
        n_layers="depth",
        # generations that share a vocabulary share a tokenizer, but for Qwen's, where padding differs with size
        tokenizer_id=name.str.extract(r"^(gemma|llama-2|llama-3|qwen2)"),
    )
    evals = models.select(
        "run_id",
        metric=pl.lit("loss"),
        eval_set=pl.lit("validation_open_models"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        raw_file=pl.lit(OPEN_MODELS),
        raw_row=pl.col("raw_row").cast(pl.Int64),
        raw_field=pl.lit("loss"),
    )
    return runs, evals


def _preflight(raw: RawFolder, hot: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Short trials of the learning rate: shape and rate stand in the name."""
    sizes = hot.unique("shape").select("shape", "width", "depth", n_params="params_active_precise")
    trials = (
        raw.csv(PREFLIGHT, {"Name": pl.String, "scaling/global_loss": pl.Float64}, rows=N_PREFLIGHT)
        .with_columns(
            shape=pl.col("Name").str.extract(r"-(\d+x\d+)_"),
            learning_rate=pl.col("Name").str.extract(r"_lr(\d+e-\d+)_").cast(pl.Float64),
            n_nodes=pl.col("Name").str.extract(r"_(\d+)nodes_").cast(pl.Float64),
        )
        .join(sizes, on="shape", how="left", maintain_order="left")
        .with_columns(
            run_id=pl.format("gemstones/preflight/{}-lr{}", "shape", pl.col("Name").str.extract(r"_lr(\d+e-\d+)_"))
        )
    )
    diverged = trials.filter(pl.col("scaling/global_loss") > LARGEST_LOSS)
    unread = trials.filter(pl.any_horizontal(pl.col("learning_rate", "n_params").is_null()))
    if unread.height or diverged["run_id"].to_list() != ["gemstones/preflight/3072x12-lr5e-02"]:
        raise DataError(
            f"gemstones, {PREFLIGHT!r}: {unread.height} unreadable name(s), diverged trials "
            f"{diverged['run_id'].to_list()}"
        )
    kept = trials.filter(pl.col("scaling/global_loss") <= LARGEST_LOSS)
    runs = kept.select(
        "run_id",
        "n_params",
        "learning_rate",
        "n_nodes",
        model_name="Name",
        family=pl.lit("preflight"),
        n_params_non_embedding=pl.col("n_params") - 2 * VOCABULARY * pl.col("width"),
        n_params_with_head=pl.col("n_params") - VOCABULARY * pl.col("width"),
        d_model="width",
        n_layers="depth",
        vocab_size=pl.lit(float(VOCABULARY)),
        tokenizer_id=pl.lit("gemstones"),
    )
    evals = kept.select(
        "run_id",
        "raw_file",
        "raw_row",
        metric=pl.lit("train_loss"),
        eval_set=pl.lit("train"),
        value="scaling/global_loss",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("scaling/global_loss"),
    )
    return runs, evals


def _extract(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points of the Chinchilla figure that the authors selected for comparison: flagged, another source has them."""
    schema = pl.Schema(dict.fromkeys(("params_active_precise", "tokens", "FLOPs", "final_loss"), pl.Float64))
    points = _read(raw, SLIM_FILE, schema, N_SLIM)
    lost = _read(raw, SLIM_LR_FILE, schema, N_SLIM - 1).join(points, on=list(schema), how="anti")
    if lost.height:
        raise DataError(f"gemstones, {SLIM_LR_FILE!r}: {lost.height} record(s) are not in {SLIM_FILE!r}")
    points = points.with_columns(run_id=pl.format("gemstones/chinchilla_extract/{}", "raw_row"))
    runs = points.select(
        "run_id",
        family=pl.lit("chinchilla_extract"),
        n_params="params_active_precise",
        n_tokens="tokens",
        train_flops="FLOPs",
        corpus=pl.lit("MassiveText"),
        model_id=chinchilla_point(pl.col("params_active_precise"), pl.col("FLOPs"), pl.col("final_loss")),
    )
    evals = points.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens="tokens",
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        value="final_loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("digitised"),
        flag=pl.lit("duplicate_source"),
        flag_reason=pl.lit("a point of source epoch_chinchilla; use that source"),
        raw_field=pl.lit("final_loss"),
    )
    return runs, evals


def _claims(raw: RawFolder) -> pl.DataFrame:
    """The stored fits, one claim per number."""
    files = raw.files("parameters*/*.json")
    if len(files) != N_FITS:
        raise DataError(f"gemstones: {len(files)} stored fits where {N_FITS} are expected")
    for name in files:
        raw.count(name, 1)
    return pl.DataFrame([row for name in files for row in _stored_fit(name, json.loads(raw.text(name)))])


def _stored_fit(name: str, fit: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers of one stored fit, by the names that the authors' code gives them."""
    path = PurePosixPath(name)
    if "coef" in fit:
        numbers = {"slope": fit["coef"][0], "intercept": fit["intercept"]}
        quantity = path.stem.removeprefix("approach_1_linear_regression_")
        subject = f"Optimal {quantity}: natural logarithm against that of training FLOP, the"
        slug = f"approach_1/{quantity}"
    else:
        numbers = {"objective": fit["loss"]["0"], "irreducible_error": fit["irreducible_error"]["0"]}
        for kind in ("exponents", "coefficients"):
            numbers |= {f"{kind}_{i}": value for i, value in enumerate(fit[kind]["0"])}
        delta = path.parent.name.removeprefix("parameters_delta-")
        form, _, selection = path.stem.removeprefix("approach_3_").partition("_grid_search_0_")
        slug = f"approach_3/delta_1e-{delta}/{form}/{selection}"
        subject = f"Law in {form} fitted to {selection} (Huber delta 1e-{delta} on the log loss; logs of E, A, B): the"
    return [
        {
            "claim_id": f"2502.06857/{slug}/{quantity}",
            "claim": f"{subject} {quantity.replace('_', ' ')} is {value:.6g}",
            "quantity": quantity,
            "value": float(value),
            "unit": "unitless",
            "varies": "model shape and training tokens",
            "where_stated": name,
            "test_source": "gemstones",
        }
        for quantity, value in numbers.items()
    ]
