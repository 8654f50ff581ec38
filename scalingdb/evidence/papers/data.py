"""Papers that publish data."""

from __future__ import annotations

import importlib

import numpy as np
import polars as pl

from scalingdb.evidence.papers._core import Checked, checks, ledger, scores, waits
from scalingdb.warehouse import Warehouse

sdb = importlib.import_module("scalingdb")
"""The package as its users import it: the code of a check is shown to them."""


@checks("D1", "2111.10050")
def contrastive(db: Warehouse) -> Checked:
    """Sixteen times the pairs of CLIP, on 3 billion parameters."""
    rows = db.sql(
        "select model_name, n_params, n_datapoints from runs where source_id = 'epoch_ml_systems' and study = '2025'"
    )
    size = {name: (n, pairs) for name, n, pairs in rows.iter_rows()}
    basic, clip = size["BASIC-L"], size["CLIP (ViT L/14@336px)"]
    assert round(basic[0] / 1e9) == 3
    return Checked(basic[1] / clip[1], 16.0, 0.05)


@checks("D2", "2204.02311")
def palm_compute(db: Warehouse) -> Checked:
    """Table 22: 2.56e24 FLOP for 540B parameters and 780B tokens, a little over 6 N D."""
    row = db.sql("select train_flops, n_tokens from runs where source_id = 'palm_tables' and n_params = 540e9")
    return Checked(row["train_flops"][0] / 1e24, 2.56, 0.005)


@checks("D3", "2206.04615")
def lite_tasks(db: Warehouse) -> Checked:
    """BIG-bench Lite has 24 tasks; the table lacks one of them."""
    rows = scores(db, "palm_tables", "r.family = 'palm' and e.eval_set like 'bigbench_lite%'")
    sizes = rows.group_by("eval_set").agg(pl.col("n_params").n_unique())
    return Checked(float(sizes.filter(pl.col("n_params") == 3).height), 24.0, 1 / 24)


@checks("D4", "2210.11399")
def upalm(db: Warehouse) -> Checked:
    """A factor of 2 in compute: PaLM's tokens for U-PaLM's mean after 329B."""
    rows = scores(db, "upalm_tables", "r.study = 'tokens'")
    means = rows.group_by("family", "run_tokens").agg(pl.col("value").mean())
    palm = means.filter(family="palm").rename({"value": "score"})
    fitted = sdb.fit(palm, "log_linear", inputs={"n_examples": "run_tokens"}, output="score", objective="mse")
    target = means.filter((pl.col("family") == "u_palm") & (pl.col("run_tokens") == 329e9))["value"].item()
    return Checked(sdb.solve(fitted, want="run_tokens", output=target).value / 329e9, 2.0, 0.15)


waits(
    "D5",
    "2305.13230",
    "claims of the abstract only; no release with rows was found",
)


waits(
    "D6",
    "2404.01204",
    "claims of the abstract only; no release with rows was found",
)


@checks("D7", "2406.02061")
def wonderland(db: Warehouse) -> Checked:
    """The largest base models answer hardly any variation right: at most a tenth (abstract)."""
    return ledger(db, "aiw.counts", "Share of right answers of the largest base models")


waits(
    "D8",
    "2406.14532",
    "claims of the abstract only (8 and 2 times the data); no release with rows was found",
)


@checks("D9", "2409.03733")
def plan_search(db: Warehouse) -> Checked:
    """Abstract: 77.0 % pass@200 on LiveCodeBench."""
    return ledger(db, "plansearch.table", "pass@200 of plan search with Claude")


@checks("D10", "2410.03857")
def implicit_reference(db: Warehouse) -> Checked:
    """README of the release: 81 of 100 requests succeed on qwen2-72b-instruct."""
    return ledger(db, "implicit_reference.success", "qwen2-72b-instruct succeeds")


waits(
    "D11",
    "2410.24169",
    "its potentials are on the leaderboard (matbench_discovery), but no figure of the paper is",
)


@checks("D12", "2502.14739")
def disciplines(db: Warehouse) -> Checked:
    """Abstract: DeepSeek-R1 answers 61.82 % of SuperGPQA."""
    return ledger(db, "readme_tables.tables", "Accuracy of DeepSeek-R1 on SuperGPQA")


@checks("D13", "2503.06378")
def ability(db: Warehouse) -> Checked:
    """Every rate times the number of its items is an integer."""
    rows = scores(db, "adele", "e.metric = 'acc'")
    counts = (rows["value"] * rows["n_items"]).to_numpy()
    assert np.abs(counts - np.round(counts)).max() < 0.015
    return Checked(float(scores(db, "adele", "e.metric = 'ability'")["eval_set"].n_unique()), 18.0, 1e-12)


waits(
    "D14",
    "2503.07103",
    "claims of the abstract only (70 % less memory at 4 bits); its rows are not in the warehouse",
)


@checks("D15", "2504.00294")
def more_tokens(db: Warehouse) -> Checked:
    """Models of nine that spend more tokens on chemistry than on physics and are right less often."""
    return ledger(db, "inference_scaling_gpqa.domains", "more tokens on chemistry")


@checks("D16", "2504.07052")
def backtracking(db: Warehouse) -> Checked:
    """Every success rate counts problems out of 200."""
    counts = scores(db, "backtrack")["value"].to_numpy() * 200
    return Checked(float(np.abs(counts - np.round(counts)).max()) + 1, 1.0, 1e-9)


waits(
    "D17",
    "2505.16276",
    "claims of the abstract only (26 models); its rows are not in the warehouse",
)


@checks("D18", "2506.07731")
def early_signal(db: Warehouse) -> Checked:
    """Sizes of the contest's models: 0.5B to 3B."""
    rows = scores(db, "e2lm")
    early = rows.filter((pl.col("n_tokens") <= 50e9) & (pl.col("eval_set") == "hellaswag"))
    rank = early.group_by("run_id").agg(pl.corr("n_tokens", "value", method="spearman"))
    assert rank["n_tokens"].median() > 0.95  # type: ignore[operator]
    return Checked(rows["n_params"].max() / rows["n_params"].min(), 6.0, 1e-12)  # type: ignore[operator]


waits(
    "D19",
    "2509.20645",
    "claims of the abstract only (mean error 8.7 points); its rows are not in the warehouse",
)
