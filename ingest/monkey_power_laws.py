"""Repeated sampling: how many attempts at a problem succeed, problem by problem (Schaeffer et al., ICML 2025).

Upstream repeats each problem at every number of attempts k. Everything there follows from two counts
(attempts, successes), which the build checks before it stores them once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaln

from ingest._long import parquet, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

PYTHIA, PRETRAINING = "models_pythia.csv", "pretraining_models.csv"
SOLUTIONS, TOKENS = "gpt4_gsm8k_neg_log_likelihood.parquet", "pretraining_probability.parquet"
N_PYTHIA, N_PRETRAINING, N_SOLUTIONS, N_TOKENS = 81, 116, 11_871, 5_244
N_CEREBRAS = 6
N_LISTED_TWICE = 72
"""Pythia checkpoints that the list of pre-training models repeats."""
TOLERANCE = 1e-7
"""Largest difference to the unbiased estimator, which upstream evaluates in another order of operations."""

CHAT_MODELS = {
    "Claude 3.5 Opus": ("claude-3-opus", "Claude 3 Opus"),
    "Claude 3.5 Sonnet": ("claude-3.5-sonnet", "Claude 3.5 Sonnet"),
    "GPT4o": ("gpt-4o", "GPT-4o"),
    "GPT4o Mini": ("gpt-4o-mini", "GPT-4o mini"),
    "Gemini 1.5 Flash": ("gemini-1.5-flash", "Gemini 1.5 Flash"),
    "Gemini 1.5 Pro": ("gemini-1.5-pro", "Gemini 1.5 Pro"),
    "Llama 3 8B IT": ("llama-3-8b-instruct", "Llama 3 8B Instruct"),
}
"""Labels of the jailbreak file; a Claude 3.5 Opus was never released."""


@dataclass(frozen=True)
class Attempts:
    """One upstream table of pass@k and what it must hold.

    `pairs` counts (model, problem), each of which stands once for every value of k.
    """

    file: str
    rows: int
    pairs: int
    model: str = "Model"
    problem: str = "Problem Idx"
    k: str = "Scaling Parameter"
    score: str = "Score"
    samples: str = "Num. Samples"


ORIGINAL = Attempts("large_language_monkeys_original_pass_at_k.parquet", 90_496, 7 * 128, samples="Num. Samples Total")
RESAMPLED = Attempts("large_language_monkeys_pass_at_k.parquet", 43_008, 2 * 7 * 128)
GSM8K = Attempts("pythia_gsm8k_pass_at_k.parquet", 246_552, 10_273, "Model Nickname", "prompt_idx", "k", "pass@k")
MATH = Attempts("pythia_math_pass_at_k.parquet", 218_328, 9_097, "Model Nickname", "prompt_idx", "k", "pass@k")
JAILBREAKS = Attempts("bon_jailbreaking_pass_at_k.parquet", 112_413, 7 * 159)

SOURCE = Source(
    source_id="monkey_power_laws",
    title="How Do Large Language Monkeys Get Their Power (Laws)?",
    authors=(
        "Rylan Schaeffer, Joshua Kazdan, John Hughes, Jordan Juravsky, Sara Price, Aengus Lynch, Erik Jones, "
        "Robert Kirk, Azalia Mirhoseini, Sanmi Koyejo"
    ),
    year=2025,
    arxiv_id="2502.17578",
    repository="RylanSchaeffer/KoyejoLab-Large-How-Do-Language-Monkey-Power-Get-Their-Power",
    upstream_commit="cd078aef2a13e4310fab204860b99c4c39c25d40",
    licence="none stated",
    is_shipped=False,
    redistribution=("58,000 per-problem counts under no stated licence: built locally from the raw files, not shipped"),
    headline_metric="pass_at_1",
    n_definition="n_params",
    not_upstream=tuple(
        [a.file for a in (ORIGINAL, RESAMPLED, GSM8K, MATH, JAILBREAKS)] + [PYTHIA, PRETRAINING, SOLUTIONS, TOKENS]
    ),
    notes=(
        "Table items holds, for every model (checkpoint) and problem, the attempts (n_samples) and successes (metric "
        "n_correct). pass@k at every k follows from the two by the unbiased estimator 1 - C(n-c, k) / C(n, k); the "
        "build checks all upstream values. Where k exceeds n the estimator does not exist, and upstream stores 1 even "
        "for problems that no attempt solved (148,483 of its 710,797 rows): a mean over problems at such k is "
        "inflated, and exponents fitted to it are too steep (MATH, 12B: 0.61 instead of 0.37). Attempts differ by "
        "problem (60 to 79,488), for jailbreaks because sampling stopped soon after a success: successes over attempts "
        "are then no unbiased rate, and means over problems at large k mix problem sets. Study 'pythia' has the "
        "counts on GSM8K (81 checkpoints of nine sizes) and MATH (72, none at 512M tokens) and the negative "
        "log-probability of the GSM8K reference solution (nine checkpoints; the file's name says GPT-4, after the "
        "form of the plot, but the models are Pythia). n_tokens and batch size are the source's rounded values "
        "(2,000,000 per step, 300e9 at the end). Upstream's table of resampled Large Language Monkeys repeats the last "
        "checkpoints exactly and is counted once. The checkpoint of 12B at step 1 has 30 and 9 of the 128 problems: "
        "its evals are flagged incomplete; two checkpoints have one or two GSM8K problems more. Study "
        "'large_language_monkeys' is the original data of arXiv 2407.21787, 10,000 attempts at each of 128 MATH "
        "problems for seven Pythia sizes, a sample of problems that shares two indices with the other study. Study "
        "'best_of_n' counts successful jailbreaks of seven chat models on 159 requests; the upstream label "
        "'Claude 3.5 Opus' stands for Claude 3 Opus. Study 'cerebras' has log-probabilities of 874 tokens of ten "
        "LAMBADA texts under six Cerebras-GPT models. Evals are means over problems that we derived from the items. "
        "The list of 116 pre-training checkpoints names 38 others (Cerebras-GPT 13B, OLMo, LLM360, INCITE, Llama 2) "
        "without numbers."
    ),
    bibtex=(
        "@inproceedings{schaeffer2025monkeys, title={How Do Large Language Monkeys Get Their Power (Laws)?}, "
        "author={Schaeffer, Rylan and Kazdan, Joshua and Hughes, John and Juravsky, Jordan and Price, Sara and Lynch, "
        "Aengus and Jones, Erik and Kirk, Robert and Mirhoseini, Azalia and Koyejo, Sanmi}, booktitle={International "
        "Conference on Machine Learning}, year={2025}}"
    ),
    set_aside=(
        *(
            SetAside(
                spec.file,
                spec.rows - spec.pairs,
                "pass@k at other k of the same model and problem; follows from its attempts and successes",
            )
            for spec in (ORIGINAL, GSM8K, MATH, JAILBREAKS)
        ),
        SetAside(RESAMPLED.file, RESAMPLED.rows, f"repeats the last checkpoints of {GSM8K.file} and {MATH.file}"),
        SetAside(PYTHIA, N_PYTHIA, "read into runs: sizes, steps and tokens of the checkpoints"),
        SetAside(PRETRAINING, N_CEREBRAS, "read into runs: sizes and tokens of the models of study cerebras"),
        SetAside(PRETRAINING, N_LISTED_TWICE, f"Pythia checkpoints, listed in {PYTHIA} too"),
        SetAside(PRETRAINING, N_PRETRAINING - N_LISTED_TWICE - N_CEREBRAS, "models that no file has a number of"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, their per-problem numbers, and means over problems."""
    checkpoints = _checkpoints(raw)
    gsm8k, math = _pairs(raw, GSM8K), _pairs(raw, MATH)
    _check_resampled(_pairs(raw, RESAMPLED), gsm8k, math)
    original, jailbreaks = _pairs(raw, ORIGINAL), _pairs(raw, JAILBREAKS)
    place = checkpoints.select("model", "run_id", "step", "n_tokens")
    counted = pl.concat(
        [
            gsm8k.join(place, on="model", how="left").with_columns(task=pl.lit("gsm8k")),
            math.join(place, on="model", how="left").with_columns(task=pl.lit("math")),
            original.with_columns(run_id=_original_id(), task=pl.lit("math")),
            jailbreaks.with_columns(run_id=_chat_id(), task=pl.lit("best_of_n_jailbreaking")),
        ],
        how="diagonal",
    )
    tokens, cerebras = _tokens(raw)
    likelihoods = pl.concat([_solutions(raw, place), tokens], how="diagonal")
    items = pl.concat([_counts(counted), _compute(counted), likelihoods], how="diagonal")
    runs = pl.concat(
        [_pythia_runs(checkpoints), _original_runs(original, checkpoints), _chat_runs(), cerebras], how="diagonal"
    )
    evals = _means(counted, likelihoods)
    return {
        "runs": conform("runs", runs, "monkey_power_laws"),
        "evals": conform("evals", evals, "monkey_power_laws"),
        "items": conform("items", items.drop("n_tokens"), "monkey_power_laws"),
    }


