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
    """Abstract: 3.75 times the parameters of ALIGN (on 4 times the pairs, 16 times those of CLIP)."""
    rows = db.sql(
        "select model_name, n_params, n_datapoints from runs where source_id = 'epoch_ml_systems' and study = '2025'"
    )
    size = {name: (n, pairs) for name, n, pairs in rows.iter_rows()}
    basic, align, clip = size["BASIC-L"], size["ALIGN"], size["CLIP (ViT L/14@336px)"]
    assert abs(basic[1] / align[1] - 4) < 0.5
    assert abs(basic[1] / clip[1] - 16) < 1
    return Checked(basic[0] / align[0], 3.75, 0.004)


@checks("D2", "2204.02311")
def palm_jumps(db: Warehouse) -> Checked:
    """Section 6.2: a quarter of the tasks end more than 10 points above the line in log size through 8B and 62B.

    15 % end more than 20 points above it. Here 23 of the 150 tasks, so that one task is 4 points.
    """
    rows = scores(db, "palm_tables", "r.family = 'palm' and e.eval_set like 'bigbench_lite%'").sort("n_params")
    tasks = rows.group_by("eval_set").agg(pl.col("value"), pl.col("n_params").log().alias("size"))
    jumps = []
    for value, size in tasks.select("value", "size").iter_rows():
        line = value[1] + (value[1] - value[0]) * (size[2] - size[1]) / (size[1] - size[0])
        jumps.append(value[2] - line)
    assert abs(np.mean(np.array(jumps) > 0.2) - 0.15) < 1 / 23
    return Checked(float(np.mean(np.array(jumps) > 0.1)), 0.25, 4 / 23)


@checks("D3", "2206.04615")
def lite_tasks(db: Warehouse) -> Checked:
    """BIG-bench Lite has 24 tasks, all of them in the tables of PaLM; one has no clear scale and is flagged.

    On the others scores rise with scale, over three sizes, and stay below the best human raters.
    """
    rows = scores(db, "palm_tables", "e.eval_set like 'bigbench_lite%'")
    every = db.sql(
        "select distinct eval_set from evals where source_id = 'palm_tables' and eval_set like 'bigbench_lite%'"
    )
    means = rows.group_by("model_name").agg(pl.col("value").mean(), pl.col("n_params").first())
    palm = means.filter(pl.col("model_name").str.starts_with("PaLM")).sort("n_params")["value"]
    human = means.filter(pl.col("model_name") == "human best")["value"].item()
    assert palm[0] < palm[1] < palm[2] < human
    assert rows["eval_set"].n_unique() == 23
    return Checked(float(every.height), 24.0, is_finding=False)


@checks("D4", "2210.11399")
def upalm(db: Warehouse) -> Checked:
    """A factor of 2 in compute: PaLM's tokens for U-PaLM's mean after 329B."""
    rows = scores(db, "upalm_tables", "r.study = 'tokens'")
    means = rows.group_by("family", "run_tokens").agg(pl.col("value").mean())
    palm = means.filter(family="palm").rename({"value": "score"})
    fitted = sdb.fit(palm, "log_linear", inputs={"n_examples": "run_tokens"}, output="score", objective="mse")
    target = means.filter((pl.col("family") == "u_palm") & (pl.col("run_tokens") == 329e9))["value"].item()
    return Checked(sdb.solve(fitted, want="run_tokens", output=target).value / 329e9, 2.0, 0.15)


@checks("D5", "2305.13230")
def repeated(db: Warehouse) -> Checked:
    """Section 1: PaLM-540B would want 10.8T tokens, at the ratio of Chinchilla (70B on 1.4T), as notes quote it.

    Section 2: a T5 of 784M on 2^29 tokens beats one of 2.8B on 2^27, both repeated to 2^35. The law of repeated data,
    fitted to other models, says so: 2.98 nats against 3.68. Table 1 has scores, no losses.
    """
    law = sdb.get_law("muennighoff_repeat")
    large, small = law(2.8e9, 2.0**35, 2.0**27), law(7.84e8, 2.0**35, 2.0**29)
    assert small < large
    ratio = {"a": 0.5, "G": 70e9 / (6 * 70e9 * 1.4e12) ** 0.5}
    flops = sdb.solve("optimal_params", want="train_flops", output=540e9, **ratio).value
    return Checked(flops / (6 * 540e9) / 1e12, 10.8, 0.005, is_finding=False)


@checks("D6", "2404.01204")
def courses(db: Warehouse) -> Checked:
    """Some scores evolve alike in models of different size: rank correlation of their courses over Pythia's sizes.

    Above 0.8 on four tasks up to 12B parameters; the paper goes to 67B, and no release with its rows was found.
    """
    return Checked(float(ledger(db, "hitchhiker.courses", "alike").ours > 0.8), 1.0, 1e-12, "words")


@checks("D7", "2406.02061")
def wonderland(db: Warehouse) -> Checked:
    """The largest base models break down: neither answers a tenth of the variations right.

    README of the release, notes and articles print no rate of the models whose answers are there.
    """
    best = ledger(db, "aiw.counts", "largest")
    return Checked(float(best.ours < 0.1), 1.0, 1e-12, "words")


waits(
    "D8",
    "2406.14532",
    "the abstract and an excerpt of the text (8 and 2 times the data; error falls as D^-0.05 to D^-0.15); the scores "
    "are in figures, and no release with rows was found; notes of a lecture repeat the lower exponent only",
)


