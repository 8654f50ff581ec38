"""Results of evaluation harnesses as measurements."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from scalingdb.reading._json import json_value
from scalingdb.reading._report import Unusable

__all__ = ["Results", "helm", "opencompass", "recognise", "samples"]

METRICS = {
    "acc": ("acc", "fraction"),
    "accuracy": ("acc", "fraction"),
    "acc_norm": ("acc_norm", "fraction"),
    "mc1": ("mc1", "fraction"),
    "mc2": ("mc2", "fraction"),
    "em": ("exact_match", "fraction"),
    "exact_match": ("exact_match", "fraction"),
    "exactmatch": ("exact_match", "fraction"),
    "f1": ("f1", "fraction"),
    "f1_score": ("f1", "fraction"),
    "pct_stereotype": ("pct_stereotype", "fraction"),
    "likelihood_difference": ("likelihood_difference", "nats_per_answer"),
    "likelihood_diff": ("likelihood_difference", "nats_per_answer"),
    "pass@1": ("pass_at_1", "fraction"),
    "pass_at_1": ("pass_at_1", "fraction"),
    "bits_per_byte": ("bits_per_byte", "bits_per_byte"),
    "word_perplexity": ("perplexity", "perplexity_per_word"),
    "perplexity": ("perplexity", "perplexity_per_word"),
    "ppl": ("perplexity", "perplexity_per_word"),
}
"""Metrics of the harnesses: name here, and unit (lm-evaluation-harness's ``perplexity`` is per target word)."""


@dataclass(frozen=True)
class Results:
    """Measurements of one file.

    Attributes
    ----------
    harness : str
        What wrote them, in words.
    rows, items : list of dict
        With columns of the tables ``evals`` and ``items``, and of ``runs`` where the file states them.
    unused : tuple of str
        Metrics that are not known here.
    notes : tuple of str
        What was converted.
    """

    harness: str
    rows: list[dict[str, Any]]
    items: list[dict[str, Any]] = field(default_factory=list)
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognise(value: Mapping[str, Any], file: Path, name: str) -> Results | None:
    """Measurements of a JSON object, if a harness that is known here wrote it.

    Raises
    ------
    Unusable
        For a file of a known kind in which what is needed is missing.
    """
    if "evaluation_results" in value and "model_info" in value:
        return _every_eval_ever(value, name)
    if isinstance(value.get("eval"), dict) and ("results" in value or "status" in value):
        return _inspect(value, name)
    if "results" in value and ({"versions", "config", "configs", "n-shot", "group_subtasks"} & set(value)):
        return _lm_eval(value, file, name)
    results = value.get("results")
    if isinstance(results, dict) and results and all(isinstance(task, dict) for task in results.values()):
        return _lm_eval(value, file, name)
    return _by_time(value, file, name)


_TIME = re.compile(r"(?:step|iter|iteration|checkpoint|ckpt)?[-_ ]?(\d{1,15})")


def _by_time(value: Mapping[str, Any], file: Path, name: str) -> Results | None:
    """Scores of one run as task -> step -> metrics, the shape in which many keep the evaluations of checkpoints."""
    tables = list(value.values())
    if not tables or not all(isinstance(times, dict) and times for times in tables):
        return None
    if not all(_TIME.fullmatch(str(time)) and isinstance(m, dict) for times in tables for time, m in times.items()):
        return None
    rows: list[dict[str, Any]] = []
    unused: set[str] = set()
    for task, times in value.items():
        for time, metrics in times.items():
            found, unknown = _lm_eval_task({}, str(task), metrics)
            unused |= unknown
            step = float(_TIME.fullmatch(str(time))[1])  # type: ignore[index]
            own = {"model_name": file.stem, "step": step, "raw_file": name}
            rows += [
                {**row, **own, "raw_field": f"{task}/{time}/{row['raw_field'].rpartition('/')[2]}"} for row in found
            ]
    if not rows:
        raise Unusable(f"scores by task and step in which no metric is known here ({', '.join(sorted(unused)[:8])})")
    return Results("scores by task and step (as one run, called like the file)", rows, unused=tuple(sorted(unused)))


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# ---- lm-evaluation-harness -----------------------------------------------------------------------


def _lm_eval(report: Mapping[str, Any], file: Path, name: str) -> Results:
    results = report.get("results")
    if not isinstance(results, dict) or not results:
        raise Unusable("results of lm-evaluation-harness without a task in 'results'")
    if not all(isinstance(task, dict) for task in results.values()):
        nested = {k: v for k, v in results.items() if isinstance(v, dict)}
        if not nested:
            raise Unusable("results of lm-evaluation-harness whose 'results' hold no metrics by task")
        results = nested
    model, step, n_params = _lm_eval_model(report, file)
    rows: list[dict[str, Any]] = []
    unused: set[str] = set()
    for task, values in results.items():
        found, unknown = _lm_eval_task(report, str(task), values)
        rows += [{"model_name": model, "step": step, "n_params": n_params, "raw_file": name, **row} for row in found]
        unused |= unknown
    if not rows:
        what = f"none of {', '.join(sorted(unused))} is known here" if unused else "no task has a number"
        raise Unusable(f"results of lm-evaluation-harness: {what}")
    return Results("lm-evaluation-harness results", rows, unused=tuple(sorted(unused)))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lm_eval_model(report: Mapping[str, Any], file: Path) -> tuple[str, float | None, float | None]:
    """Model, training step and number of parameters, as far as the file states them."""
    config = _mapping(report.get("config"))
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        pairs = (part.partition("=") for part in arguments.split(","))
        arguments = {key.strip(): value.strip() for key, _, value in pairs}
    arguments = _mapping(arguments)
    named = arguments.get("pretrained") or arguments.get("model") or report.get("model_name")
    model = str(named or config.get("model") or file.parent.name or file.stem).rstrip("/")
    revision = str(arguments.get("revision") or "")
    step = re.fullmatch(r"step[-_]?(\d{1,15})", revision)
    if revision and not step and revision != "main":
        model = f"{model}@{revision}"
    n_params = _number(config.get("model_num_parameters"))
    return model, float(step[1]) if step else None, n_params if n_params and n_params > 0 else None


def _lm_eval_task(
    report: Mapping[str, Any], task: str, values: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], set[str]]:
    """Rows of one task, and the metrics that are not known here."""
    config = _mapping(report.get("config"))
    shots = _number(_mapping(report.get("n-shot")).get(task, config.get("num_fewshot")))
    n_items = _number(_mapping(_mapping(report.get("n-samples")).get(task)).get("effective"))
    limit = config.get("limit")
    subtasks = _mapping(report.get("group_subtasks")).get(task)
    is_group = bool(subtasks) or task in _mapping(report.get("groups"))
    rows, unknown = [], set()
    for key, value in values.items():
        metric, _, variant = str(key).partition(",")
        number = _number(value)
        if metric.endswith("_stderr") or number is None:
            continue
        if metric not in METRICS:
            if metric not in {"alias", "samples", "sample_len", "name"}:
                unknown.add(metric)
            continue
        name, unit = METRICS[metric]
        if unit == "fraction" and not 0 <= number <= 1:
            unknown.add(f"{metric} = {number:g} of {task} (no share)")
            continue
        error = _number(values.get(f"{metric}_stderr,{variant}" if variant else f"{metric}_stderr"))
        flag, reason = None, None
        if limit:
            flag, reason = "limited", f"run with --limit {_plain(limit)}: a part of the task"
        elif is_group:
            flag, reason = "group", "mean of subtasks that are listed beside it"
        rows.append(
            {
                "metric": name,
                "eval_set": task if variant in {"", "none"} else f"{task} ({variant})",
                "split": "all",
                "n_shots": int(shots) if shots is not None and 0 <= shots < 1e6 else None,
                "value": number,
                "unit": unit,
                "std_error": error,
                "n_items": n_items,
                "flag": flag,
                "flag_reason": reason,
                "raw_field": f"results/{task}/{key}",
            }
        )
    return rows, unknown