def pass_at_k(n: NDArray[np.float64], c: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unbiased pass@k from `c` successes in `n` attempts; NaN where k exceeds n."""
    with np.errstate(invalid="ignore"):
        log_failure = gammaln(n - c + 1) - gammaln(np.maximum(n - c - k, 0) + 1) - gammaln(n + 1) + gammaln(n - k + 1)
        rate = np.where(n - c < k, 1.0, -np.expm1(log_failure))
    return np.where(k > n, np.nan, rate)


def _pairs(raw: RawFolder, spec: Attempts) -> pl.DataFrame:
    """One row per model and problem, after every pass@k of the file was checked against the two counts.

    Raises
    ------
    DataError
        If a problem has two different counts, or a score does not follow from them.
    """
    extra = [name for name in ("Benchmark", "Level", "Inference Compute") if spec is not ORIGINAL]
    frame = parquet(raw, spec.file, spec.rows)
    frame = frame.select(
        "raw_file",
        "raw_row",
        *(name for name in extra if name in frame.columns),
        model=spec.model,
        item_id=pl.col(spec.problem).cast(pl.String),
        n_samples=pl.col(spec.samples).cast(pl.Float64),
        n_correct=pl.col("Num. Samples Correct").cast(pl.Float64),
        k=pl.col(spec.k).cast(pl.Float64),
        score=spec.score,
    )
    key = ["model", "item_id", *(["Benchmark"] if "Benchmark" in frame.columns else [])]
    rate = pass_at_k(*(frame[name].to_numpy() for name in ("n_samples", "n_correct", "k")))
    # upstream's product over an empty range: one, whatever the counts
    wrong = frame.filter((pl.Series(np.nan_to_num(rate, nan=1.0)) - pl.col("score")).abs() > TOLERANCE)
    if "Inference Compute" in frame.columns:
        frame = frame.with_columns(pl.col("Inference Compute") / pl.col("k"))
    constant = [pl.col(name).max() - pl.col(name).min() for name in ("n_samples", "n_correct")]
    varying = frame.group_by(key).agg(constant).filter(pl.sum_horizontal("n_samples", "n_correct") > 0)
    pairs = frame.sort("k").unique(key, keep="first", maintain_order=True).drop("k", "score")
    require(
        f"monkey_power_laws, {spec.file!r}",
        pass_at_k_that_do_not_follow=(wrong.height, 0),
        problems_with_two_counts=(varying.height, 0),
        models_and_problems=(pairs.height, spec.pairs),
    )
    return pairs


def _check_resampled(resampled: pl.DataFrame, gsm8k: pl.DataFrame, math: pl.DataFrame) -> None:
    """The resampled table repeats the last checkpoints: same models, problems and counts."""
    values = ["benchmark", "model", "item_id", "n_samples", "n_correct"]
    last = (
        pl.concat(
            [gsm8k.with_columns(benchmark=pl.lit("GSM8K")), math.with_columns(benchmark=pl.lit("MATH"))], how="diagonal"
        )
        .filter(pl.col("model").str.ends_with("_300B"))
        .with_columns(pl.col("model").str.extract("^Pythia_(.*)_300B$"))
    )
    copies = resampled.with_columns(pl.col("model").str.strip_prefix("Pythia "), benchmark="Benchmark")
    lonely = copies.join(last, on=values, how="anti")
    if lonely.height:
        raise DataError(
            f"monkey_power_laws, {RESAMPLED.file!r}: {lonely.height} counts that the last checkpoints do not have, "
            f"first record {lonely['raw_row'][0]}"
        )


def _checkpoints(raw: RawFolder) -> pl.DataFrame:
    numbers = [
        "Tokens",
        "Parameters",
        "Layers",
        "Dimension",
        "Context Length",
        "Parameters Excluding Embeddings",
        "Batch Size",
    ]
    text = ["Model Nickname", "HuggingFace Path", "HuggingFace Revision"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    frame = raw.csv(PYTHIA, columns | dict.fromkeys(numbers, pl.Float64), rows=N_PYTHIA)
    name = pl.col("HuggingFace Path").str.strip_prefix("EleutherAI/")
    return frame.select(
        model="Model Nickname",
        run_id=pl.concat_str(pl.lit("monkey_power_laws/"), name),
        step=pl.col("HuggingFace Revision").str.strip_prefix("step").cast(pl.Float64),
        model_name="HuggingFace Path",
        model_id=name,
        n_params="Parameters",
        n_params_non_embedding="Parameters Excluding Embeddings",
        n_tokens="Tokens",
        context_length="Context Length",
        d_model="Dimension",
        n_layers="Layers",
        batch_size_tokens="Batch Size",
    )


def _pythia_runs(checkpoints: pl.DataFrame) -> pl.DataFrame:
    last = checkpoints.sort("step").unique("run_id", keep="last", maintain_order=True)
    return (
        last.drop("model")
        .rename({"step": "n_steps"})
        .with_columns(
            study=pl.lit("pythia"), family=pl.lit("pythia"), architecture=pl.lit("decoder"), corpus=pl.lit("The Pile")
        )
    )


def _original_id() -> pl.Expr:
    name = pl.col("model").str.to_lowercase().str.replace(" ", "-")
    return pl.concat_str(pl.lit("monkey_power_laws/original/"), name)


def _original_runs(original: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    """The seven Pythia models of the original study, with the sizes that this source gives them."""
    sizes = checkpoints.unique("model_id").select(
        "model_id", "n_params", "n_params_non_embedding", "d_model", "n_layers"
    )
    return (
        original.select(run_id=_original_id(), model_name="model")
        .unique(maintain_order=True)
        .with_columns(
            model_id=pl.col("run_id").str.split("/").list.last(),
            study=pl.lit("large_language_monkeys"),
            family=pl.lit("pythia"),
            architecture=pl.lit("decoder"),
            corpus=pl.lit("The Pile"),
        )
        .join(sizes, on="model_id", how="left")
    )


def _chat_id() -> pl.Expr:
    names = {label: name for label, (name, _) in CHAT_MODELS.items()}
    return pl.concat_str(pl.lit("monkey_power_laws/best_of_n/"), pl.col("model").replace_strict(names))


def _chat_runs() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "run_id": f"monkey_power_laws/best_of_n/{name}",
                "model_name": title,
                "model_id": name,
                "study": "best_of_n",
                "family": name.split("-")[0],
                "is_instruct": True,
            }
            for name, title in CHAT_MODELS.values()
        ]
    )


def _counts(counted: pl.DataFrame) -> pl.DataFrame:
    return counted.select(
        "run_id",
        "step",
        "n_tokens",
        "task",
        "item_id",
        "n_samples",
        "raw_file",
        "raw_row",
        item_group="Level",
        metric=pl.lit("n_correct"),
        value="n_correct",
        unit=pl.lit("count"),
        raw_field=pl.lit("Num. Samples Correct"),
    )


def _compute(counted: pl.DataFrame) -> pl.DataFrame:
    """Compute of one attempt, where upstream states it: its number for k attempts is k times this."""
    return counted.drop_nulls("Inference Compute").select(
        "run_id",
        "step",
        "n_tokens",
        "task",
        "item_id",
        "n_samples",
        "raw_file",
        "raw_row",
        item_group="Level",
        metric=pl.lit("inference_flops"),
        value="Inference Compute",
        unit=pl.lit("flop"),
        raw_field=pl.lit("Inference Compute"),
    )


def _solutions(raw: RawFolder, place: pl.DataFrame) -> pl.DataFrame:
    """Negative log-probabilities of the GSM8K reference solutions."""
    frame = parquet(raw, SOLUTIONS, N_SOLUTIONS).join(place, left_on="Model", right_on="model", how="left")
    require(
        f"monkey_power_laws, {SOLUTIONS!r}",
        checkpoints=(frame["Model"].n_unique(), 9),
        unknown_checkpoints=(frame["run_id"].null_count(), 0),
        repeated_log_scores_that_differ=(frame.filter(pl.col("Log Score") != -pl.col("Neg Log Score")).height, 0),
    )
    return frame.select(
        "run_id",
        "step",
        "n_tokens",
        "raw_file",
        "raw_row",
        task=pl.lit("gsm8k"),
        item_id=pl.col("Problem Idx").cast(pl.String),
        metric=pl.lit("negative_log_likelihood"),
        value="Neg Log Score",
        unit=pl.lit("nats_per_answer"),
        raw_field=pl.lit("Neg Log Score"),
    )


def _tokens(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Loss of every token of the LAMBADA texts, and the Cerebras-GPT models."""
    frame = parquet(raw, TOKENS, N_TOKENS)
    listed = raw.csv(
        PRETRAINING,
        {"Model Family": pl.String, "Model Nickname": pl.String, "HuggingFace Path": pl.String}
        | dict.fromkeys(["Tokens", "Parameters"], pl.Float64),
        rows=N_PRETRAINING,
    )
    measured = listed.filter(pl.col("Model Nickname").is_in(frame["Model"].unique().implode()))
    require(
        f"monkey_power_laws, {TOKENS!r} and {PRETRAINING!r}",
        models=(frame["Model"].n_unique(), N_CEREBRAS),
        models_listed=(measured.height, N_CEREBRAS),
        # Pythia checkpoints stand in the other list; 38 models have no numbers at all
        models_without_numbers=(
            listed.filter(pl.col("Model Family") != "Pythia").height - measured.height,
            N_PRETRAINING - N_LISTED_TWICE - N_CEREBRAS,
        ),
        repeated_log_scores_that_differ=(frame.filter(pl.col("Log Score") != -pl.col("Neg Log Score")).height, 0),
    )
    name = pl.col("HuggingFace Path").str.strip_prefix("cerebras/").str.to_lowercase()
    runs = measured.select(
        run_id=pl.concat_str(pl.lit("monkey_power_laws/"), name),
        study=pl.lit("cerebras"),
        model_name="HuggingFace Path",
        model_id=name,
        family=pl.lit("cerebras-gpt"),
        architecture=pl.lit("decoder"),
        n_params="Parameters",
        n_tokens="Tokens",
        corpus=pl.lit("The Pile"),
    )
    ids = dict(zip(measured["Model Nickname"], runs["run_id"], strict=True))
    items = frame.select(
        "raw_file",
        "raw_row",
        run_id=pl.col("Model").replace_strict(ids),
        task=pl.lit("lambada"),
        item_id=pl.concat_str([pl.col("Problem Idx"), pl.col("Seq Idx")], separator=":"),
        metric=pl.lit("loss"),
        value="Neg Log Score",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("Neg Log Score"),
    )
    return items.join(runs.select("run_id", "n_tokens"), on="run_id", how="left"), runs


def _means(counted: pl.DataFrame, likelihoods: pl.DataFrame) -> pl.DataFrame:
    """Means over problems, derived from the items; a checkpoint that lacks most problems is flagged."""
    key = ["run_id", "step", "n_tokens", "eval_set", "metric", "unit", "raw_file", "raw_field"]
    rates = counted.with_columns(
        metric=pl.lit("pass_at_1"),
        unit=pl.lit("fraction"),
        value=pl.col("n_correct") / pl.col("n_samples"),
        raw_field=pl.lit("mean over problems of Num. Samples Correct / Num. Samples"),
    )
    logs = likelihoods.with_columns(raw_field=pl.lit("mean of Neg Log Score"))
    columns = [name if name != "eval_set" else "task" for name in key] + ["value"]
    means = (
        pl.concat([rates.select(columns), logs.select(columns)])
        .rename({"task": "eval_set"})
        .group_by(key, maintain_order=True)
        # twelve digits: the order of summation must not change the bytes
        .agg(pl.col("value").mean().round_sig_figs(12), n_items=pl.len().cast(pl.Float64))
    )
    few = (pl.col("n_items") < 0.5 * pl.col("n_items").max().over("eval_set", "metric")) & pl.col("step").is_not_null()
    return means.with_columns(
        split=pl.lit("all"),
        value_origin=pl.lit("derived"),
        flag=pl.when(few).then(pl.lit("incomplete")),
        flag_reason=pl.when(few).then(
            pl.concat_str(
                pl.lit("only "),
                pl.col("n_items").cast(pl.Int64),
                pl.lit(
                    " of 128 problems were sampled at this checkpoint; set aside here, because means over "
                    "different problems are not comparable"
                ),
            )
        ),
    )
