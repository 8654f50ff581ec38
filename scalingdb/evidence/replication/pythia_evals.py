"""Pythia's released evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

# zero-shot LAMBADA of the standard models at step 143,000: accuracy and perplexity
_LAMBADA = {
    "70m": ("0.1846", "142.4"),
    "160m": ("0.3284", "38.06"),
    "410m": ("0.5162", "10.83"),
    "1b": ("0.5620", "7.92"),
    "1.4b": ("0.6161", "6.086"),
    "2.8b": ("0.6472", "5.036"),
    "6.9b": ("0.6728", "4.449"),
    "12b": ("0.7046", "3.924"),
}


@replication(
    *(
        Figure(
            key=f"{size}/{metric}",
            statement=f"Zero-shot LAMBADA {what} of Pythia {size} (standard) at step 143,000",
            place=f"release, evals/pythia-v1/pythia-{size}/zero-shot",
            unit=unit,
            origin="release",
            **printed(value),
        )
        for size, values in _LAMBADA.items()
        for (metric, what, unit), value in zip(
            (("acc", "accuracy", "fraction"), ("perplexity", "perplexity", "perplexity_per_word")), values, strict=True
        )
    ),
    Figure(
        key="smallest_step",
        statement="Accuracy grows with every step in size, from 70M to 12B",
        place="release, the same files",
        low=1e-12,
        unit="fraction",
        why="the smallest gain between neighbouring sizes is positive",
        origin="release",
    ),
)
def lambada(db: Warehouse) -> dict[str, float]:
    """Final zero-shot LAMBADA of the models trained on the Pile as it is."""
    rows = db.sql("""
        select replace(replace(model_name, 'pythia-', ''), '-bf16', '') as size, n_params, metric, value
        from evals join runs using (run_id)
        where evals.source_id = 'pythia_evals' and eval_set = 'lambada_openai' and metric in ('acc', 'perplexity')
          and n_shots = 0 and step = 143000 and family = 'pythia'
        order by n_params
    """)
    ours = {f"{row['size']}/{row['metric']}": row["value"] for row in rows.iter_rows(named=True)}
    gains = rows.filter(pl.col("metric") == "acc")["value"].diff().drop_nulls()
    return ours | {"smallest_step": min(gains)}


@replication(
    *(
        Figure(
            key=key,
            statement=what,
            place="release, evals",
            unit="tokens / 1e9" if key == "tokens" else "count",
            origin="release",
            **printed(value),
        )
        for key, what, value in (
            ("files", "Evaluation files", "714"),
            ("zero_shot", "Zero-shot files of the sixteen models", "432"),
            ("five_shot", "Five-shot files of the sixteen models", "240"),
            ("variants", "Five-shot files of two models with smaller batches", "29"),
            ("opt", "OPT models", "8"),
            ("bloom", "BLOOM models", "5"),
            ("checkpoints_zero_shot", "Checkpoints of a model evaluated without examples", "27"),
            ("checkpoints_five_shot", "Checkpoints of a model evaluated with five", "15"),
            ("tasks_zero_shot", "Tasks without examples", "87"),
            ("tasks_five_shot", "Tasks with five", "65"),
            ("tokens", "Billions of tokens at step 143,000", "299.9"),
        )
    ),
)
def counts(db: Warehouse) -> dict[str, float]:
    """What was evaluated."""
    rows = db.sql("""
        select family, n_shots, count(distinct raw_file) as files, count(distinct step) as steps,
            count(distinct eval_set) as tasks, count(distinct run_id) as models
        from evals join runs using (run_id) where evals.source_id = 'pythia_evals' group by all
    """)
    shots = pl.col("n_shots")
    suite = rows.filter(pl.col("family").is_in(["pythia", "pythia_deduped"]))
    zero, five = suite.filter(shots == 0), suite.filter(shots == 5)
    of_family = {row["family"]: row for row in rows.iter_rows(named=True)}
    last = db.sql("select max(n_tokens) as tokens from scores where source_id = 'pythia_evals' and step = 143000")
    return {
        "files": sum(rows["files"]),
        "zero_shot": sum(zero["files"]),
        "five_shot": sum(five["files"]),
        "variants": of_family["pythia_small_batch"]["files"],
        "opt": of_family["opt"]["models"],
        "bloom": of_family["bloom"]["models"],
        "checkpoints_zero_shot": max(zero["steps"]),
        "checkpoints_five_shot": max(five["steps"]),
        "tasks_zero_shot": max(zero["tasks"]),
        "tasks_five_shot": max(five["tasks"]),
        "tokens": last["tokens"].item() / 1e9,
    }


@replication(
    Figure(
        key="stereotypes",
        statement="Share of the 11 English CrowS-Pairs categories whose stereotype rate rises in rank with size",
        place="abstract of arXiv:2206.04615",
        low=0.75,
        unit="fraction",
        why="mostly grows: three categories in four",
        claim_id="2206.04615/4",
        choice=(
            "CrowS-Pairs sentences stand without context; the paper's own task of ambiguous contexts is not among "
            "these evaluations."
        ),
    ),
    Figure(
        key="no_signal",
        statement=(
            "Share of benchmarks (LogiQA, MMLU, PIQA, SciQ, WinoGrande) within two standard errors of chance at step "
            "1,000, mean over the models below 500M parameters"
        ),
        place="abstract of arXiv:2506.07731",
        low=0.5,
        unit="fraction",
        why="often: at least half of the standard benchmarks whose chance level is known",
        claim_id="2506.07731/3",
        choice="Early is 2.1e9 of 3e11 tokens, small is 70M to 410M; MMLU counts once, as the mean of its subjects.",
    ),
)
def claims(db: Warehouse) -> dict[str, float]:
    """What scores say of bias at the end of training, and of nothing at its beginning."""
    bias = db.sql("""
        select task, n_params, score from scores
        where source_id = 'pythia_evals' and family = 'pythia' and metric = 'pct_stereotype' and step = 143000
            and starts_with(task, 'crows_pairs_english')
    """)
    rank = bias.group_by("task").agg(r=pl.corr("n_params", "score", method="spearman"))["r"]
    early = db.sql("""
        select run_id, if(starts_with(task, 'hendrycksTest'), 'mmlu', task) as benchmark,
            avg(score - chance_level) as above, sqrt(sum(std_error ** 2)) / count(*) as error
        from scores
        where source_id = 'pythia_evals' and family = 'pythia' and n_shots = 0 and metric = 'acc' and step = 1000
            and n_params < 5e8 and chance_level is not null
        group by all
    """)
    silent = (early["above"] <= 2 * early["error"]).to_numpy()
    return {"stereotypes": float((rank > 0).to_numpy().mean()), "no_signal": float(silent.mean())}
