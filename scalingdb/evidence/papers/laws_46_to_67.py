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
    """README: rate and batch by the law cost 0.09 % of the loss beside the best of a search, on 17 pairs of N and D.

    A unit of the last digit apart: the law's optimum is replaced by the nearest run of the grid. The first version of
    the paper states 0.07 %.
    """
    return ledger(db, "steplaw.cost", "site")


waits(
    "L47",
    "2505.07858",
    "abstract, a blog's reading of the figures (R2 near 0.99), summaries in four languages, lists of papers and texts "
    "that cite it: none transcribes the coefficients of the three theorems",
)


@checks("L48", "2505.10465")
def superposition(db: Warehouse) -> Checked:
    """Notebook of the release, cell 15: exponent 1.0054 of the width, strong superposition, exponential frequencies."""
    rows = scores(db, "superposition", "r.family = 'strong-exponential'")
    fitted = sdb.fit(rows, "power", inputs={"n_tokens": "d_model"}, output="value", objective="mse_log", by_run=False)
    return Checked(fitted.params["alpha"], 1.0054, 1e-4)


@checks("L49", "2505.10475")
def parallel_streams(db: Warehouse) -> Checked:
    """Table of fits, Stack-V2: k = 0.393463, fitted again to the 24 losses."""
    return ledger(db, "parscale.streams", "stack_v2_python.k")


@checks("L50", "2505.14302")
def qat_ratio(db: Warehouse) -> Checked:
    """Section 4.3: error of 4-bit activations over that of 4-bit weights, 1.67 at 100 tokens per parameter.

    The label 594M is taken as the size, which moves the second digit.
    """
    both = [sdb.get_law("qat_error")(594e6, 594e8, 32, variant=name) for name in ("w16a4", "w4a16")]
    return Checked(both[0] / both[1], 1.67, 0.02)


waits(
    "L51",
    "2505.20522",
    "abstract, a review and an explanation have the form and scores (30.0 to 53.3 % with 32 samples), no budget and "
    "no fitted p, and a page under its title is about another paper; on best-of-n of another study (backtrack) the "
    "law fitted up to 8 samples saturates too early: of 11 series, 7 still gain over a point a sample at the end, "
    "beyond their budget for that",
)


@checks("L52", "2506.04598")
def overtaken(db: Warehouse) -> Checked:
    """MaMMUT overtakes CLIP between 1e10 and 1e11 GFLOP: laws of the best errors that compute bought, ImageNet."""
    both = [
        sdb.fit(
            sdb.pareto_envelope(best_runs(db).filter(family=name), "train_flops", "error"),
            "shifted_power_floor", output="error", objective="mse_log", pool=True, by_run=False,
        )
        for name in ("clip", "mammut")
    ]  # fmt: skip
    crossed = sdb.crossover(*both).tidy()["train_flops"].item()
    return Checked(np.log10(crossed / 1e9), 10.5, 0.5 / 10.5)


@checks("L53", "2506.10972")
def farseer(db: Warehouse) -> Checked:
    """Figure of the validation runs: an error of 0.47 % at 25.1B parameters, by far the largest."""
    return ledger(db, "farseer.errors", "error_25.1b_126b")


@checks("L54", "2506.17811")
def verification(db: Warehouse) -> Checked:
    """Abstract: verification adds 25 points to success on real robots out of distribution."""
    return ledger(db, "robomonkey.success", "out_of_distribution")


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
    """The limit 3.43 of one model is worth 2.29 times the data of the standard recipe (3.75 at 200M tokens).

    The recipe's loss falls with exponent 0.24 towards 1.96 (0.23 and 1.89 give the same). The joint limit 3.17 is worth
    5.17 times the data.
    """
    recipe = {"E": 1.96, "alpha": 0.24, "A": (3.75 - 1.96) * 2e8**0.24}
    limit = sdb.get_law("infinite_compute_n").coefficients()["E"]
    single, joint = (
        sdb.solve("power_offset", want="n_tokens", output=loss, **recipe).value / 2e8 for loss in (limit, 3.17)
    )
    assert abs(joint / 5.17 - 1) < 0.02
    return Checked(single, 2.29, 0.02)


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
    """Appendix C.2: compute and data share one efficiency k(N): at 72B its two fits differ by 2 % (base models).

    Fitted from 0.5B to 32B it is 7 % above that of the runs of 72B themselves. The full text prints no k of a size, and
    the release has no runs.
    """
    law = sdb.get_law("rl_learning_efficiency")
    assert abs(law(72e9, variant="base_compute_to_32b") / law(72e9) - 1) < 0.08
    return Checked(float(law(72e9, variant="base_data") / law(72e9)), 1.0, 0.05, "words")