def samples(rows: Sequence[Mapping[str, Any]], file: Path, name: str) -> Results | None:
    """Per-item results: ``samples_*.jsonl`` of lm-evaluation-harness, or samples of Every Eval Ever."""
    if not rows or not ({"doc_id", "target"} <= set(rows[0]) or {"sample_id", "evaluation"} <= set(rows[0])):
        return None
    items = []
    found = re.fullmatch(r"samples_(.+?)(?:_\d{4}-\d\d-\d\dT[\d.:-]+)?", file.stem)
    for number, row in enumerate(rows, 1):
        if "doc_id" in row:
            model, item, task = file.parent.name, str(row["doc_id"]), found[1] if found else file.stem
            values = {m: _number(row.get(m)) for m in row if m in METRICS}
        else:
            model, item = str(row.get("model_id")), str(row["sample_id"])
            task = str(row.get("evaluation_name"))
            values = {"acc": _number(_mapping(row["evaluation"]).get("score"))}
        items += [
            {
                "model_name": model,
                "task": task,
                "item_id": item,
                "metric": METRICS[metric][0],
                "value": value,
                "unit": METRICS[metric][1],
                "raw_file": name,
                "raw_row": number,
                "raw_field": metric,
            }
            for metric, value in values.items()
            if value is not None
        ]
    if not items:
        raise Unusable("per-item results in which no metric is known here")
    return Results("per-item results", [], items)


