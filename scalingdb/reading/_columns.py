"""Which column of a table is what: as told, else by names that leave no doubt."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalingdb.errors import DataError, unknown_name
from scalingdb.notices import argument
from scalingdb.reading._report import Unusable
from scalingdb.schema import COLUMNS, METRICS, TABLES

__all__ = [
    "COUNT_UNITS",
    "SYNONYMS",
    "Columns",
    "choose",
    "full_name",
    "is_text",
    "is_training",
    "plain_name",
    "stated_factor",
    "stated_unit",
]

SHORT = {"N": "n_params", "D": "n_tokens", "C": "train_flops", "L": "loss", "run": "run_id", "model": "model_name"}
"""Symbols that stand for columns, as in a paper."""

SET_HERE = {"source_id", "unit", "value_origin", "flag", "flag_reason", "raw_file", "raw_row", "raw_field"}
"""Columns that no column of a file becomes."""

COUNT_UNITS = {"parameters", "tokens", "FLOP", "examples", "samples", "pairs", "characters", "data points", "steps"}

SYNONYMS: Mapping[str, frozenset[str]] = {
    "run_id": frozenset({"run", "run_name", "run_id", "experiment", "exp_name", "name"}),
    "model_name": frozenset({"model", "model_name", "model_id"}),
    "step": frozenset({"step", "global_step", "trainer_global_step", "iteration", "iter", "steps", "train_step"}),
    "n_params": frozenset(
        [
            "params",
            "parameters",
            "num_params",
            "num_parameters",
            "n_parameters",
            "nparams",
            "model_params",
            "param_count",
            "parameter_count",
            "total_params",
            "n_params",
            "model_num_parameters",
        ]
    ),
    "n_params_non_embedding": frozenset(
        [
            "non_embedding_params",
            "non_embedding_parameters",
            "params_non_embedding",
            "n_non_embedding",
            "num_params_non_embedding",
        ]
    ),
    "n_params_active": frozenset({"active_params", "active_parameters", "num_active_params", "activated_params"}),
    "n_tokens": frozenset(
        [
            "tokens",
            "num_tokens",
            "train_tokens",
            "training_tokens",
            "total_tokens",
            "tokens_seen",
            "n_tokens_seen",
            "num_input_tokens_seen",
            "consumed_tokens",
            "tokens_trained",
            "train_tokens_seen",
            "n_train_tokens",
        ]
    ),
    "n_tokens_unique": frozenset({"unique_tokens", "num_unique_tokens", "n_unique_tokens", "distinct_tokens"}),
    "train_flops": frozenset(
        {
            "flops",
            "compute",
            "training_compute",
            "train_compute",
            "train_flop",
            "training_flops",
            "total_flops",
            "compute_flops",
            "total_flos",
        }
    ),
    "learning_rate": frozenset({"lr", "learning_rate", "peak_lr", "max_lr"}),
    "context_length": frozenset({"seq_len", "sequence_length", "context_length", "block_size", "max_seq_len"}),
    "batch_size_tokens": frozenset({"batch_size_tokens", "tokens_per_batch", "batch_tokens"}),
    "tokenizer_id": frozenset({"tokenizer", "tokenizer_name"}),
    "vocab_size": frozenset({"vocab_size", "n_vocab", "vocabulary_size"}),
    "eval_set": frozenset({"eval_set", "eval_dataset", "dataset", "benchmark", "task", "task_name"}),
    "metric": frozenset({"metric", "metric_name"}),
    "std_error": frozenset({"std_error", "stderr", "standard_error", "std_err"}),
    "n_items": frozenset({"n_items", "num_samples", "n_examples_eval", "num_examples", "n_samples"}),
    "n_shots": frozenset({"n_shots", "num_fewshot", "n_shot", "shots", "fewshot"}),
    "state": frozenset({"state", "status"}),
    "split": frozenset({"split", "phase", "stage", "partition", "subset"}),
}
"""Names that other tools give to columns, as `plain_name` writes them; none that may mean two things."""

TEXT = {"run_id", "model_name", "eval_set", "metric", "state", "split", "tokenizer_id", "family", "corpus", "study"}
"""Columns that stay text, beside those that the schema types so."""

_HELD_OUT = re.compile(
    r"(?:^|_)(?:val|valid|validation|eval|test|dev|held_?out)(?:_.*)?_(?:loss|nll|ce|cross_entropy)$"
    r"|(?:^|_)(?:val|valid|validation|test|dev|held_?out)_(?:loss|nll)_(?!(?:std|sd|se|stderr|min|max|best|step|n)(?:_|$))\w+$"
    r"|(?:^|_)loss_(?:val|valid|validation|eval|test|dev)$"
)
_HELD_OUT_PREFIX = re.compile(r"^(?:val|valid|validation|eval|test|dev|held_?out)_")
_NAMED = {"bpb": "bits_per_byte", "ppl": "perplexity", "accuracy": "acc"}
"""Short names of metrics."""

_OTHER_UNIT = {
    "bits_per_byte": re.compile(r"(?:^|_)(?:bpb|bits_per_byte)(?:_|$)"),
    "perplexity": re.compile(r"(?:^|_)(?:ppl|perplexity)(?:_|$)"),
}
"""Metrics by what the name of a column says that it is measured in."""

_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
"""A unit, or another remark, at the end of a heading: ``Params (M)``, ``Val loss [nats]``."""

_THOUSANDS, _MILLIONS = ("k", "thousand", "thousands", "tsd"), ("m", "mn", "mio", "million", "millions")
_BILLIONS, _TRILLIONS = ("b", "bn", "mrd", "billion", "billions"), ("t", "tn", "trillion", "trillions")
HEADED: Mapping[str, float] = {
    **dict.fromkeys(_THOUSANDS, 1e3),
    **dict.fromkeys(_MILLIONS, 1e6),
    **dict.fromkeys(_BILLIONS, 1e9),
    **dict.fromkeys(_TRILLIONS, 1e12),
    **dict.fromkeys(("pf_days", "pfdays", "petaflop_days", "petaflop_s_days", "pf_s_days"), 8.64e19),
    **{"eflop": 1e18, "exaflop": 1e18, "exaflops": 1e18, "zflop": 1e21, "zettaflop": 1e21, "zettaflops": 1e21},
}
"""Factors that a heading may state."""

_TRAINING = re.compile(r"(?:^|_)train(?:ing)?(?:_.*)?_(?:loss|nll|ce|cross_entropy)$")


@dataclass(frozen=True)
class Columns:
    """Columns of one table by what they are.

    Attributes
    ----------
    by_name : mapping
        Name here to column of the table: identity, inputs and knobs.
    measured : mapping
        Column of the table to metric.
    notes : tuple of str
        What was chosen without being told.
    ambiguous : tuple of str
        What could not be chosen, because several columns could be it.
    unused : tuple of str
        Columns that were not taken.
    """

    by_name: Mapping[str, str]
    measured: Mapping[str, str]
    notes: tuple[str, ...]
    ambiguous: tuple[str, ...]
    unused: tuple[str, ...]


def full_name(name: str) -> str:
    """What a symbol such as ``N`` stands for, and the column that a name means in another case or spelling."""
    if name in SHORT:
        return SHORT[name]
    lower = name.lower()
    if lower in COLUMNS or lower in METRICS or lower in {"value", "state"}:
        return lower
    counts = ("n_params", "n_params_non_embedding", "n_params_active", "n_tokens", "n_tokens_unique", "train_flops")
    return next((target for target in counts if lower in SYNONYMS[target]), name)


def _symbols(columns: Sequence[str]) -> bool:
    """Whether a table is written in symbols: a lone ``N`` may be a number of items, beside ``D`` or ``C`` it is not."""
    return len({"N", "D", "C"} & set(columns)) > 1


def plain_name(column: str) -> str:
    """A column's name without prefixes of tools, case and punctuation."""
    name = re.sub(
        r"^(?:config|summary|hparams|hyperparameters|args|cfg|data)[./]", "", column.strip(), flags=re.IGNORECASE
    )
    name = _IN_BRACKETS.sub("", name) or name
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", name).strip("_")


