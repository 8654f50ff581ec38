"""IsoFLOP points collected by Open Athena (arXiv 2603.22339); the Marin ladders are new, the rest are copies.

The union file repeats points of Chinchilla (twice), Llama 3 and (Mis)Fitting that other sources hold
at first hand; all of those are flagged. The Marin runs are read from their raw exports, which also
hold architecture and hyper-parameters.
"""

from __future__ import annotations

import polars as pl

from ingest._model_ids import chinchilla_point, llama3_point
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

UNION = "data/isoflops/transform/isoflops.csv"
EXTRACTS = {"epochai_chinchilla": 123, "llama_3": 266, "marin_202603": 258, "misfitting": 176, "ml_scalefit": 124}
LADDERS = {
    "comma": (92, "Comma", "optimizer.learning_rate"),
    "dclm": (85, "DCLM", "optimizer.learning_rate"),
    "nemotron": (96, "Nemotron", "learning_rate"),
}
FITS = "docs/reproductions/ml-scalefit/scalefit_results.csv"
CONTEXT = 4096
"""Tokens of one sequence: tokens / (batch x steps) in all 273 Marin runs."""
N_OPTIMAL = 15

COPIES = {
    "epochai_chinchilla": ("epoch_chinchilla", "the point is one of source epoch_chinchilla (same N and loss)"),
    "ml_scalefit": ("epoch_chinchilla", "N and loss equal a point of source epoch_chinchilla to the last digit"),
    "llama_3": ("llama3_isoflop", "the point is one of source llama3_isoflop (same tokens, budget and loss)"),
    "misfitting": ("misfitting", "interpolated from the curves of source misfitting"),
}
"""Parts that hold no new evidence: source that holds it, and how that was established."""
CORPORA = {"massivetext": "MassiveText", "fineweb_c4": "FineWeb", "llama_3": "Llama 3 pre-training mix"}

FIT_PARAMETERS = {
    "bias": "irreducible loss",
    "bias_size": "coefficient of (n_params / 1e6) ^ -pow_size",
    "bias_tokens": "coefficient of (n_tokens / 1e9) ^ -pow_tokens",
    "pow_size": "exponent of model size",
    "pow_tokens": "exponent of tokens",
    "r2": "coefficient of determination",
    "mre": "mean relative error",
    "mae": "mean absolute error",
}

# variant, whose fit, exponents of optimal size and optimal tokens in compute
DEEPSEEK_N = "N is no parameter count but non-embedding FLOPs per token, C = N D"
EXPONENTS = (
    ("deepseek", f"DeepSeek LLM, current data; {DEEPSEEK_N}", 0.524, 0.476),
    ("deepseek_early", f"DeepSeek LLM, early data; {DEEPSEEK_N}", 0.450, 0.550),
    ("xlstm", "xLSTM", 0.547, 0.417),
    ("xlstm_transformer", "the Transformer of the xLSTM study", 0.575, 0.424),
    ("discrete_diffusion", "a discrete diffusion language model", 0.589, 0.411),
    ("dit", "diffusion transformers", 0.568, 0.432),
    ("ehr", "electronic health records", 0.58, 0.44),
    ("olmo_hybrid_transformer", "the Transformer of OLMo hybrid", 0.458, 0.542),
)
"""Exponents that other studies published, as the paper collects them. Two pairs do not add up to 1, as printed."""