waits(
    "L63",
    "2510.02272",
    "sdb.downstream.monolingual_gap recovers a simulated gap; abstract, two summaries and four reviews of the "
    "submission print no exponent (one says: below 1); nor do the other texts with its number or terms",
)


@checks("L64", "2510.11693")
def embedding_average(db: Warehouse) -> Checked:
    """Printed average of the fully tuned 3B model, from its six groups of tasks."""
    rows = scores(db, "lco_embedding", "r.run_id like '%qwen2.5_vl_3b/full_finetune%'")
    return Checked(100 * rows["value"].mean(), 62.10, 2e-4)  # type: ignore[operator]


@checks("L65", "2510.13786")
def rl_asymptote(db: Warehouse) -> Checked:
    """Appendix A.4: a power law fitted from 1,500 to 50,000 hours says that the run of 100,000 ends at a rate of 1.0.

    Ours is fitted to the sigmoid of that run (table 1, batch of 2,048), one point per 100 of its 7,400 steps. Its start
    is not printed: it is set so that from 5,000 hours the power law gives the printed 0.74. From 30,000 to 60,000 it
    finds 0.645 again, within their 0.02. Half of another run (GRPO on Qwen3-14B, GSM8K) says where it ends, as closely.
    """
    rows = scores(db, "rl_grpo_qwen3", "e.eval_set like '%during_training' and r.n_params = 14e9")
    report = sdb.practices.half_run(rows.filter(pl.col("step") > 0).sort("step"), x="step", y="value")
    end = report.filter(param="prediction of the end")
    assert abs(end["half"].item() - end["whole"].item()) < 0.02

    @sdb.law(
        "rising_to_ceiling", cite="arXiv:2510.13786, appendix A.4", inputs=("gpu_hours",), output="pass_rate",
        params={"end": sdb.real, "gap": sdb.positive, "slope": sdb.positive},
    )  # fmt: skip
    def power(gpu_hours, *, end, gap, slope):  # type: ignore[no-untyped-def]
        return end - gap * (gpu_hours / 1e4) ** -slope

    hours = np.arange(1, 75) * 1e5 / 74
    rate = sdb.get_law("rl_sigmoid")(hours, R_0=0.381, A=0.645, B=1.70, C_mid=10909)
    run = pl.DataFrame({"gpu_hours": hours, "pass_rate": rate})
    ends = [
        sdb.fit(run.filter(pl.col("gpu_hours").is_between(*part)), power, objective="mse", by_run=False).params["end"]
        for part in ((1500, 50_000), (5000, 50_000), (30_000, 60_000))
    ]
    assert abs(ends[1] - 0.74) < 0.005
    assert abs(ends[2] - 0.645) < 0.02
    return Checked(ends[0], 1.0, 0.15)


@checks("L66", "2510.15262")
def weight_decay(db: Warehouse) -> Checked:
    """Abstract: weight decay as width to the 0.5, solved for from the other two exponents.

    The learning rate falls as 1/d and the top singular value goes as sqrt(eta/lambda) d^0.75: it stays the same at four
    times the width if the decay is what this solves for, which is also what the stored rule gives.
    """

    @sdb.law(
        "top_singular_value", cite="arXiv:2510.15262, abstract", inputs=("d_model", "learning_rate", "weight_decay"),
        output="value", params={"k": sdb.positive},
    )  # fmt: skip
    def top(d_model, learning_rate, weight_decay, *, k):  # type: ignore[no-untyped-def]
        return k * (learning_rate / weight_decay) ** 0.5 * d_model**0.75

    decay = [
        sdb.solve(
            top,
            want="weight_decay",
            output=1.0,
            k=1.0,
            d_model=d,
            learning_rate=at("layerwise_learning_rate", d, c=1.0),
        ).value
        for d in (256, 1024)
    ]
    rule = at("layerwise_weight_decay", 1024, c=1.0) / at("layerwise_weight_decay", 256, c=1.0)
    assert abs(decay[1] / decay[0] / rule - 1) < 1e-6
    return Checked(np.log(decay[1] / decay[0]) / np.log(4), 0.5, 1e-6)


@checks("L67", "2511.09030")
def votes(db: Warehouse) -> Checked:
    """A million steps at p = 0.999 want a margin of 3."""
    given = {"output": 0.95, "n_task_steps": 2**20 - 1, "p": 0.999}
    return Checked(sdb.solve("vote_reliability", want="vote_margin", whole="up", **given).value, 3.0, 1e-12)
