"""The warehouse on one page: every column once, every table as a list of columns.

A column has one type, one unit and one meaning wherever it occurs. Tables only name columns, say
which of them form the key, and which may not be null. Ingest builds its checks from this page, the
data dictionary in ``warehouse/README.md`` is printed from it, and the query layer reads its types.

Counts are stored as 64-bit floats: exact up to 2**53 (9e15), and a product such as
``6 * n_params * n_tokens`` cannot overflow the way 64-bit integers do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

__all__ = [
    "COLUMNS",
    "DERIVED",
    "EVIDENCE",
    "FLOPS_PER_6ND",
    "LEDGER_VERDICTS",
    "METRICS",
    "NAMED_BY_SOURCE",
    "NEEDS_LOCAL_ROWS",
    "N_DEFINITIONS",
    "TABLES",
    "UNITS",
    "Column",
    "Metric",
    "Table",
    "Unit",
    "polars_schema",
]


@dataclass(frozen=True)
class Unit:
    """A unit of a measured value.

    `nats_factor` turns a value into nats per token by multiplication; ``None`` where no factor
    exists (bits per character would need the tokenizer's characters per token) or where the
    conversion is not a multiplication (perplexity, which the views take the logarithm of).
    """

    name: str
    meaning: str
    nats_factor: float | None = None
    minimum: float | None = None
    maximum: float | None = None


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        u.name: u
        for u in (
            Unit("nats_per_token", "cross-entropy, natural logarithm, mean over tokens", 1.0, 0.0, 30.0),
            Unit("bits_per_token", "cross-entropy, base-2 logarithm, mean over tokens", math.log(2.0), 0.0, 45.0),
            Unit("bits_per_character", "cross-entropy in bits divided by characters", None, 0.0, 15.0),
            Unit("bits_per_byte", "cross-entropy in bits divided by UTF-8 bytes", None, 0.0, 15.0),
            Unit("nats_rescaled", "a loss that its source divided by an unstated constant", None, 0.0, None),
            Unit("perplexity", "exp of the mean negative log-likelihood per token", None, 1.0, None),
            Unit(
                "perplexity_per_document",
                "mean over documents of the perplexity; not comparable with per-token perplexity",
                None,
                1.0,
                None,
            ),
            Unit(
                "perplexity_per_word",
                "exp of the mean negative log-likelihood per word (of the text, or of the answer); "
                "not comparable with per-token perplexity",
                None,
                1.0,
                None,
            ),
            Unit("fraction", "share between 0 and 1", None, 0.0, 1.0),
            Unit(
                "fraction_above_chance",
                "(score - chance) / (1 - chance): 1 is perfect, 0 is chance, negative is worse than chance",
                None,
                None,
                1.0,
            ),
            Unit("nats_per_answer", "difference or sum of log-likelihoods of an answer", None, None, None),
            Unit("count", "number of things counted", None, 0.0, None),
            Unit("usd", "US dollars, in prices of the year that the notes state", None, 0.0, None),
            Unit("flop", "floating-point operations", None, 0.0, None),
            Unit(
                "nats_per_token_vs_unigram",
                "cross-entropy minus that of the unigram model of the same vocabulary; negative means better than it",
                None,
                -30.0,
                30.0,
            ),
            Unit("correlation", "correlation coefficient between -1 and 1", None, -1.0, 1.0),
            Unit("minutes", "minutes", None, 0.0, None),
            Unit("seconds", "seconds", None, 0.0, None),
            Unit("unitless", "a number whose scale is the metric's own", None, None, None),
        )
    }
)


@dataclass(frozen=True)
class Metric:
    """What was measured.

    `kind` is ``"loss"`` (views `points`, `curves`), ``"score"`` (view `scores`), or ``"quantity"`` for what no
    model was tested on: table `evals` alone holds it.
    """

    name: str
    kind: str
    units: tuple[str, ...]
    meaning: str
    higher_is_better: bool


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        m.name: m
        for m in (
            Metric(
                "loss",
                "loss",
                ("nats_per_token", "bits_per_token", "nats_rescaled"),
                "cross-entropy on held-out text",
                False,
            ),
            Metric(
                "loss_vs_unigram",
                "loss",
                ("nats_per_token_vs_unigram",),
                "cross-entropy minus that of the unigram model, comparable across vocabularies; negative is better",
                False,
            ),
            Metric("train_loss", "loss", ("nats_per_token",), "cross-entropy on training batches, as logged", False),
            Metric(
                "train_loss_smoothed",
                "loss",
                ("nats_per_token",),
                "training cross-entropy after the authors' smoothing",
                False,
            ),
            Metric("bits_per_character", "loss", ("bits_per_character",), "held-out loss in bits per character", False),
            Metric("bits_per_byte", "loss", ("bits_per_byte",), "held-out loss in bits per byte", False),
            Metric(
                "perplexity",
                "loss",
                ("perplexity", "perplexity_per_document", "perplexity_per_word", "unitless"),
                "perplexity on held-out text, as reported; 'unitless' where the source does not say per what",
                False,
            ),
            Metric("error_rate", "loss", ("fraction",), "1 - accuracy, reported as an error", False),
            Metric("acc", "score", ("fraction",), "accuracy", True),
            Metric(
                "acc_norm", "score", ("fraction",), "accuracy, answers ranked by length-normalised likelihood", True
            ),
            Metric("mc1", "score", ("fraction",), "TruthfulQA, share of questions whose best answer ranks first", True),
            Metric("mc2", "score", ("fraction",), "TruthfulQA, probability mass on true answers", True),
            Metric("exact_match", "score", ("fraction",), "exact match of the generated answer", True),
            Metric("f1", "score", ("fraction",), "token F1 of the generated answer", True),
            Metric(
                "pct_stereotype",
                "score",
                ("fraction",),
                "CrowS-Pairs, share of pairs where the stereotype is likelier; 0.5 is neutral, neither end is better",
                False,
            ),
            Metric(
                "likelihood_difference",
                "score",
                ("nats_per_answer",),
                "CrowS-Pairs, mean absolute difference of log-likelihoods; neither end is better",
                False,
            ),
            Metric(
                "score_above_chance",
                "score",
                ("fraction_above_chance",),
                "score rescaled so that guessing gives 0, as the source rescales it",
                True,
            ),
            Metric("miou", "score", ("fraction",), "segmentation, intersection over union, mean over classes", True),
            Metric(
                "contrastive_loss",
                "score",
                ("unitless",),
                "image-text contrastive loss on training batches; grows with the logarithm of the batch size",
                False,
            ),
            Metric(
                "mse_normalised",
                "loss",
                ("unitless",),
                "mean squared reconstruction error over that of a constant prediction",
                False,
            ),
            Metric(
                "law_coefficient",
                "quantity",
                ("unitless",),
                "coefficient of a law that the source fitted (its run is one fit); the eval set names it",
                True,
            ),
            Metric(
                "parameter_count",
                "quantity",
                ("count",),
                "parameters of an architecture under the counting rule that the eval set names",
                True,
            ),
            Metric(
                "task_score",
                "score",
                ("fraction",),
                "score of a task whose exact metric the source does not name",
                True,
            ),
            Metric(
                "answer_loss",
                "loss",
                ("nats_per_token", "nats_per_answer"),
                "cross-entropy of the right answer given the question: mean over its tokens, or over answer options",
                False,
            ),
            Metric(
                "answer_bits_per_byte",
                "loss",
                ("bits_per_byte",),
                "cross-entropy of the right answer given the question, in bits divided by bytes of the answer",
                False,
            ),
            Metric(
                "answer_probability",
                "score",
                ("fraction",),
                "probability of the right answer among the options, mean over items",
                True,
            ),
            Metric(
                "answer_log_probability",
                "score",
                ("nats_per_answer",),
                "logarithm of the probability of the right answer among the options, mean over items",
                True,
            ),
            Metric(
                "context_loss", "loss", ("nats_per_token",), "cross-entropy of the tokens of a task's questions", False
            ),
            Metric(
                "train_loss_sd",
                "score",
                ("nats_per_token",),
                "standard deviation of the logged training losses behind a smoothed one",
                False,
            ),
            Metric("pass_at_1", "score", ("fraction",), "share of problems that one sampled attempt solves", True),
            Metric("n_correct", "score", ("count",), "attempts that succeeded, out of n_samples", True),
            Metric("inference_flops", "score", ("flop",), "compute of one sampled attempt, as reported", False),
            Metric(
                "negative_log_likelihood",
                "score",
                ("nats_per_answer",),
                "minus the log-probability of a reference solution, summed over its tokens",
                False,
            ),
            Metric(
                "brier",
                "score",
                ("unitless",),
                "Brier score of the answer options, as the source defines it; lower is better, zero is perfect",
                False,
            ),
            Metric(
                "option_mass",
                "score",
                ("unitless",),
                "probability that the model gives to all answer options together, before any renormalisation",
                True,
            ),
            Metric("macro_f1", "score", ("fraction",), "F1 of the answer classes, averaged over classes", True),
            Metric(
                "bertscore_acc",
                "score",
                ("fraction",),
                "accuracy, the answer being the option nearest by BERTScore",
                True,
            ),
            Metric(
                "bertscore_f1",
                "score",
                ("fraction",),
                "class F1, the answer being the option nearest by BERTScore",
                True,
            ),
            Metric(
                "bertscore", "score", ("fraction",), "BERTScore of the generated answer against the reference", True
            ),
            Metric(
                "edit_distance",
                "score",
                ("count",),
                "edit distance of the generated answer to the reference, mean",
                False,
            ),
            Metric(
                "n_items_lost",
                "score",
                ("count",),
                "items right in a comparison run and wrong in this one, as the source counts them",
                False,
            ),
            Metric(
                "n_items_gained",
                "score",
                ("count",),
                "items wrong in a comparison run and right in this one, as the source counts them",
                True,
            ),
            Metric("bertscore_n_items_lost", "score", ("count",), "n_items_lost, answers matched by BERTScore", False),
            Metric(
                "bertscore_n_items_gained", "score", ("count",), "n_items_gained, answers matched by BERTScore", True
            ),
            Metric(
                "logodds_difference",
                "score",
                ("nats_per_answer",),
                "difference of the log-odds of two answers between two prompts; neither end is better",
                False,
            ),
            Metric(
                "total_log_likelihood",
                "score",
                ("nats_per_answer",),
                "log of the probability that the model gives to all answer options together",
                True,
            ),
            Metric(
                "chain_match",
                "score",
                ("fraction",),
                "share of answers after a chain of thought that equal the answer without one; higher is less use of it",
                False,
            ),
            Metric(
                "chain_match_sd",
                "score",
                ("fraction",),
                "standard deviation of chain_match over questions (a spread, not an error of the mean)",
                False,
            ),
            Metric("n_unparsed", "score", ("count",), "outputs that held no readable answer", False),
            Metric("acc_top5", "score", ("fraction",), "share of items whose class is among the five likeliest", True),
            Metric("class_recall", "score", ("fraction",), "recall of a class, averaged over classes", True),
            Metric(
                "image_recall_at_5",
                "score",
                ("fraction",),
                "text-to-image retrieval, recall among the first five",
                True,
            ),
            Metric(
                "text_recall_at_5", "score", ("fraction",), "image-to-text retrieval, recall among the first five", True
            ),
            Metric("average_precision", "score", ("fraction",), "average precision, mean over classes", True),
            Metric("bleu", "score", ("fraction",), "BLEU divided by 100", True),
            Metric("question_mark_kept", "score", ("fraction",), "share of outputs that keep the question mark", True),
            Metric("language_acc", "score", ("fraction",), "share of outputs in the target language", True),
            Metric(
                "training_cost", "score", ("usd",), "cost of training; the eval set says which costs are counted", False
            ),
            Metric("spearman", "score", ("correlation",), "rank correlation of predictions with measurements", True),
            Metric("concept_count", "quantity", ("count",), "training examples that show or name a concept", True),
            Metric(
                "forecast_mse",
                "loss",
                ("unitless",),
                "mean squared error of a forecast; the source says how the series were scaled",
                False,
            ),
            Metric(
                "forecast_mae",
                "loss",
                ("unitless",),
                "mean absolute error of a forecast; the source says how the series were scaled",
                False,
            ),
            Metric(
                "forecast_mase",
                "loss",
                ("unitless",),
                "mean absolute error over that of a seasonal naive forecast",
                False,
            ),
            Metric("forecast_crps", "loss", ("unitless",), "mean weighted quantile loss of a forecast", False),
            Metric("forecast_error", "loss", ("unitless",), "error of a forecast; the eval set says which", False),
            Metric(
                "model_mse", "loss", ("unitless",), "mean squared error of a trained model on its own objective", False
            ),
            Metric(
                "property_error",
                "score",
                ("unitless",),
                "error of a predicted physical property; the eval set names it, the notes give its unit",
                False,
            ),
            Metric("frechet_distance", "score", ("unitless",), "Fréchet distance of generated images (FID)", False),
            Metric(
                "collaboration_frequency",
                "score",
                ("fraction",),
                "share of the tokens at which a small model needs the large one beside it",
                False,
            ),
            Metric("throughput", "quantity", ("count",), "tokens per second of training on one device", True),
            Metric(
                "attack_success", "score", ("fraction",), "share of harmful requests that an attack got through", False
            ),
            Metric(
                "ability", "score", ("unitless",), "demand level at which the model succeeds on half of the items", True
            ),
            Metric(
                "time_horizon",
                "score",
                ("minutes",),
                "length of the tasks that a model completes at a stated rate",
                True,
            ),
            Metric("inference_time", "score", ("seconds",), "wall-clock time of one step of inference", False),
            Metric("training_time", "score", ("minutes",), "wall-clock time of training to a stated loss", False),
            Metric("tokens_used", "score", ("count",), "tokens that the model generated for an item, mean", False),
            Metric(
                "benchmark_value",
                "score",
                ("unitless",),
                "result of a benchmark that is no share (rating, points, minutes, dollars); its eval set says which",
                True,
            ),
        )
    }
)

LEDGER_VERDICTS = ("reproduces", "reproduces with a stated choice", "does not reproduce", "cannot be tested")
"""What the replication ledger can say of a published figure."""

NEEDS_LOCAL_ROWS = "needs rows that are built locally"
"""Verdict where the warehouse at hand lacks the rows: their licence does not allow shipping them."""

N_DEFINITIONS: tuple[str, ...] = ("n_params", "n_params_non_embedding", "n_params_active", "n_params_with_head")
"""The columns that hold a parameter count; a source's headline analysis uses one of them."""


EVIDENCE: tuple[str, ...] = ("read", "converted", "second_hand", "refit")
"""How a published coefficient is known, from the firmest."""


@dataclass(frozen=True)
class Column:
    """One column of the warehouse: its name, type, unit, bounds and meaning."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None


MOST: Mapping[str, float] = MappingProxyType(
    {
        "parameters": 1e15,
        "tokens": 1e16,
        "characters": 1e17,
        "FLOP": 1e29,
        "FLOP/token": 1e17,
        "FLOP/sample": 1e20,
        "steps": 1e11,
        "layers": 1e5,
        "heads": 1e5,
        "units": 1e8,
        "entries": 1e9,
        "experts": 1e6,
        "streams": 1e6,
        "nodes": 1e7,
    }
)
"""Largest plausible count by unit: what lies above is a wrong unit, not a result."""

FLOPS_PER_6ND = (0.03, 60.0)
"""Where a run states compute, N and D, train_flops / (6 N D) lies here: all sources span 0.67 to 17.4."""


def _count(name: str, meaning: str, unit: str = "count", minimum: float = 0.0) -> Column:
    return Column(name, pl.Float64, meaning, unit, minimum, MOST.get(unit))


def _text(name: str, meaning: str, choices: tuple[str, ...] | None = None) -> Column:
    return Column(name, pl.String, meaning, choices=choices)


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        c.name: c
        for c in (
            # ---- who said it -------------------------------------------------------------
            _text("source_id", "short name of the paper or release that the row comes from"),
            _text("title", "title of the paper"),
            _text("authors", "authors, as a citation would print them; null where only findings of the paper are held"),
            Column("year", pl.Int64, "year of first publication", "year", 1950, 2100),
            _text("arxiv_id", "arXiv identifier, kept as text (a number would lose zeros)"),
            _text("repository", "public repository that the raw files come from, as owner/name"),
            _text("upstream_commit", "commit of that repository"),
            _text("licence", "licence that the source states for its data; 'none stated' where it is silent"),
            Column("is_shipped", pl.Boolean, "whether the built tables are part of the package"),
            _text("redistribution", "why they may be shipped, or why not"),
            _text("headline_metric", "metric that db.points(source) returns unless asked otherwise"),
            _text("headline_eval_set", "evaluation set that db.points(source) returns; null means all"),
            _text(
                "n_definition",
                "which parameter count the source's headline analysis calls N",
                N_DEFINITIONS,
            ),
            _text("notes", "what a user must know: corrections, gaps, what cannot be reproduced"),
            _text("bibtex", "BibTeX entry"),
            _count("n_raw_files", "number of raw files read"),
            _text("raw_sha256", "SHA-256 over the sorted lines 'sha256  path' of the raw files"),
            # ---- a run -------------------------------------------------------------------
            _text("run_id", "one training run or evaluated model: <source_id>/<name within the source>"),
            _text("study", "part of a source that collects several data sets; else the source itself"),
            _text("model_name", "name that the source gives the model"),
            _text("model_id", "name shared by all sources that hold the same model; null where not linked"),
            _text("family", "group of runs trained alike, on which one law may be fitted"),
            _text(
                "architecture",
                "kind of network",
                ("decoder", "encoder-decoder", "encoder", "mixture-of-experts", "state-space", "vision", "other"),
            ),
            _count("n_params", "parameters, total, embeddings included (N)", "parameters", 1.0),
            _count(
                "n_params_non_embedding",
                "parameters without input and output embeddings (N)",
                "parameters",
                1.0,
            ),
            _count(
                "n_params_with_head",
                "parameters without the input embedding, output head counted (N)",
                "parameters",
                1.0,
            ),
            _count("n_params_active", "parameters used for one token (mixture of experts)", "parameters", 1.0),
            _count("n_params_dense", "parameters of the dense model before it became a mixture", "parameters", 1.0),
            _count("n_tokens", "training tokens seen up to this row, repeats counted (D)", "tokens"),
            _count("n_tokens_unique", "distinct training tokens available", "tokens"),
            Column(
                "domain_share",
                pl.Float64,
                "share of the training tokens drawn from the domain that `eval_set` names; null where the "
                "source mixes no domains",
                "fraction",
                0.0,
                1.0,
            ),
            _count("n_examples", "training examples seen, where the source counts examples and not tokens", "examples"),
            _count("n_epochs", "passes over the unique training tokens", "epochs"),
            _count("train_flops", "training compute as the source reports it (C)", "FLOP"),
            _count("flops_per_token", "training compute per token as the source reports it", "FLOP/token"),
            _text("corpus", "training data"),
            _text("tokenizer_id", "tokenizer; losses under different tokenizers are not comparable"),
            _count("vocab_size", "entries of the vocabulary", "entries", 1.0),
            _count("context_length", "training sequence length", "tokens", 1.0),
            _count("d_model", "width of the residual stream", "units", 1.0),
            _count("d_ff", "width of the feed-forward layer", "units", 1.0),
            _count("n_layers", "number of layers", "layers", 1.0),
            _count("n_heads", "number of attention heads", "heads", 1.0),
            _count("n_experts", "experts per layer", "experts", 1.0),
            _count("n_experts_active", "experts used for one token", "experts", 1.0),
            Column("learning_rate", pl.Float64, "peak learning rate", "1", 0.0, 10.0),
            Column("learning_rate_final", pl.Float64, "learning rate at the end of training", "1", 0.0, 10.0),
            _count("batch_size_tokens", "batch size", "tokens", 1.0),
            _count("batch_size_samples", "batch size, where samples are no token sequences", "samples", 1.0),
            _count("n_latents", "latents of an autoencoder", "latents", 1.0),
            _count("n_latents_active", "latents that may be active for one input", "latents", 1.0),
            Column("teacher_loss", pl.Float64, "loss of the teacher, for distilled models", "nats/token", 0.0, 30.0),
            _count("n_steps", "optimiser steps of the whole run", "steps"),
            _count("n_warmup_steps", "warm-up steps", "steps"),
            Column("weight_decay", pl.Float64, "decoupled weight decay", "1", 0.0, 100.0),
            Column("seed", pl.Int64, "random seed as reported"),
            Column("dataset_dedup", pl.Boolean, "whether the training text was deduplicated"),
            _count("seconds_per_step", "wall-clock time of one optimiser step", "seconds"),
            _count("n_nodes", "compute nodes used for training", "nodes", 1.0),
            _count(
                "n_params_effective",
                "training FLOP per token over 6, where the source counts the FLOP of attention in its N",
                "parameters",
                1.0,
            ),
            Column(
                "log_n_params_std",
                pl.Float64,
                "standard deviation of ln N of a compute-optimal model, from the source's bootstrap",
                "1",
                0.0,
            ),
            _text("schedule_name", "learning-rate schedule in the source's words"),
            _text("router", "how a mixture of experts assigns tokens to experts"),
            Column("routing_frequency", pl.Float64, "share of the layers that are routed", "fraction", 0.0, 1.0),
            _count("flop_increase", "factor by which the source widened the feed-forward layers of a run", "1"),
            _count("d_head", "width of one attention head", "units", 1.0),
            _count("n_chars", "characters of training text seen up to this row", "characters"),
            _count("n_streams", "parallel streams that one input is run through and combined from", "streams", 1.0),
            Column(
                "log_n_tokens_std",
                pl.Float64,
                "the same deviation of ln D",
                "1",
                0.0,
            ),
            Column(
                "gzip_ratio",
                pl.Float64,
                "compressed size of the training text over its original size",
                "fraction",
                0.0,
                1.5,
            ),
            _count("n_samples", "attempts sampled from the model for the item (or behind the value)", "samples", 1.0),
            _text("item_group", "group that the source puts the item into (difficulty level, class)"),
            _count("n_samples_seen", "image-text pairs seen in training, repeats counted", "pairs"),
            _count(
                "flops_per_sample",
                "forward compute of one training sample (a sequence, an image-text pair)",
                "FLOP/sample",
            ),
            _text("mixture", "label of the proportions of the training domains; the shares stand in table mixtures"),
            Column("is_instruct", pl.Boolean, "whether the model was tuned to follow instructions (or by feedback)"),
            Column("is_distilled", pl.Boolean, "whether the model was trained on outputs of a larger one"),
            Column("release_date", pl.Date, "day the model was released, as the source dates it"),
            _count(
                "n_tokens_pretrain",
                "tokens seen before the training that the row describes (fine-tuning, upcycling)",
                "tokens",
            ),
            Column("precision_weight_bits", pl.Float64, "bits of a weight", "bits", 1.0, 64.0),
            _text("domain", "domain of the training data"),
            Column("share", pl.Float64, "share of the domain in the training data", "fraction", 0.0, 1.0),
            _text("organisation", "who trained the model"),
            _text("base_model", "pretrained model that the run starts from, as the source names it"),
            _count("size_ratio", "size of a large model over that of the small one that it works with", "1"),
            _count(
                "n_groups", "distinct environments, objects or pairs that the training examples show", "groups", 1.0
            ),
            Column(
                "data_fraction",
                pl.Float64,
                "share of the available training examples that was used",
                "fraction",
                0.0,
                1.0,
            ),
            _count("tokens_per_sample", "tokens that one training sample (an image) is cut into", "tokens"),
            _count("accelerator_hours", "training time summed over accelerators, as the source reports it", "hours"),
            _count("training_cost_usd", "cost of training as the source estimates it", "USD of 2023"),
            _count(
                "n_datapoints",
                "size of the training set in the source's own mix of units (words, tokens, images ...)",
                "data points",
            ),
            _text("confidence", "how sure the source is of its numbers, in its words"),
            _text("compute_method", "how the source came by train_flops, in its words"),
            _text("task_domain", "field of use of the model, in the source's words"),
            # ---- an evaluation -----------------------------------------------------------
            _count("step", "optimiser step of the evaluation; null for a final value without a step", "steps"),
            _text("metric", "what was measured", tuple(METRICS)),
            _text("eval_set", "text or task it was measured on; 'train' for training batches"),
            _text(
                "split",
                "role in the source's own analysis: 'fit' (used to fit its law), 'validation' (held out "
                "to test it), 'all' (the source makes no such division)",
                ("fit", "validation", "all"),
            ),
            Column(
                "n_shots",
                pl.Int64,
                "worked examples in the prompt; null where nothing is prompted",
                "examples",
                0,
                1000,
            ),
            Column("value", pl.Float64, "the number, in `unit` where the row has one"),
            _text("unit", "unit of `value`, `std_error`, `low` and `high`", tuple(UNITS)),
            Column("std_error", pl.Float64, "standard error as reported", "as value", 0.0),
            Column("low", pl.Float64, "lower end of the reported 95 % interval", "as value"),
            Column("high", pl.Float64, "upper end of the reported 95 % interval", "as value"),
            _count("n_items", "test items behind the value", "items", 1.0),
            _count("concept_count", "training examples that show or name the concept that was tested", "examples"),
            Column("demand_level", pl.Float64, "level of the ability that the items demand", "levels", 0.0, 100.0),
            _text(
                "eval_domain",
                "whether the evaluation data come from the distribution of the training data",
                ("in", "out"),
            ),
            _count(
                "n_tokens_inference", "tokens that one answer may use or used, prompt included if so stated", "tokens"
            ),
            _count("inference_flops", "compute spent on one answer", "FLOP"),
            Column("chance_level", pl.Float64, "value that guessing would reach", "as value", 0.0, 1.0),
            _text(
                "value_origin",
                "'reported' (printed or released as a number), 'digitised' (read off a figure), "
                "'derived' (computed from reported numbers; the flag reason or notes say how)",
                ("reported", "digitised", "derived"),
            ),
            _text("flag", "short reason why the row is set aside; null for a row in good standing"),
            _text("flag_reason", "the same as a sentence, and whose decision it was"),
            _text("raw_file", "raw file that the number stands in, relative to the source's folder"),
            Column("raw_row", pl.Int64, "record in that file, counted from 1 without the header", "", 1),
            _text("raw_field", "column or JSON path of the number within the record"),
            # ---- raw files ---------------------------------------------------------------
            _text("sha256", "SHA-256 of the raw file, as recorded; the build refuses any other file"),
            _count("n_rows_in", "records that the raw file holds; null for a file without records"),
            _count(
                "n_rows_landed", "records that rows of evals, items, schedules or mixtures name, flagged ones included"
            ),
            _count("n_rows_set_aside", "n_rows_in - n_rows_landed, each of which set_aside_reason accounts for"),
            _text(
                "set_aside_reason",
                "why records do not land, or into which other table they were read; with several reasons, "
                "the number of records stands before each",
            ),
            # ---- items -------------------------------------------------------------------
            _text("task", "benchmark task"),
            _text("item_id", "test item within the task"),
            # ---- schedules ---------------------------------------------------------------
            Column("learning_rate_at_step", pl.Float64, "learning rate at this step", "1", 0.0, 10.0),
            # ---- published fits ----------------------------------------------------------
            _text(
                "law",
                "id of the law, as in `sdb.get_law(id)`; claims and coefficient sets may name one it lacks",
            ),
            _text("variant", "name of the coefficient set"),
            Column("is_default", pl.Boolean, "whether law_<id>() in SQL uses this set"),
            _text("param", "parameter of the law"),
            _text("where_stated", "table, equation, figure or file that holds the number"),
            _text(
                "evidence",
                "how the number is known: read there (the paper or its release); second_hand (quoted elsewhere, "
                "as where_stated says); refit (our own fit of the authors' rows: nobody published it); converted "
                "(computed from what stands there, or read in a machine-converted copy)",
                EVIDENCE,
            ),
            _text("output_unit", "unit of the law's output with these coefficients"),
            # ---- claims ------------------------------------------------------------------
            _text("claim_id", "one finding: <arXiv id or source>/<number or name>"),
            _text("claim", "the finding in words"),
            _text("quantity", "what the number is; 'qualitative' for a finding without one"),
            Column("value_high", pl.Float64, "upper end where the finding is a range", "as value"),
            _text("varies", "what the study varied"),
            _text(
                "test_source",
                "source whose rows can test the claim (one that is not shipped must be built first); where several "
                "can, separated by ';'",
            ),
        )
    }
)

DERIVED: Mapping[str, Column] = MappingProxyType(
    {
        c.name: c
        for c in (
            _count(
                "n",
                "the count that `n_definition` names (N); where the source leaves it null: total parameters, "
                "or for a source that counts those, parameters without embeddings",
                "parameters",
                1.0,
            ),
            _text(
                "n_tokens_origin", "how the view came by `n_tokens`: 'reported', or the formula; null where it has none"
            ),
            _count("total_bits", "n * precision_weight_bits: size of the weights", "bits"),
            _count("train_flops_6nd", "6 * n * n_tokens; never mixed with the reported `train_flops`", "FLOP"),
            Column("loss", pl.Float64, "value of the loss metric, in `unit`", "as unit"),
            Column(
                "loss_nats",
                pl.Float64,
                "the same in nats per token; null where `unit` does not convert",
                "nats_per_token",
            ),
            Column("score", pl.Float64, "value of the score metric, in `unit`", "as unit"),
            _text("of_source_id", "source that holds the number which this row repeats"),
            _text("of_run_id", "run that holds the number which this row repeats"),
            Column("of_loss", pl.Float64, "the loss that this row repeats, in the unit of both", "as unit"),
            Column("of_score", pl.Float64, "the score that this row repeats, in the unit of both", "as unit"),
            Column(
                "score_above_chance",
                pl.Float64,
                "(score - chance_level) / (1 - chance_level): 0 is guessing, 1 is perfect; null without a chance level",
            ),
            _text("meaning", "what the unit or the metric says"),
            Column("nats_factor", pl.Float64, "value times this is nats per token; null where no factor does it"),
            _text(
                "kind",
                "'loss' (views points and curves), 'score' (view scores) or 'quantity' (table evals only)",
                ("loss", "score", "quantity"),
            ),
            Column("higher_is_better", pl.Boolean, "whether a larger value is the better one"),
        )
    }
)
"""Columns that only views have. Each is computed from stored ones and never stored itself."""


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, its key, and the columns that may not be null."""

    name: str
    meaning: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    required: tuple[str, ...] = field(default=())

    @property
    def polars_schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column name to Polars type, in table order."""
        return {name: COLUMNS[name].dtype for name in self.columns}


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        t.name: t
        for t in (
            Table(
                "sources",
                "a paper or release that numbers come from",
                (
                    "source_id",
                    "title",
                    "authors",
                    "year",
                    "arxiv_id",
                    "repository",
                    "upstream_commit",
                    "licence",
                    "is_shipped",
                    "redistribution",
                    "headline_metric",
                    "headline_eval_set",
                    "n_definition",
                    "notes",
                    "bibtex",
                    "n_raw_files",
                    "raw_sha256",
                ),
                ("source_id",),
                ("title", "year", "licence", "is_shipped", "redistribution", "bibtex", "n_raw_files"),
            ),
            Table(
                "raw_files",
                "one raw file of a source, with an account of its records: those in are those landed and set aside",
                (
                    "source_id",
                    "raw_file",
                    "sha256",
                    "n_rows_in",
                    "n_rows_landed",
                    "n_rows_set_aside",
                    "set_aside_reason",
                ),
                ("source_id", "raw_file"),
                ("raw_file", "sha256", "n_rows_landed"),
            ),
            Table(
                "runs",
                "one training run, or one evaluated model",
                (
                    "run_id",
                    "source_id",
                    "study",
                    "model_name",
                    "model_id",
                    "family",
                    "architecture",
                    "n_params",
                    "n_params_non_embedding",
                    "n_params_with_head",
                    "n_params_active",
                    "n_params_effective",
                    "log_n_params_std",
                    "log_n_tokens_std",
                    "n_tokens",
                    "n_chars",
                    "n_tokens_unique",
                    "n_epochs",
                    "train_flops",
                    "flops_per_token",
                    "corpus",
                    "dataset_dedup",
                    "tokenizer_id",
                    "vocab_size",
                    "context_length",
                    "d_model",
                    "d_ff",
                    "n_layers",
                    "n_heads",
                    "d_head",
                    "n_streams",
                    "n_experts",
                    "n_experts_active",
                    "router",
                    "routing_frequency",
                    "flop_increase",
                    "learning_rate",
                    "learning_rate_final",
                    "schedule_name",
                    "batch_size_tokens",
                    "n_steps",
                    "n_warmup_steps",
                    "weight_decay",
                    "seed",
                    "seconds_per_step",
                    "n_nodes",
                    "gzip_ratio",
                    "n_samples_seen",
                    "flops_per_sample",
                    "n_tokens_pretrain",
                    "n_datapoints",
                    "precision_weight_bits",
                    "mixture",
                    "is_instruct",
                    "is_distilled",
                    "release_date",
                    "organisation",
                    "base_model",
                    "size_ratio",
                    "n_groups",
                    "data_fraction",
                    "tokens_per_sample",
                    "accelerator_hours",
                    "task_domain",
                    "training_cost_usd",
                    "confidence",
                    "compute_method",
                    "batch_size_samples",
                    "n_latents",
                    "n_latents_active",
                    "n_params_dense",
                    "teacher_loss",
                ),
                ("run_id",),
                ("source_id", "study", "family"),
            ),
            Table(
                "evals",
                "one measured number",
                (
                    "run_id",
                    "source_id",
                    "step",
                    "n_tokens",
                    "n_chars",
                    "n_examples",
                    "domain_share",
                    "metric",
                    "eval_set",
                    "split",
                    "n_shots",
                    "value",
                    "unit",
                    "std_error",
                    "low",
                    "high",
                    "n_items",
                    "n_samples",
                    "n_tokens_inference",
                    "inference_flops",
                    "concept_count",
                    "demand_level",
                    "eval_domain",
                    "chance_level",
                    "value_origin",
                    "flag",
                    "flag_reason",
                    "raw_file",
                    "raw_row",
                    "raw_field",
                ),
                ("run_id", "step", "metric", "eval_set", "split", "n_shots"),
                ("source_id", "metric", "eval_set", "split", "value", "unit", "value_origin", "raw_file"),
            ),
            Table(
                "items",
                "one measured number of one test item",
                (
                    "run_id",
                    "source_id",
                    "step",
                    "task",
                    "item_id",
                    "item_group",
                    "metric",
                    "value",
                    "unit",
                    "n_samples",
                    "raw_file",
                    "raw_row",
                    "raw_field",
                ),
                ("run_id", "step", "task", "item_id", "metric"),
                ("source_id", "task", "item_id", "metric", "value", "unit", "raw_file"),
            ),
            Table(
                "schedules",
                "one step of a learning-rate curve",
                ("run_id", "source_id", "step", "learning_rate_at_step", "raw_file", "raw_row"),
                ("run_id", "step"),
                ("source_id", "step", "learning_rate_at_step", "raw_file"),
            ),
            Table(
                "mixtures",
                "share of one domain in the training data of one run",
                ("run_id", "source_id", "domain", "share", "raw_file", "raw_row"),
                ("run_id", "domain"),
                ("source_id", "domain", "share", "raw_file"),
            ),
            Table(
                "published_fits",
                "one parameter of one published law",
                (
                    "law",
                    "source_id",
                    "variant",
                    "is_default",
                    "param",
                    "value",
                    "low",
                    "high",
                    "n_definition",
                    "output_unit",
                    "where_stated",
                    "evidence",
                ),
                ("law", "source_id", "variant", "param"),
                (
                    "source_id",
                    "variant",
                    "is_default",
                    "param",
                    "value",
                    "output_unit",
                    "where_stated",
                    "evidence",
                ),
            ),
            Table(
                "claims",
                "one finding that a paper states, most of them quantitative",
                (
                    "claim_id",
                    "source_id",
                    "claim",
                    "quantity",
                    "value",
                    "value_high",
                    "unit",
                    "varies",
                    "law",
                    "where_stated",
                    "test_source",
                ),
                ("claim_id",),
                ("claim", "quantity"),
            ),
        )
    }
)


NAMED_BY_SOURCE = ("runs", "evals")
"""Tables whose files hold the source they are called after; `literature` brings rows of others into the rest."""


def polars_schema(table: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Column names and Polars types of `table`, in order."""
    return TABLES[table].polars_schema