@checks("D9", "2409.03733")
def plan_search(db: Warehouse) -> Checked:
    """Abstract: 77.0 % pass@200 on LiveCodeBench."""
    return ledger(db, "plansearch.table", "search")


@checks("D10", "2410.03857")
def implicit_reference(db: Warehouse) -> Checked:
    """README of the release: 81 of 100 requests succeed on qwen2-72b-instruct."""
    return ledger(db, "implicit_reference.success", "qwen_2_72b.k4")


waits(
    "D11",
    "2410.24169",
    "README of the release (10 times the speed, a fifth of the memory) and the leaderboard (matbench_discovery): "
    "neither has a figure of the paper beside rows; a page on the paper describes its tables without their numbers",
)


@checks("D12", "2502.14739")
def disciplines(db: Warehouse) -> Checked:
    """Abstract: DeepSeek-R1 answers 61.82 % of SuperGPQA."""
    return ledger(db, "readme_tables.tables", "supergpqa")


@checks("D13", "2503.06378")
def ability(db: Warehouse) -> Checked:
    """Abstract: 18 scales of demand, each with the success of 15 models by level.

    An ability is the demand at which half of the items are solved: logistic curves order the 15 models as released, for
    logical reasoning (what demands nothing is solved). The abilities themselves come from a fit that is not described:
    of the weights, end points and least counts of items that were tried, the nearest misses by 0.05 levels (median).
    """
    rates = scores(db, "adele", "e.metric = 'acc' and e.eval_set like 'QLl:%' and e.n_items > 0")
    rates = rates.select("run_id", "value", "n_items", capability=6 - pl.col("demand_level"))
    none = rates.group_by("run_id").agg(pl.col("n_items").max(), value=pl.lit(1.0), capability=pl.lit(6.0))
    fits = sdb.fit_by(
        pl.concat([rates, none.select(rates.columns)]), "sigmoid_link", by="run_id", output="value",
        objective="binomial", fixed={"floor": 0.0, "ceiling": 1.0},
    )  # fmt: skip
    curves = fits.tidy().pivot("param", index="run_id", values="estimate")
    half = curves.select("run_id", half=6 + pl.col("intercept") / pl.col("slope"))
    released = scores(db, "adele", "e.metric = 'ability' and e.eval_set = 'QLl'").select("run_id", "value")
    order = half.join(released, on="run_id").select(pl.corr("half", "value", method="spearman")).item()
    assert order > 0.95
    models = scores(db, "adele", "e.metric = 'acc'").with_columns(scale=pl.col("eval_set").str.split(":").list.first())
    counts = models.group_by("scale").agg(pl.col("run_id").n_unique())["run_id"]
    assert set(counts) == {15}
    return Checked(float(counts.len()), 18.0, is_finding=False)


waits(
    "D14",
    "2503.07103",
    "the abstract (70 % less memory at 4 bits) and two scores quoted elsewhere (29.8 and, at 4 bits, 29.1); the README "
    "of its package points to an archive elsewhere for all scores",
)


@checks("D15", "2504.00294")
def more_tokens(db: Warehouse) -> Checked:
    """Figure 16: O3-mini answers 77.7 % of GPQA, here from the domains of figure 17 (19, 93 and 86 questions).

    The other eight agree as well, within 0.06 points for the rounding of four numbers. More tokens do not mean more
    right: most of the nine spend more on chemistry than on physics and do worse.
    """
    assert ledger(db, "inference_scaling_gpqa.domains", "weighted_mean").agrees
    assert ledger(db, "inference_scaling_gpqa.domains", "more_tokens").ours > 9 / 2
    rows = scores(db, "inference_scaling_gpqa", "e.metric = 'acc' and r.model_name = 'O3-mini' and e.n_items < 198")
    mean = rows.select((pl.col("value") * pl.col("n_items")).sum() / pl.col("n_items").sum()).item()
    return Checked(100 * mean, 77.7, 0.06 / 77.7)


@checks("D16", "2504.07052")
def backtracking(db: Warehouse) -> Checked:
    """At equal compute backtracking wins on Sudoku, and parallel sampling on CountDown: shares of the points.

    The release (KempnerInstitute/Backtrack) has these points in its plotting code, and no aggregate of them in print.
    """
    sudoku, countdown = (ledger(db, "backtrack.equal_compute", task).ours for task in ("sudoku", "countdown"))
    return Checked(float(sudoku > 0.9 and countdown < 0.1), 1.0, 1e-12, "words")


waits(
    "D17",
    "2505.16276",
    "claims of the abstract only (26 models); a summary quotes the means of two tasks (0.93 and 0.13); the stored "
    "results of its benchmark are of an earlier study",
)


@checks("D18", "2506.07731")
def early_signal(db: Warehouse) -> Checked:
    """Abstract: the largest of the models has 3B parameters, and the smallest 0.5B.

    Their scores go beyond its 200B tokens. Standard benchmarks often carry little signal early: at least six of 21 do
    not follow the tokens up to 50B. The proposal's own scores of signal are on no page of the contest.
    """
    assert ledger(db, "e2lm.early_signal", "smallest").agrees
    assert ledger(db, "e2lm.early_signal", "silent").ours >= 6
    return ledger(db, "e2lm.early_signal", "largest")._replace(is_finding=False)


waits(
    "D19",
    "2509.20645",
    "the abstract (mean error 8.7 points), reviews and README; the release has pairs of texts and scores, and the "
    "forecasts are a language model's",
)