def stated_factor(column: str) -> float | None:
    """The factor to a count that a heading states, as in ``Params (M)`` or ``tokens in billions``."""
    said = re.search(r"[(\[]\s*(?:in\s+)?([^()\[\]]+?)\s*[)\]]\s*$|\s+in\s+(\w+)\s*$", column)
    word = re.sub(r"[^a-z]+", "_", (said[1] or said[2]).lower()).strip("_") if said else ""
    return HEADED.get(word)


def stated_unit(column: str) -> str | None:
    """``bits`` or ``nats`` where a heading says which."""
    said = re.search(r"(?i)(?:^|[^a-z])(bits|nats)(?:[^a-z]|$)", column)
    return said[1].lower() if said else None


def _is_called(target: str, column: str, plain: str) -> bool:
    """Whether a column is called by one of the names of `target`, below a tool's own headings or not."""
    last = plain_name(re.split(r"[./]", column)[-1]) if re.match(r"(?i)(?:config|hparams|args|cfg)[./]", column) else ""
    names = SYNONYMS.get(target, frozenset())
    return plain in names or plain.removeprefix("train_") in names or (last != "" and (last == target or last in names))


def _check(
    mapping: Mapping[str, str], columns: Sequence[str], file: str, metric: str, unit: str | None
) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, column in mapping.items():
        if not isinstance(name, str) or not isinstance(column, str):
            raise DataError(
                f"mapping {name!r}: {column!r} is not a pair of names", 'for example {"n_params": "Params"}.'
            )
        target = full_name(name)
        if target in SET_HERE:
            raise unknown_name("column", target, COLUMNS, "(the reader sets it itself)")
        close = difflib.get_close_matches(target, [*COLUMNS, *METRICS], n=1, cutoff=0.85)
        if target not in COLUMNS and target not in METRICS and target != "state" and close:
            raise unknown_name("column", target, [*COLUMNS, *METRICS], "(for a knob of your own, choose another name)")
        if target in told:
            raise DataError(f"{target!r} is mapped twice: {told[target]!r} and {column!r}", "map one of them.")
        if column not in columns:
            raise unknown_name("column", column, columns, f"(mapped to {target!r}, {file})")
        plain = plain_name(column)
        for other, pattern in _OTHER_UNIT.items() if target in {"loss", "value"} and metric == "loss" else ():
            if pattern.search(plain) and not (unit or "").startswith(other):
                raise DataError(
                    f"{column!r} is mapped to {name!r}, and its name says {other.replace('_', ' ')}",
                    f"say {argument(metric=other, unit=METRICS[other].units[0])}; "
                    "if it holds nats per token, rename it.",
                )
        told[target] = column
    if not any(_is_metric(target) for target in told):
        for target, column in told.items():
            if target not in COLUMNS and (_HELD_OUT.search(plain_name(column)) or plain_name(column) == "loss"):
                raise DataError(
                    f"{target!r} = {column!r} makes a loss a knob of yours, and nothing is mapped to 'loss'",
                    f"{argument(mapping={'loss': column})}, or map the loss beside it.",
                )
    if {"loss", "value"} <= told.keys():
        raise DataError("'loss' and 'value' are both mapped, and mean the same number", "map one of them.")
    return told


