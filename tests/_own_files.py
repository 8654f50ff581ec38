"""Made-up files in the shapes that other tools write: every value is invented here."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1.2e8, 3.1e8, 7.7e8)
RATIOS = (8.0, 20.0, 45.0)


def loss(n: float, d: float) -> float:
    return round(1.71 + 390.0 * n**-0.335 + 420.0 * d**-0.283, 5)


RUNS = [(f"sweep-{i}{j}", n, n * r, loss(n, n * r)) for i, n in enumerate(SIZES) for j, r in enumerate(RATIOS)]
"""Name, parameters, tokens and loss of nine runs."""


def _csv(header: str, rows: list[tuple[Any, ...]]) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def wandb_table(folder: Path) -> Path:
    file = folder / "wandb_export.csv"
    rows = [(name, "finished", 812.5, n, d, 0.0003, f"{y * 0.98:.5f}", y) for name, n, d, y in RUNS]
    file.write_text(_csv("Name,State,Runtime,n_params,tokens,lr,train_loss,val_loss", rows), encoding="utf-8")
    return file


def wandb_chart(folder: Path) -> Path:
    file = folder / "chart.csv"
    names = [name for name, *_ in RUNS[:3]]
    header = ["Step", *(f"{n} - val_loss{end}" for n in names for end in ("", "__MIN", "__MAX"))]
    rows = []
    for step in range(0, 500, 50):
        values = [round(5.2 - 0.004 * step + 0.07 * i, 5) for i in range(3)]
        rows.append((step, *(v for value in values for v in (value, value, value))))
    file.write_text(_csv(",".join(header), rows), encoding="utf-8")
    return file


def _history() -> list[dict[str, Any]]:
    return [
        {"run": name, "step": step, "tokens": step * 5e5, "train/loss": round(y + 3.0 / (step + 1), 5)}
        | ({"val/loss": round(y + 2.5 / (step + 1), 5)} if step % 100 == 0 else {})
        for name, _, _, y in RUNS[:4]
        for step in range(50, 550, 50)
    ]


def history_csv(folder: Path) -> Path:
    file = folder / "history.csv"
    names = ["run", "step", "tokens", "train/loss", "val/loss"]
    file.write_text(
        _csv(",".join(names), [tuple(row.get(n, "") for n in names) for row in _history()]), encoding="utf-8"
    )
    return file


def json_lines(folder: Path) -> Path:
    file = folder / "log.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in _history()), encoding="utf-8")
    return file


def tensorboard(folder: Path) -> Path:
    target = folder / "tb"
    target.mkdir()
    for i, (name, *_) in enumerate(RUNS[:3]):
        rows = [(1.7e9 + step, step, round(4.9 - 0.003 * step + 0.06 * i, 5)) for step in range(0, 400, 40)]
        (target / f"run-{name}-tag-eval_loss.csv").write_text(_csv("Wall time,Step,Value", rows), encoding="utf-8")
    return target


def trainer_state(folder: Path) -> Path:
    file = folder / "my-model" / "checkpoint-400" / "trainer_state.json"
    file.parent.mkdir(parents=True)
    train = [
        {"epoch": s / 400, "learning_rate": 3e-4, "loss": round(5 - 0.003 * s, 4), "step": s}
        for s in range(10, 401, 10)
    ]
    held_out = [
        {"epoch": s / 400, "eval_loss": round(5.1 - 0.003 * s, 4), "eval_runtime": 3.2, "step": s} for s in (200, 400)
    ]
    state = {"epoch": 1.0, "global_step": 400, "max_steps": 400, "log_history": train + held_out, "total_flos": 1e18}
    file.write_text(json.dumps(state), encoding="utf-8")
    return file


def lm_eval_new(folder: Path) -> Path:
    file = folder / "results_2026-02-03T10-00-00.000000.json"
    report = {
        "results": {
            "arc_easy": {"alias": "arc_easy", "acc,none": 0.6125, "acc_stderr,none": 0.0109, "acc_norm,none": 0.58},
            "mmlu": {"acc,none": 0.29, "acc_stderr,none": 0.004, "alias": "mmlu"},
            "mmlu_law": {"acc,none": 0.29, "acc_stderr,none": 0.0144, "alias": " - law"},
        },
        "group_subtasks": {"mmlu": ["mmlu_law"], "arc_easy": []},
        "n-shot": {"arc_easy": 0, "mmlu_law": 5},
        "n-samples": {
            "arc_easy": {"original": 2000, "effective": 2000},
            "mmlu_law": {"original": 990, "effective": 990},
        },
        "config": {
            "model": "hf",
            "model_args": "pretrained=acme/tiny-lm,revision=step3000",
            "model_num_parameters": 120000000,
        },
        "versions": {"arc_easy": 1.0},
    }
    file.write_text(json.dumps(report), encoding="utf-8")
    return file


def lm_eval_old(folder: Path) -> Path:
    file = folder / "tiny.json"
    report = {
        "results": {
            "piqa": {"acc": 0.671, "acc_stderr": 0.011},
            "lambada": {"ppl": 14.2, "ppl_stderr": 0.5, "acc": 0.41},
        },
        "versions": {"piqa": 0, "lambada": 0},
        "config": {"model": "gpt2", "model_args": "pretrained=acme/tiny-lm", "num_fewshot": 0, "limit": None},
    }
    file.write_text(json.dumps(report), encoding="utf-8")
    return file


def _inspect_log() -> dict[str, Any]:
    metrics = {"accuracy": {"name": "accuracy", "value": 0.65}, "stderr": {"name": "stderr", "value": 0.0476}}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "made_up_task",
            "model": "acme/tiny-chat",
            "config": {"epochs": 1},
            "dataset": {"samples": 100},
        },
        "plan": {"name": "plan"},
        "results": {
            "total_samples": 100,
            "completed_samples": 100,
            "scores": [{"name": "choice", "scorer": "choice", "scored_samples": 100, "metrics": metrics}],
        },
        "samples": [{"id": i, "epoch": 1, "scores": {"choice": {"value": "C" if i % 3 else "I"}}} for i in range(1, 7)],
    }


def inspect_json(folder: Path) -> Path:
    file = folder / "log.json"
    file.write_text(json.dumps(_inspect_log()), encoding="utf-8")
    return file


def inspect_archive(folder: Path) -> Path:
    file = folder / "log.eval"
    log = _inspect_log()
    samples = log.pop("samples")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("header.json", json.dumps(log))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    file.write_bytes(packed.getvalue())
    return file


def helm(folder: Path) -> Path:
    run = folder / "runs" / "made_up:model=acme_tiny"
    run.mkdir(parents=True)
    spec = {"name": "made_up:model=acme_tiny", "adapter_spec": {"method": "generation", "model": "acme/tiny"}}
    stats = [
        {"name": {"name": "exact_match", "split": "test"}, "count": 1, "mean": 0.44},
        {"name": {"name": "exact_match", "split": "test", "perturbation": {"name": "typos"}}, "count": 1, "mean": 0.31},
        {"name": {"name": "num_instances", "split": "test"}, "count": 1, "mean": 250.0},
        {"name": {"name": "num_train_instances", "split": "test"}, "count": 1, "mean": 5.0},
    ]
    (run / "run_spec.json").write_text(json.dumps(spec), encoding="utf-8")
    (run / "stats.json").write_text(json.dumps(stats), encoding="utf-8")
    instances = [
        {
            "instance_id": f"id{number}",
            "train_trial_index": 0,
            "stats": [{"name": {"name": "exact_match", "split": "test"}, "count": 1, "mean": float(number % 2)}],
        }
        for number in range(4)
    ]
    instances.append({**instances[0], "perturbation": {"name": "typos"}})
    (run / "per_instance_stats.json").write_text(json.dumps(instances), encoding="utf-8")
    return folder / "runs"


def every_eval_ever(folder: Path) -> Path:
    file = folder / "record.json"
    result = {
        "evaluation_name": "made_up_bench",
        "metric_config": {"metric_id": "accuracy", "metric_unit": "proportion"},
        "score_details": {"score": 0.71},
    }
    record = {"schema_version": "0.3.0", "model_info": {"id": "acme/tiny"}, "evaluation_results": [result]}
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


def opencompass(folder: Path) -> Path:
    file = folder / "summary.csv"
    rows = [
        ("made_up_qa", "1a2b3c", "accuracy", "gen", 41.25, 52.5),
        ("made_up_sum", "4d5e6f", "accuracy", "ppl", "-", 33.75),
    ]
    file.write_text(_csv("dataset,version,metric,mode,tiny-lm,small-lm", rows), encoding="utf-8")
    return file


TABLES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "wandb_table": (wandb_table, {"unit": "nats_per_token"}),
    "history_csv": (history_csv, {"unit": "nats_per_token", "curves": True}),
    "wandb_chart": (wandb_chart, {"unit": "nats_per_token", "curves": True}),
    "tensorboard": (tensorboard, {"unit": "nats_per_token", "curves": True}),
    "json_lines": (json_lines, {"unit": "nats_per_token", "curves": True}),
    "trainer_state": (trainer_state, {"unit": "nats_per_token", "curves": True, "tokens_per_step": 5e5}),
}

EVALUATIONS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "lm_eval_new": (lm_eval_new, {}),
    "lm_eval_old": (lm_eval_old, {}),
    "inspect_json": (inspect_json, {}),
    "inspect_archive": (inspect_archive, {}),
    "helm": (helm, {}),
    "every_eval_ever": (every_eval_ever, {}),
    "opencompass": (opencompass, {}),
}