SOURCE = Source(
    source_id="open_athena_isoflops",
    title="Problems with Chinchilla Approach 2: Systematic Biases in IsoFLOP Parabola Fits",
    authors="Eric Czech, Zhiwei Xu, Yael Elmatad, Yixin Wang, William Held",
    year=2026,
    arxiv_id="2603.22339",
    repository="Open-Athena/scaling-law-analysis",
    upstream_commit="3e0656ee3dce1a2c89aa67691920f5eb9d30f0fc",
    licence="none stated",
    redistribution="results of published runs as our own table of facts with citation; no file is shipped",
    headline_metric="loss",
    headline_eval_set="paloma_macro",
    n_definition="n_params",
    notes=(
        "New evidence are the Marin ladders: study 'marin', 258 runs of a Llama-type decoder on Comma (85), DCLM (85) "
        "and Nemotron (88), each along IsoFLOP curves; study 'marin_validation_optimal', 15 runs at the predicted "
        "optimum of each budget, left out of the authors' analysis (split validation). Loss is the Paloma macro mean, "
        "nats per token. The budget in a run's name counts forward operations only; train_flops is the budget of the "
        "union file, three times that, and equals the logged operations to five digits (for the 15 runs name and log "
        "agree and are carried). It is not 6 n_params n_tokens: the ratio runs from 0.93 to 1.35. The Nemotron export "
        "logs no learning rate. Flag set_aside_by_authors marks 19 Marin points that the authors' own filter removes "
        "before fitting; its reason is in flag_reason, and the filter moves exponents. All other parts are copies and "
        "flagged duplicate_source: both Chinchilla parts are Epoch's extraction (epoch_chinchilla; for ml_scalefit, a "
        "selection of it for another paper, 124 points, of which 4 pairs differ only in tokens), the Llama 3 "
        "points are those of llama3_isoflop, the (Mis)Fitting points are interpolated from misfitting. There n_tokens "
        "was recomputed by the authors from the snapped budget, and n_params of Llama 3 is null, because "
        "it was assumed to be C / (6 D). The union file also carries exp of the Llama 3 loss as a second condition "
        "(133 rows): the build checks that and keeps the first only. Claims hold the six reference fits of the "
        "ml_scalefit reproduction. "
        "Recomputable: minima of parabolas in log10 tokens give exponents of D_opt(C) of 0.572 (Comma), 0.552 (DCLM) "
        "and 0.553 (Nemotron, without its smallest budget, whose three points make no minimum) on all points, but "
        "0.552, 0.544 and 0.532 on those that the filter keeps. Law chinchilla_a2: optimal parameters grow as C^a, "
        "optimal tokens as C^b; the sets are those of other studies, which the paper compares. Each study counts N and "
        "C its own way (DeepSeek's N is FLOPs per token without embeddings)."
    ),
    bibtex=(
        "@article{openathena2026approach2, title={Problems with Chinchilla Approach 2: Systematic Biases in {IsoFLOP} "
        "Parabola Fits}, author={Czech, Eric and Xu, Zhiwei and Elmatad, Yael and Wang, Yixin and Held, William}, "
        "journal={arXiv preprint arXiv:2603.22339}, year={2026}}"
    ),
    published_fits=tuple(
        PublishedFit(
            law="chinchilla_a2",
            variant=variant,
            params={"a": a, "b": b},
            where_stated=f"arXiv 2603.22339, table of published exponents of other studies: {whose}",
            evidence="second_hand",
            output_unit="unitless",
        )
        for variant, whose, a, b in EXPONENTS
    ),
    set_aside=(
        *(
            SetAside(f"data/isoflops/extract/{name}/isoflops.csv", rows, f"the same points stand in {UNION}")
            for name, rows in EXTRACTS.items()
        ),
        SetAside(UNION, EXTRACTS["marin_202603"], "Marin points, read from the exports of their runs, which say more"),
        SetAside(UNION, EXTRACTS["llama_3"] // 2, "exp of the Llama 3 losses, a second condition"),
        SetAside(FITS, 6, "read into claims: the reference fits of the reproduction"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """The Marin runs, then the copied points, flagged; the reference fits are claims."""
    union = _union(raw)
    ladders = pl.concat([_ladder(raw, name) for name in LADDERS])
    marin = _judged(ladders, union.filter(pl.col("source") == "marin_202603"))
    copies = _copies(union)
    runs = [_marin_runs(marin), _copy_runs(copies)]
    evals = [_marin_evals(marin), _copy_evals(copies)]
    return {
        "runs": pl.concat([conform("runs", frame, "open_athena_isoflops") for frame in runs]),
        "evals": pl.concat([conform("evals", frame, "open_athena_isoflops") for frame in evals]),
        "claims": conform("claims", _claims(raw), "open_athena_isoflops"),
    }


def _union(raw: RawFolder) -> pl.DataFrame:
    """The union file, after checking that it is the five extracts and their conditions."""
    text = {"source": pl.String, "dataset": pl.String, "condition": pl.String, "experiment": pl.String}
    numbers = dict.fromkeys(("tokens", "params", "budget", "loss"), pl.Float64)
    union = raw.csv(UNION, {**text, **numbers, "outlier": pl.Boolean, "reason": pl.String}, rows=sum(EXTRACTS.values()))
    key = ["source", "experiment", *numbers]
    parts = [
        raw.csv(f"data/isoflops/extract/{name}/isoflops.csv", {**text, **numbers}, rows=rows)
        for name, rows in EXTRACTS.items()
    ]
    if not pl.concat(parts).select(key).sort(key).equals(union.select(key).sort(key)):
        raise DataError(f"open_athena_isoflops: {UNION!r} is not the union of the extracts")
    raws, exps = (
        union.filter(pl.col("condition") == name).sort("budget", "tokens") for name in ("raw_loss", "exp_loss")
    )
    paired = raws.select("budget", "tokens", "loss").with_columns(other=exps["loss"])
    same_points = raws.select("budget", "tokens").equals(exps.select("budget", "tokens"))
    if not same_points or paired.filter((pl.col("loss").exp() - pl.col("other")).abs() > 1e-12).height:
        raise DataError(f"open_athena_isoflops, {UNION!r}: the second Llama 3 condition is not exp of the first")
    return union


def _ladder(raw: RawFolder, name: str) -> pl.DataFrame:
    rows, corpus, rate = LADDERS[name]
    numbers = {
        "parameter_count": "n_params",
        "throughput/total_tokens": "n_tokens",
        "throughput/total_gflops": "gflops",
        "eval/paloma/macro_loss": "loss",
        "trainer.train_batch_size": "batch",
        "trainer.num_train_steps": "n_steps",
        "model.hidden_dim": "d_model",
        "model.num_layers": "n_layers",
        rate: "learning_rate",
    }
    table = raw.csv(
        f"data/isoflops/extract/marin_202603/raw/isoflop-{name}.csv",
        {"Name": pl.String, **dict.fromkeys(numbers, pl.Float64)},
        rows=rows,
    ).rename(numbers)
    optimal = pl.col("Name").str.contains("validation-optimal")
    table = table.with_columns(
        dataset=pl.lit(name),
        corpus=pl.lit(corpus),
        is_optimal=optimal,
        named=pl.col("Name").str.extract(r"-(\de\+\d\d)-").cast(pl.Float64),
    ).with_columns(budget=pl.when("is_optimal").then("named").otherwise(3 * pl.col("named")))
    odd = table.filter(
        ((pl.col("gflops") * 1e9 / pl.col("budget") - 1).abs() > 1e-4)
        | (pl.col("n_tokens") != pl.col("batch") * pl.col("n_steps") * CONTEXT)
    )
    if odd.height or table["budget"].null_count():
        raise DataError(f"open_athena_isoflops: {odd.height} run(s) of ladder {name!r} contradict their name or log")
    return table


def _judged(ladders: pl.DataFrame, union: pl.DataFrame) -> pl.DataFrame:
    """Add the authors' verdict on each Marin point, checking their copy of its numbers."""
    verdicts = union.select("dataset", "outlier", "reason", "tokens", "params", "loss", "budget")
    marin = ladders.join(
        verdicts,
        left_on=["dataset", "n_tokens", "n_params", "loss", "budget"],
        right_on=["dataset", "tokens", "params", "loss", "budget"],
        how="left",
        maintain_order="left",
    )
    unmatched = marin.filter(pl.col("outlier").is_null())
    if not (unmatched["is_optimal"].all() and unmatched.height == N_OPTIMAL and marin.height == ladders.height):
        raise DataError(f"open_athena_isoflops: {unmatched.height} Marin run(s) are not in {UNION!r}")
    return marin.with_columns(
        run_id=pl.concat_str(pl.lit("open_athena_isoflops/"), "Name"),
        study=pl.when("is_optimal").then(pl.lit("marin_validation_optimal")).otherwise(pl.lit("marin")),
    )


def _marin_runs(marin: pl.DataFrame) -> pl.DataFrame:
    return marin.select(
        "run_id",
        "study",
        "n_params",
        "n_tokens",
        "corpus",
        "d_model",
        "n_layers",
        "learning_rate",
        "n_steps",
        model_name="Name",
        family=pl.concat_str(pl.lit("marin_"), "dataset"),
        architecture=pl.lit("decoder"),
        train_flops="budget",
        context_length=pl.lit(float(CONTEXT)),
        batch_size_tokens=pl.col("batch") * CONTEXT,
    )


def _marin_evals(marin: pl.DataFrame) -> pl.DataFrame:
    return marin.select(
        "run_id",
        "raw_file",
        "raw_row",
        "n_tokens",
        step="n_steps",
        metric=pl.lit("loss"),
        eval_set=pl.lit("paloma_macro"),
        split=pl.when("is_optimal").then(pl.lit("validation")).otherwise(pl.lit("fit")),
        value="loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        flag=pl.when("outlier").then(pl.lit("set_aside_by_authors")),
        flag_reason=pl.when("outlier").then(
            pl.concat_str(pl.lit("the authors' filter removes the point before fitting: "), "reason")
        ),
        raw_field=pl.lit("eval/paloma/macro_loss"),
    )


def _copies(union: pl.DataFrame) -> pl.DataFrame:
    number = pl.col("raw_row").rank("ordinal").over("source").cast(pl.Int64).cast(pl.String).str.zfill(3)
    return (
        union.filter(pl.col("source").is_in(list(COPIES)) & (pl.col("condition").fill_null("") != "exp_loss"))
        .with_columns(run_id=pl.concat_str(pl.lit("open_athena_isoflops/"), "source", pl.lit("-"), number))
        .with_columns(is_llama=pl.col("source") == "llama_3", is_misfitting=pl.col("source") == "misfitting")
    )


def _copy_runs(copies: pl.DataFrame) -> pl.DataFrame:
    return copies.select(
        "run_id",
        study="source",
        family="source",
        architecture=pl.lit("decoder"),
        n_params=pl.when(~pl.col("is_llama")).then("params"),
        n_tokens="tokens",
        train_flops="budget",
        corpus=pl.col("dataset").replace_strict(CORPORA),
        tokenizer_id=pl.when("is_misfitting").then(pl.lit("misfitting-50432")),
        model_id=pl.when(pl.col("source").is_in(["epochai_chinchilla", "ml_scalefit"]))
        .then(chinchilla_point(pl.col("params"), 6 * pl.col("params") * pl.col("tokens"), pl.col("loss")))
        .when("is_llama")
        .then(llama3_point(pl.col("budget"), pl.col("loss"))),
    )


def _copy_evals(copies: pl.DataFrame) -> pl.DataFrame:
    reasons = {
        name: f"{how}; set aside here so that a run counts once, whatever the authors' filter says of it: "
        for name, (_, how) in COPIES.items()
    }
    return copies.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens="tokens",
        metric=pl.lit("loss"),
        eval_set=pl.when("is_misfitting").then(pl.lit("c4_val")).otherwise(pl.lit("unstated")),
        split=pl.lit("fit"),
        value="loss",
        unit=pl.when("is_llama").then(pl.lit("nats_rescaled")).otherwise(pl.lit("nats_per_token")),
        value_origin=pl.when("is_misfitting").then(pl.lit("derived")).otherwise(pl.lit("digitised")),
        flag=pl.lit("duplicate_source"),
        flag_reason=pl.concat_str(pl.col("source").replace_strict(reasons), "reason"),
        raw_field=pl.lit("loss"),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    """The reference fits of the reproduction, one row per number, in the normalised units of its optimiser."""
    fits = raw.csv(FITS, {"config": pl.String, "n": pl.Float64, **dict.fromkeys(FIT_PARAMETERS, pl.Float64)}, rows=6)
    return fits.unpivot(list(FIT_PARAMETERS), index=["config", "n"], variable_name="quantity").select(
        "quantity",
        "value",
        claim_id=pl.concat_str(pl.lit("2603.22339/ml_scalefit/"), "config", pl.lit("/"), "quantity"),
        claim=pl.concat_str(
            pl.lit("Fit '"),
            "config",
            pl.lit("' of loss = bias + bias_size (N/1e6)^-pow_size + bias_tokens (D/1e9)^-pow_tokens to "),
            pl.col("n").cast(pl.Int64).cast(pl.String),
            pl.lit(" Chinchilla points: "),
            pl.col("quantity").replace_strict(FIT_PARAMETERS),
        ),
        unit=pl.when(pl.col("quantity").is_in(["bias", "mae"]))
        .then(pl.lit("nats per token"))
        .otherwise(pl.lit("unitless")),
        varies=pl.lit("objective and optimiser"),
        law=pl.lit("chinchilla"),
        where_stated=pl.lit(FITS),
        test_source=pl.lit("epoch_chinchilla"),
    )