def choose(
    columns: Sequence[str],
    mapping: Mapping[str, str] | None,
    *,
    metric: str,
    tasks: Sequence[str] | None,
    file: str,
    unit: str | None = None,
    training: Sequence[str] = (),
) -> Columns:
    """Decide what the columns of a table are.

    A measured column is taken if it is mapped; if none is mapped, the one held-out loss, else the one loss, else
    columns that carry a metric's own name. Two candidates are refused: which of them is the headline is not ours
    to guess. What is not mapped while something is never becomes a measurement. `training` are columns that hold a
    training loss by the definition of the tool that wrote them, whatever their names.

    Raises
    ------
    DataError, UnknownNameError
        If the mapping does not fit the table, or no measured column can be told.
    """
    told = _check(mapping or {}, columns, file, metric, unit)
    measured = {
        column: metric if name in {"loss", "value"} else name for name, column in told.items() if _is_metric(name)
    }
    taken = set(told.values())
    by_name = {name: column for name, column in told.items() if not _is_metric(name)}
    notes: list[str] = []
    ambiguous: list[str] = []
    plain = {column: plain_name(column) for column in columns if column not in taken}
    exact = [name for table in ("runs", "evals") for name in TABLES[table].columns if name not in METRICS]
    for target in dict.fromkeys([*exact, *SYNONYMS]):
        if target in by_name or target in {"source_id", "value", "unit", "raw_file", "raw_row", "raw_field"}:
            continue
        same = [column for column in plain if column == target]
        symbol = [c for c in plain if SHORT.get(c) == target and len(c) == 1 and _symbols(columns)]
        alike = same or symbol or [column for column, name in plain.items() if name in SYNONYMS.get(target, ())]
        alike = alike or [column for column, name in plain.items() if _is_called(target, column, name)]
        if target == "run_id" and len(alike) > 1:  # W&B has a name and an id: the name is what people know
            alike = [column for column in alike if plain[column] == "name"] or alike[:1]
        if len(alike) == 1:
            by_name[target] = alike[0]
            plain.pop(alike[0])
        elif len(alike) > 1:
            ambiguous.append(f"{target} could be {' or '.join(map(repr, alike))}: neither was taken; map one")
    if tasks is not None:
        missing = [task for task in tasks if task not in columns]
        if missing:
            raise unknown_name("column", missing[0], columns, f"(in tasks, {file})")
        measured |= dict.fromkeys(tasks, metric if metric != "loss" else "task_score")
    elif not measured:
        measured, note = _guess_measured(plain, by_name, metric, file, columns, training)
        notes += [note] if note else []
    used = {*by_name.values(), *measured}
    unused = tuple(column for column in columns if column not in used)
    return Columns(by_name, measured, tuple(notes), tuple(ambiguous), unused)