# ---- Inspect -------------------------------------------------------------------------------------


def _inspect(log: Mapping[str, Any], name: str) -> Results:
    run, status = _mapping(log.get("eval")), log.get("status")
    model = run.get("model")
    if not model:
        raise Unusable("an Inspect log that names no model")
    results = log.get("results")
    if not isinstance(results, dict):
        raise Unusable(f"an Inspect log without results (status {status!r}): the evaluation did not finish")
    task = str(run.get("task") or run.get("task_display_name") or "task")
    scores = results.get("scores")
    if not isinstance(scores, list):  # before version 2 there was one scorer
        scores = [{"name": _mapping(results.get("scorer")).get("name", "score"), "metrics": results.get("metrics")}]
    scores = [_mapping(score) for score in scores]
    limit = _mapping(run.get("config")).get("limit")
    rows: list[dict[str, Any]] = []
    unused: set[str] = set()
    for score in scores:
        metrics = _mapping(score.get("metrics"))
        error = _number(_mapping(metrics.get("stderr")).get("value"))
        n_items = _inspect_count(score, results, run)
        for key, metric in metrics.items():
            value = _number(_mapping(metric).get("value"))
            if key in {"stderr", "std", "var", "bootstrap_stderr"} or value is None:
                continue
            known = METRICS.get(str(key).rpartition("/")[2]) or (("task_score", "fraction") if key == "mean" else None)
            if known is None or (known[1] == "fraction" and not 0 <= value <= 1):
                unused.add(str(key))
                continue
            flag, reason = None, None
            if status != "success":
                flag, reason = "unfinished", f"the evaluation ended with status {status!r}"
            elif limit:
                flag, reason = "limited", f"run with a limit of {limit}: a part of the task"
            label = task if len(scores) == 1 else f"{task} ({score.get('name')})"
            rows.append(
                {
                    "model_name": str(model),
                    "metric": known[0],
                    "eval_set": label,
                    "split": "all",
                    "value": value,
                    "unit": known[1],
                    "std_error": error,
                    "n_items": n_items,
                    "flag": flag,
                    "flag_reason": reason,
                    "raw_file": name,
                    "raw_field": f"results/{score.get('name')}/{key}",
                }
            )
    if not rows:
        raise Unusable(
            f"an Inspect log in which no metric is known here ({', '.join(sorted(unused)) or 'results are empty'})"
        )
    return Results("Inspect log", rows, _inspect_items(log, str(model), task, name), tuple(sorted(unused)))


def _inspect_count(score: Mapping[str, Any], results: Mapping[str, Any], run: Mapping[str, Any]) -> float | None:
    """Items that were scored: the log counts each of them once for every epoch."""
    count = _number(score.get("scored_samples", results.get("completed_samples")))
    epochs, items = (
        _number(_mapping(run.get("config")).get("epochs")),
        _number(_mapping(run.get("dataset")).get("samples")),
    )
    if count and epochs and epochs > 1 and count % epochs == 0 and (items is None or count > items):
        return count / epochs
    return count


