"""Papers that state a law, from the spring of 2025."""

from __future__ import annotations

import importlib

import numpy as np
import polars as pl

from scalingdb.evidence.papers._core import Checked, at, best_runs, checks, ledger, scores, waits
from scalingdb.warehouse import Warehouse

sdb = importlib.import_module("scalingdb")
"""The package as its users import it: the code of a check is shown to them."""


@checks("L46", "2503.04715")
def learning_rate(db: Warehouse) -> Checked:
    """Mean of the bootstrap: the scale 1.79 of the best learning rate."""
    return Checked(sdb.get_law("step_law").coefficients("bootstrap_mean")["c"], 1.79, 0.01)


waits(
    "L47",
    "2505.07858",
    "abstract, a blog's reading of the figures (R2 near 0.99) and seven lists of papers: none transcribes the "
    "coefficients of the three theorems",
)


@checks("L48", "2505.10465")
def superposition(db: Warehouse) -> Checked:
    """Notebook of the release, cell 15: exponent 1.0054 of the width, strong superposition, exponential frequencies."""
    rows = scores(db, "superposition", "r.family = 'strong-exponential'")
    fitted = sdb.fit(rows, "power", inputs={"n_tokens": "d_model"}, output="value", objective="mse_log", by_run=False)
    return Checked(fitted.params["alpha"], 1.0054, 0.01)


@checks("L49", "2505.10475")
def parallel_streams(db: Warehouse) -> Checked:
    """Table 1: k = 0.39 on code, from the parameters that 8 streams are worth."""
    law = sdb.get_law("parscale").with_variant("stack_v2_python")
    loss = float(law(1.6e9, 8))
    worth = sdb.solve(law, want="n_params_non_embedding", output=loss, n_streams=1).value / 1.6e9
    return Checked((worth - 1) / np.log(8), 0.39, 0.02)


@checks("L50", "2505.14302")
def qat_ratio(db: Warehouse) -> Checked:
    """Section 4.3: error of 4-bit activations over that of 4-bit weights, 1.67 at 100 tokens per parameter."""
    both = [sdb.get_law("qat_error")(594e6, 594e8, 32, variant=name) for name in ("w16a4", "w4a16")]
    return Checked(both[0] / both[1], 1.67, 0.02)


waits(
    "L51",
    "2505.20522",
    "the saturation budget is sdb.solve on law ttspm; abstract and a review have the form, and no stored text "
    "prints a budget or a fitted p",
)


@checks("L52", "2506.04598")
def samples_used(db: Warehouse) -> Checked:
    """MaMMUT uses samples better: at every one of the 11 sample budgets."""
    front = best_runs(db).group_by("n_samples_seen", "family").agg(pl.col("error").min())
    wide = front.pivot("family", index="n_samples_seen", values="error")
    return Checked(float((wide["mammut"] < wide["clip"]).sum()), 11.0, 1e-12)


@checks("L53", "2506.10972")
def farseer(db: Warehouse) -> Checked:
    """Tokens per parameter of least loss at 1e23 FLOP: 84."""
    over = ["n_params_non_embedding", "n_tokens"]
    best = sdb.optimise(
        "farseer", over=over, cost="6nd", budget=1e23, between={over[0]: (1e9, 1e12), over[1]: (1e10, 1e15)}
    ).tidy()
    return Checked(best["n_tokens"].item() / best[over[0]].item(), 84.0, 0.005)


@checks("L54", "2506.17811")
def verification(db: Warehouse) -> Checked:
    """Abstract: verification adds 25 points to success on real robots out of distribution."""
    return ledger(db, "robomonkey.success", "real robots out of distribution")


@checks("L55", "2507.12466")
def filter_rate(db: Warehouse) -> Checked:
    """Figure 22: the best filter keeps a tenth at 1e23 FLOP."""
    rate = sdb.law(
        "filter_rate", cite="arXiv:2507.12466, figure 22", inputs=("train_flops",), output="share",
        params={"c": sdb.positive, "a": sdb.exponent},
    )(lambda train_flops, c, a: c * train_flops**a / 100)  # fmt: skip
    return Checked(np.log10(sdb.solve(rate, want="train_flops", output=0.1, c=6e-3, a=0.14).value), 23.0, 1e-3)


@checks("L56", "2508.01832")
def memory(db: Warehouse) -> Checked:
    """The slope with a memory is 17.5 % steeper on WikiText-103, and 24.1 % on web text."""
    law = sdb.get_law("power")

    def slope(variant: str) -> float:
        small, large = (float(law(n, variant=f"mlp_memory_{variant}")) for n in (1.24e8, 1.5e9))
        return float(np.log(small / large) / np.log(1.5e9 / 1.24e8))

    gains = [100 * (slope(f"{text}_with_memory") / slope(f"{text}_decoder") - 1) for text in ("wikitext", "web")]
    assert abs(gains[1] - 24.1) < 0.05
    return Checked(gains[0], 17.5, 0.002)