def _is_metric(name: str) -> bool:
    return name in METRICS or name == "value"


def _guess_measured(
    plain: Mapping[str, str],
    by_name: Mapping[str, str],
    metric: str,
    file: str,
    columns: Sequence[str],
    trained: Sequence[str],
) -> tuple[dict[str, str], str | None]:
    held_out = [c for c, name in plain.items() if _HELD_OUT.search(name) or name in {"val_nll", "validation_loss"}]
    losses = [c for c, name in plain.items() if name in {"loss", "nll", "cross_entropy", "lm_loss"}]
    losses += [c for c in plain if c == "L" and _symbols(columns)]
    losses = [c for c in losses if c not in trained]
    training = [c for c, name in plain.items() if _TRAINING.search(name) or c in trained]
    if "metric" in by_name or ("eval_set" in by_name and not (held_out or losses)):
        values = [c for c, name in plain.items() if name in {"value", "score", "result", "accuracy", "acc"}]
        if len(values) == 1:
            name = plain[values[0]]
            return {values[0]: "acc" if name in {"accuracy", "acc"} else "task_score"}, f"the score is {values[0]!r}"
    for candidates, how in ((held_out, "held-out loss"), (losses, "loss")):
        if len(candidates) == 1:
            return {candidates[0]: metric}, f"loss is {candidates[0]!r}: the only {how}"
        if len(candidates) > 1:
            raise DataError(
                f"{file}: {len(candidates)} columns could be the loss: {', '.join(map(repr, candidates))}",
                f"say which: {argument(mapping={'loss': candidates[0]})}.",
            )
    bare = {c: _HELD_OUT_PREFIX.sub("", name) for c, name in plain.items()}
    named = {c: _NAMED.get(name, name) for c, name in bare.items()}
    named = {c: name for c, name in named.items() if name in METRICS and name not in {"loss", "train_loss"}}
    if named:
        return named, None
    if len(training) == 1:
        return {training[0]: "train_loss"}, f"the only loss is {training[0]!r}: a training loss, kept as train_loss"
    raise Unusable(
        f"no column is a loss or a score by its name; it has {', '.join(map(repr, list(columns)[:30]))}. Map it: "
        f"{argument(mapping={'loss': 'COLUMN'})}; a wide table of scores: "
        f"{argument(tasks=['COLUMN'])} for each task, with {argument(unit='fraction')} or {argument(unit='percent')}"
    )


def is_training(column: str) -> bool:
    """Whether a column is a training loss by its name."""
    return _TRAINING.search(plain_name(column)) is not None


def is_text(name: str) -> bool:
    """Whether a column stays text."""
    import polars as pl

    return name in TEXT or (name in COLUMNS and COLUMNS[name].dtype in (pl.String, pl.Date, pl.Boolean))