def _inspect_items(log: Mapping[str, Any], model: str, task: str, name: str) -> list[dict[str, Any]]:
    marks = {"C": 1.0, "I": 0.0, True: 1.0, False: 0.0}
    items = []
    samples = log.get("samples")
    for number, sample in enumerate(map(_mapping, samples if isinstance(samples, list) else ()), 1):
        for scorer, score in _mapping(sample.get("scores")).items():
            given = _mapping(score).get("value")
            value = marks.get(given) if isinstance(given, str | bool) else _number(given)
            epoch = sample.get("epoch")
            label = f"{sample.get('id')}" + (f" (epoch {epoch})" if isinstance(epoch, int) and epoch > 1 else "")
            if value is not None and 0 <= value <= 1:
                items.append(
                    {
                        "model_name": model,
                        "task": task,
                        "item_id": label,
                        "metric": "acc",
                        "value": value,
                        "unit": "fraction",
                        "raw_file": name,
                        "raw_row": number,
                        "raw_field": f"samples/{scorer}",
                    }
                )
    return items


# ---- HELM ----------------------------------------------------------------------------------------

HELM_METRICS = ("exact_match", "f1_score", "bits_per_byte")


def helm(stats: Sequence[Any], file: Path, name: str) -> Results | None:
    """``stats.json`` of a HELM run folder; model and scenario stand in ``run_spec.json`` beside it."""
    first = stats[0] if stats else None
    if not (isinstance(first, dict) and isinstance(first.get("name"), dict) and "count" in first):
        return None
    try:
        spec = json_value((file.parent / "run_spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(
            "HELM statistics without a readable run_spec.json beside them: which model is not said"
        ) from error
    adapter = _mapping(_mapping(spec).get("adapter_spec"))
    model = adapter.get("model") or adapter.get("model_deployment")
    if not model:
        raise Unusable("a HELM run whose run_spec.json names no model")
    label = re.sub(r",?model=[^,]*", "", str(spec.get("name") or file.parent.name)).rstrip(":,")
    is_language_modelling = adapter.get("method") == "language_modeling"
    plain = [
        (_mapping(stat["name"]), _mapping(stat))
        for stat in stats
        if isinstance(stat, dict) and isinstance(stat.get("name"), dict) and stat["name"].get("perturbation") is None
    ]
    by_key: dict[tuple[str, str], Mapping[str, Any]] = {}
    for key, stat in plain:
        named = (str(key.get("name")), str(key.get("split")))
        if named[0] in HELM_METRICS and stat.get("mean") != by_key.get(named, stat).get("mean"):
            raise Unusable(f"a HELM run with two values of {named[0]} on the split {named[1]}: which one counts?")
        by_key[named] = stat
    rows, unused = [], set()
    for (metric, split), stat in by_key.items():
        value = _number(stat.get("mean"))
        if value is None or not stat.get("count"):
            continue
        if metric not in HELM_METRICS or (metric == "bits_per_byte" and not is_language_modelling):
            if not str(metric).startswith("num_"):
                unused.add(str(metric))
            continue
        known, unit = METRICS[metric]
        shots = _number(by_key.get(("num_train_instances", split), {}).get("mean"))
        rows.append(
            {
                "model_name": str(model),
                "metric": known,
                "eval_set": label,
                "split": {"valid": "validation", "train": "fit"}.get(str(split), "all"),
                "n_shots": int(shots) if shots is not None else None,
                "value": value,
                "unit": unit,
                "n_items": _number(by_key.get(("num_instances", split), {}).get("mean")),
                "raw_file": name,
                "raw_field": f"{metric}/{split}",
            }
        )
    if not rows:
        raise Unusable(f"a HELM run without a metric that is known here ({', '.join(HELM_METRICS)})")
    return Results("HELM run", rows, _helm_items(file, str(model), label, name), tuple(sorted(unused)))


def _helm_items(file: Path, model: str, task: str, name: str) -> list[dict[str, Any]]:
    """Scores of single instances from ``per_instance_stats.json`` beside the statistics, if it is there."""
    beside = file.with_name("per_instance_stats.json")
    try:
        instances = json_value(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    items = []
    for number, instance in enumerate(map(_mapping, instances if isinstance(instances, list) else ()), 1):
        trial = instance.get("train_trial_index")
        item = f"{instance.get('instance_id')}" + (f" (trial {trial})" if isinstance(trial, int) and trial > 0 else "")
        if instance.get("perturbation") is not None:
            continue
        stats = instance.get("stats")
        for stat in map(_mapping, stats if isinstance(stats, list) else ()):
            metric, value = _mapping(stat.get("name")).get("name"), _number(stat.get("mean"))
            if metric in ("exact_match", "f1_score") and value is not None and 0 <= value <= 1:
                items.append(
                    {
                        "model_name": model,
                        "task": task,
                        "item_id": item,
                        "metric": METRICS[metric][0],
                        "value": value,
                        "unit": "fraction",
                        "raw_file": f"{name.removesuffix(file.name)}{beside.name}",
                        "raw_row": number,
                        "raw_field": f"stats/{metric}",
                    }
                )
    return items


# ---- Every Eval Ever, OpenCompass ----------------------------------------------------------------


def _every_eval_ever(report: Mapping[str, Any], name: str) -> Results:
    model = _mapping(report.get("model_info")).get("id") or _mapping(report.get("model_info")).get("name")
    if not model:
        raise Unusable("an Every Eval Ever record that names no model")
    rows, unused, was_percent = [], set(), False
    results = report.get("evaluation_results")
    for result in map(_mapping, results if isinstance(results, list) else ()):
        config, details = _mapping(result.get("metric_config")), _mapping(result.get("score_details"))
        value = _number(details.get("score"))
        metric = str(config.get("metric_id") or config.get("metric_name") or "score")
        unit = str(config.get("metric_unit") or "")
        if value is None:
            continue
        bounds = _number(config.get("min_score")), _number(config.get("max_score"))
        if not unit:  # before units were stated, bounds said what a score counts in
            unit = "proportion" if bounds == (0.0, 1.0) else "percent" if bounds == (0.0, 100.0) else ""
        is_percent = unit in {"percent", "percentage", "%"}
        was_percent |= is_percent
        value = round(value / 100, 15) if is_percent else value
        known = METRICS.get(metric) or ("task_score", "fraction")
        if unit not in {"proportion", "fraction", "percent", "percentage", "%"} or not 0 <= value <= 1:
            unused.add(metric)
            continue
        uncertainty = _mapping(details.get("uncertainty"))
        error = _number(_mapping(uncertainty.get("standard_error")).get("value"))
        rows.append(
            {
                "model_name": str(model),
                "metric": known[0],
                "eval_set": str(result.get("evaluation_name") or metric),
                "split": "all",
                "value": value,
                "unit": known[1],
                "std_error": error / 100 if error is not None and is_percent else error,
                "n_items": _number(uncertainty.get("num_samples")),
                "raw_file": name,
                "raw_field": f"evaluation_results/{metric}",
            }
        )
    if not rows:
        raise Unusable("an Every Eval Ever record without a share between 0 and 1")
    notes = ("scores in per cent became shares",) if was_percent else ()
    return Results("Every Eval Ever record", rows, unused=tuple(sorted(unused)), notes=notes)


def opencompass(table: pl.DataFrame, name: str) -> Results:
    """A summary of OpenCompass: one row per dataset, one column per model, shares in per cent."""
    rows: list[dict[str, Any]] = []
    unused: set[str] = set()
    models = [column for column in table.columns if column not in {"dataset", "version", "metric", "mode"}]
    tasks = table["dataset"].cast(pl.String).fill_null("").str.strip_chars().to_list()
    for number, row in enumerate(table.iter_rows(named=True), 1):
        metric = str(row["metric"] or "").strip().lower()
        is_mean = metric == "naive_average"
        known = METRICS.get(metric) or METRICS.get(metric.rpartition("_")[2] if "@" in metric else "")
        known = known or (("task_score", "fraction") if metric == "score" or is_mean else None)
        task = str(row["dataset"]).strip()
        flags = {}
        if is_mean and any(task.lower() in other.lower() for other in tasks if other != task):
            flags = {"flag": "group", "flag_reason": "mean of subtasks that are listed beside it"}
        for model in models:
            try:
                value = float(str(row[model]).strip())
            except ValueError:
                continue
            if known is None or known[1] != "fraction" or not 0 <= value <= 100:
                unused.add(metric)
                continue
            rows.append(
                {
                    "model_name": model,
                    "metric": known[0],
                    "eval_set": task,
                    "split": "all",
                    **flags,
                    "value": round(value / 100, 15),
                    "unit": "fraction",
                    "raw_file": name,
                    "raw_row": number,
                    "raw_field": model,
                }
            )
    if len(rows) > 2 and max(row["value"] for row in rows) <= 0.01:
        raise Unusable("an OpenCompass summary, which is written in per cent, without a score above 1: divided by 100?")
    notes = ("scores in per cent became shares",)
    return Results("OpenCompass summary", rows, unused=tuple(sorted(unused)), notes=notes)