@checks("L57", "2508.01908")
def replayed(db: Warehouse) -> Checked:
    """A quarter of replay costs 1.33 times the FLOP a new token, a half twice: as much as twice the model."""
    plain = sdb.units.flops_6nd(5.6e8, 1e11)
    assert sdb.units.flops_replay(5.6e8, 1e11, 0.5) == sdb.units.flops_6nd(2 * 5.6e8, 1e11)
    return Checked(sdb.units.flops_replay(5.6e8, 1e11, 0.25) / plain, 1.33, 0.005)


@checks("L58", "2509.09677")
def horizon(db: Warehouse) -> Checked:
    """A step accuracy of 0.99 leaves 36.6 % after 100 steps; solved for the steps."""
    return Checked(sdb.solve("horizon", want="n_task_steps", output=0.366, p=0.99).value, 100.0, 1e-3)


@checks("L59", "2509.14786")
def infinite_compute(db: Warehouse) -> Checked:
    """Section 6: the best regularised model of 300M reaches 3.57."""
    return Checked(at("infinite_compute_n", 3e8), 3.57, 0.01)


@checks("L60", "2509.19249")
def pretraining_rl(db: Warehouse) -> Checked:
    """Abstract: RL on pre-training data adds 8.1 points on GPQA-Diamond to Qwen3-4B."""
    return ledger(db, "rlpt.gains", "gpqa_diamond")


@checks("L61", "2509.21519")
def grokking(db: Warehouse) -> Checked:
    """Theorem 4: the share of pairs needed falls as ln M / M, 0.060 for M = 71, as a replication states it.

    Its sweep of M and share (five seeds per cell) agrees: every cell with grokking lies above the bound.
    """
    share = {m: at("grokking_samples", m, 1, c=1.0) / m**2 for m in (41, 71, 127)}
    grokked = [(41, 0.5), (71, 0.2), (71, 0.3), (71, 0.5), (127, 0.2), (127, 0.3)]
    assert all(p > share[m] for m, p in grokked)
    return Checked(share[71], 0.060, 0.01)


@checks("L62", "2509.25300")
def saturation(db: Warehouse) -> Checked:
    """Table 6, base models: half of the limiting efficiency 0.1349 at 13.09 billion parameters; 72B has most of it."""
    law = sdb.get_law("rl_learning_efficiency")
    assert abs(law(72e9) - 0.1141) < 5e-5
    assert abs(law(72e9, variant="base_compute_to_32b") / law(72e9) - 1) < 0.08  # foretold from 32B
    return Checked(sdb.solve(law, want="n_params", output=0.1349 / 2).value / 1e9, 13.09, 1e-6)


waits(
    "L63",
    "2510.02272",
    "sdb.downstream.monolingual_gap computes the gap; abstract and four reviews of the submission print no "
    "exponent (one says: below 1)",
)


@checks("L64", "2510.11693")
def embedding_average(db: Warehouse) -> Checked:
    """Printed average of the fully tuned 3B model, from its six groups of tasks."""
    rows = scores(db, "lco_embedding", "r.run_id like '%qwen2.5_vl_3b/full_finetune%'")
    return Checked(100 * rows["value"].mean(), 62.10, 2e-4)  # type: ignore[operator]


@checks("L65", "2510.13786")
def rl_asymptote(db: Warehouse) -> Checked:
    """Appendix A.7: half of a run of 100k hours says A = 0.645, within 0.02 of the whole."""
    hours = np.geomspace(1.5e3, 1e5, 80)
    score = sdb.get_law("rl_sigmoid")(hours, R_0=0.2, A=0.645, B=1.70, C_mid=5e3)
    run = pl.DataFrame({"gpu_hours": hours, "pass_rate": score + 0.002 * np.random.default_rng(1).standard_normal(80)})
    report = sdb.practices.half_run(run)
    return Checked(report.filter(param="A")["half"].item(), 0.645, 0.02 / 0.645)


@checks("L66", "2510.15262")
def weight_decay(db: Warehouse) -> Checked:
    """Weight decay grows as the root of the width: twice at four times the width."""
    return Checked(at("layerwise_weight_decay", 1024, c=1.0) / at("layerwise_weight_decay", 256, c=1.0), 2.0, 1e-12)


@checks("L67", "2511.09030")
def votes(db: Warehouse) -> Checked:
    """A million steps at p = 0.999 want a margin of 3."""
    given = {"output": 0.95, "n_task_steps": 2**20 - 1, "p": 0.999}
    return Checked(sdb.solve("vote_reliability", want="vote_margin", whole="up", **given).value, 3.0, 1e-12)
