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
    "METRICS",
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
            Unit("nats_per_answer", "difference or sum of log-likelihoods of an answer", None, None, None),
            Unit("unitless", "a number whose scale is the metric's own", None, None, None),
        )
    }
)


@dataclass(frozen=True)
class Metric:
    """What was measured. `kind` is ``"loss"`` (views `points`, `curves`) or ``"score"`` (view `scores`)."""

    name: str
    kind: str
    units: tuple[str, ...]
    meaning: str
    larger_is_better: bool


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
                "task_score",
                "score",
                ("fraction",),
                "score of a task whose exact metric the source does not name",
                True,
            ),
        )
    }
)

N_DEFINITIONS: tuple[str, ...] = ("n_params", "n_params_non_embedding", "n_params_active")
"""The columns that hold a parameter count; a source's headline analysis uses one of them."""


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


def _count(name: str, meaning: str, unit: str = "count", minimum: float = 0.0) -> Column:
    return Column(name, pl.Float64, meaning, unit, minimum)


def _text(name: str, meaning: str, choices: tuple[str, ...] | None = None) -> Column:
    return Column(name, pl.String, meaning, choices=choices)


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        c.name: c
        for c in (
            # ---- who said it -------------------------------------------------------------
            _text("source_id", "short name of the paper or release that the row comes from"),
            _text("title", "title of the paper"),
            _text("authors", "authors, as a citation would print them"),
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
            _count("n_steps", "optimiser steps of the whole run", "steps"),
            _count("n_warmup_steps", "warm-up steps", "steps"),
            Column("weight_decay", pl.Float64, "decoupled weight decay", "1", 0.0, 100.0),
            Column("seed", pl.Int64, "random seed as reported"),
            Column(
                "gzip_ratio",
                pl.Float64,
                "compressed size of the training text over its original size",
                "fraction",
                0.0,
                1.5,
            ),
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
            # ---- items -------------------------------------------------------------------
            _text("task", "benchmark task"),
            _text("item_id", "test item within the task"),
            # ---- schedules ---------------------------------------------------------------
            Column("learning_rate_at_step", pl.Float64, "learning rate at this step", "1", 0.0, 10.0),
            # ---- published fits ----------------------------------------------------------
            _text("law", "id of the law, as in `sdb.get_law(id)`"),
            _text("variant", "name of the coefficient set"),
            Column("is_default", pl.Boolean, "whether law_<id>() in SQL uses this set"),
            _text("param", "parameter of the law"),
            _text("where_stated", "table, equation, figure or file that holds the number"),
            Column("is_verified", pl.Boolean, "whether the number was read at that place (or refitted there)"),
            _text("output_unit", "unit of the law's output with these coefficients"),
            # ---- claims ------------------------------------------------------------------
            _text("claim_id", "one quantitative finding: <arXiv id or row>/<number>"),
            _text("claim", "the finding in words"),
            _text("quantity", "what the number is"),
            Column("value_high", pl.Float64, "upper end where the finding is a range", "as value"),
            _text("varies", "what the study varied"),
            _text("test_source", "source that can test the claim"),
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
            _count("train_flops_6nd", "6 * n * n_tokens; never mixed with the reported `train_flops`", "FLOP"),
            Column("loss", pl.Float64, "value of the loss metric, in `unit`", "as unit"),
            Column(
                "loss_nats",
                pl.Float64,
                "the same in nats per token; null where `unit` does not convert",
                "nats_per_token",
            ),
            Column("score", pl.Float64, "value of the score metric, in `unit`", "as unit"),
            Column(
                "score_above_chance",
                pl.Float64,
                "(score - chance_level) / (1 - chance_level): 0 is guessing, 1 is perfect; null without a chance level",
            ),
            _text("meaning", "what the unit or the metric says"),
            Column("nats_factor", pl.Float64, "value times this is nats per token; null where no factor does it"),
            _text("kind", "'loss' (views points and curves) or 'score' (view scores)", ("loss", "score")),
            Column("is_larger_better", pl.Boolean, "whether a larger value is the better one"),
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
                ("title", "authors", "year", "licence", "is_shipped", "redistribution", "bibtex", "n_raw_files"),
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
                    "n_tokens",
                    "n_tokens_unique",
                    "n_epochs",
                    "train_flops",
                    "flops_per_token",
                    "corpus",
                    "tokenizer_id",
                    "vocab_size",
                    "context_length",
                    "d_model",
                    "d_ff",
                    "n_layers",
                    "n_heads",
                    "n_experts",
                    "n_experts_active",
                    "learning_rate",
                    "learning_rate_final",
                    "batch_size_tokens",
                    "n_steps",
                    "n_warmup_steps",
                    "weight_decay",
                    "seed",
                    "gzip_ratio",
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
                    "metric",
                    "value",
                    "unit",
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
                ("source_id", "learning_rate_at_step", "raw_file"),
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
                    "is_verified",
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
                    "is_verified",
                ),
            ),
            Table(
                "claims",
                "one quantitative finding that a paper states",
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


def polars_schema(table: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Column names and Polars types of `table`, in order."""
    return TABLES[table].polars_schema
