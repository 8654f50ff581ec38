"""The papers that the project set out to cover: for each, one number from the package's own tables beside the paper's.

A row that cannot be computed here says why, in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.evidence.refits.schedules import full_schedules

Check = Callable[[sdb.Warehouse], tuple[float, float, float]]
"""What we get, what the paper states, and how far apart they may be (relative)."""


@dataclass(frozen=True)
class Row:
    """A paper with what is checked, or the reason why nothing can be."""

    arxiv: str
    check: Check | None = None
    reason: str = ""


def scores(db: sdb.Warehouse, source: str, where: str = "true") -> pl.DataFrame:
    return db.sql(
        "select e.*, r.* exclude (run_id, source_id, n_tokens, n_chars), r.n_tokens as run_tokens from evals e "
        f"join runs r using (source_id, run_id) where source_id = $source and e.flag is null and {where}",
        source=source,
    )


def at(law: str, *inputs: float, **params: float) -> float:
    return float(sdb.get_law(law)(*inputs, **params))


# ---- laws ------------------------------------------------------------------------------------------


def reducible_loss(db: sdb.Warehouse) -> tuple[float, float, float]:
    """At x_0 the reducible loss is one nat."""
    law = sdb.get_law("henighan_ln_lc")
    fitted = law.coefficients("image_8x8_c")
    loss = law(fitted["x_0"], variant="image_8x8_c")
    frame = sdb.trends.reducible(pl.DataFrame({"loss": [loss]}), fitted["L_inf"])
    return frame["loss_reducible"].item(), 1.0, 1e-9


def regime(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Teacher and student in nine dimensions: the figure's 4/alpha is 8.8, and theory says 4/d."""
    measured = 4 / 8.8
    x = np.geomspace(1e3, 1e6, 14)
    frame = pl.DataFrame({"n_tokens": x, "loss": (0.01 + x**-measured) * (1 + 1e-3 * np.cos(3 * np.arange(14)))})
    row = sdb.trends.regime(sdb.fit(frame, "power_offset", objective="mse_log"), dimension=9).row(0, named=True)
    assert row["regime"] == "resolution limited"
    return row["expected"], measured, 0.03


def encoder_share(db: sdb.Warehouse) -> tuple[float, float, float]:
    """N_d*/N = p_d/(p_e + p_d), with the authors' starting values of the exponents."""
    best = sdb.optimise(
        "nmt_encdec",
        over=["n_params_encoder", "n_params_decoder"],
        cost=lambda n_params_encoder, n_params_decoder: n_params_encoder + n_params_decoder,
        budget=1e9,
        alpha=0.2,
        p_e=0.4,
        p_d=0.6,
        L_inf=1.0,
    )
    return best.tidy()["n_params_decoder"].item() / 1e9, 0.6, 1e-5


def hindsight(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Card of the contest's task: OPT of 13B is right in 27 %, and every larger model is worse."""
    rows = scores(db, "inverse_scaling_opt_cards", "e.metric = 'acc' and e.eval_set like 'hindsight%'").sort("n_params")
    assert rows["value"].is_sorted(descending=True)
    return 100 * rows["value"][-1], 27.0, 0.002


def mlps(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Abstract: 69 % on TinyImageNet for the largest of the four; the released checkpoint has a little more."""
    rows = scores(db, "readme_tables", "r.family = 'mlp' and e.eval_set = 'tinyimagenet'")
    return 100 * rows["value"].max(), 69.0, 0.015  # type: ignore[operator]


def pass_rate(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 1: emoji_movie at 2.4B, resolved by 2 passes; the prediction of the data-set level is 8.7 % low."""
    found = sdb.downstream.stop_at_r([767], r=2)["pass_rate"].item()
    return 100 * (0.002381 / found - 1), -8.7, 0.01


def overtrained(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Abstract: 104 models."""
    return float(db.points("gadre_overtraining", flagged=True)["run_id"].n_unique()), 104.0, 1e-12


def growth(db: sdb.Warehouse) -> tuple[float, float, float]:
    """README: Llama2-7B is to be grown after 11.11B tokens."""
    return at("gstack_timing", 7e9, 6 * 7e9 * 2e12) / 1e9, 11.11, 1e-3


def concept_frequency(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Pearson correlation of accuracy and the logarithm of frequency, RN50 on CC3M."""
    rows = scores(
        db,
        "concept_frequency",
        "e.eval_set like 'curve:classification:ensemble:integrated_rampp0.7:%' and e.run_id like '%/rn50-cc3m'",
    )
    fitted = sdb.fit(
        rows, "log_linear", inputs={"n_examples": "concept_count"}, output="value", objective="mse", pool=True
    )
    made = fitted.augment()
    return float(np.corrcoef(made["value"], made["prediction"])[0, 1]), 0.956, 1e-3


def vocabulary(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Approach 1 for 7B parameters beside the vocabulary: 60K to 67K entries at width 4,096."""
    flops = sdb.solve("optimal_params", want="train_flops", output=7e9, G=0.0834, a=0.5).value
    return at("optimal_params", flops, G=0.204, a=0.4163622634135234) / 4096 / 1e3, 63.5, 0.06


def rag_gain(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Abstract: up to 58.9 % over standard retrieval (on 2WikiMultiHopQA)."""
    rows = scores(db, "rag_scaling", "r.study = 'budgets' and e.metric = 'acc' and e.eval_set like '2wiki%'")
    best = dict(rows.group_by("family").agg(pl.col("value").max()).iter_rows())
    return 100 * (best["iterdrag"] / best["rag"] - 1), 58.9, 2e-3


def robots(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Section on demonstrations: r = -0.62 of the logarithms of 1 - score and of demonstrations, pouring water."""
    rows = scores(db, "robot_data_scaling", "r.study = 'demonstrations' and r.family like 'pour_water%'")
    rows = rows.with_columns(gap=1 - pl.col("value"))
    fitted = sdb.fit(
        rows, "normalised_power", inputs={"n_environments": "n_datapoints"}, output="gap", objective="mse_log",
        pool=True, by_run=False,
    )  # fmt: skip
    made = fitted.augment()
    assert fitted.params["alpha"] > 0
    return -float(np.corrcoef(made["gap"].log(), made["prediction"].log())[0, 1]), -0.62, 0.01


def quantised(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 1: 7B at 2 bits loses 0.2 nats after 0.0026T tokens (the law printed beside it gives 0.0027T)."""
    found = sdb.solve("qid", want="n_tokens", output=0.2, n_params_non_embedding=7e9, precision_weight_bits=2)
    return found.value / 1e12, 0.0026, 0.05


def densing(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Section 3.3: density doubles in 95 days."""
    start = at("densing", 1.0, A=0.0073, B=0.0)
    found = sdb.solve("densing", want="days", output=2 * start, A=0.0073, B=0.0)
    return found.value - 1.0, 95.0, 1e-3


def critical_data(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Section 4.3: 27T tokens for 1B parameters in FP8-E4M3 (blocks of 128)."""
    given = {"n_params_non_embedding": 1e9, "exponent_bits": 4, "mantissa_bits": 3, "block_size": 128}
    return sdb.solve("fp_quant", want="n_tokens", derivative="n_tokens", **given).value / 1e12, 27.0, 0.02


def patches(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 1, DeiT-Base at 64 pixels: down to single pixels, 4,096 tokens, accuracy only rises: no optimum inside."""
    tokens = [16.0, 64.0, 256.0, 1024.0, 4096.0]
    frame = pl.DataFrame({"tokens_per_sample": tokens, "error": [0.318, 0.231, 0.199, 0.192, 0.187]})
    fitted = sdb.fit(
        frame, "power_offset", inputs={"n_tokens": "tokens_per_sample"}, output="error", objective="mse_log"
    )
    best = sdb.optimise(fitted, over=["tokens_per_sample"], between={"tokens_per_sample": (16, 4096)}).tidy()
    assert "at its upper bound" in best["at_bound"].item()
    return best["tokens_per_sample"].item(), 4096.0, 1e-9


def verifier_gap(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Figure 1: the gap grows as the root of the test-time budget."""
    line = sdb.trends.theoretical_rates("verifier-free over verifier-based gap", through=(1.0, 1.0), x=[4.0])
    return line["y"].item(), 2.0, 1e-12


def superposition(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Notebook of the release, cell 15: exponent 1.0054 of the width, strong superposition, exponential frequencies."""
    rows = scores(db, "superposition", "r.family = 'strong-exponential'")
    fitted = sdb.fit(rows, "power", inputs={"n_tokens": "d_model"}, output="value", objective="mse_log", by_run=False)
    return fitted.params["alpha"], 1.0054, 0.01


def parallel_streams(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 1: k = 0.39 on code, from the parameters that 8 streams are worth."""
    law = sdb.get_law("parscale").with_variant("stack_v2_python")
    loss = float(law(1.6e9, 8))
    worth = sdb.solve(law, want="n_params_non_embedding", output=loss, n_streams=1).value / 1.6e9
    return (worth - 1) / np.log(8), 0.39, 0.02


def qat_ratio(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Section 4.3: error of 4-bit activations over that of 4-bit weights, 1.67 at 100 tokens per parameter."""
    both = [sdb.get_law("qat_error")(594e6, 594e8, 32, variant=name) for name in ("w16a4", "w4a16")]
    return both[0] / both[1], 1.67, 0.02


def filter_rate(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Figure 22: the best filter keeps a tenth at 1e23 FLOP."""
    rate = sdb.law(
        "filter_rate", cite="arXiv:2507.12466, figure 22", inputs=("train_flops",), output="share",
        params={"c": sdb.positive, "a": sdb.exponent},
    )(lambda train_flops, c, a: c * train_flops**a / 100)  # fmt: skip
    return np.log10(sdb.solve(rate, want="train_flops", output=0.1, c=6e-3, a=0.14).value), 23.0, 1e-3


def horizon(db: sdb.Warehouse) -> tuple[float, float, float]:
    """A step accuracy of 0.99 leaves 36.6 % after 100 steps; solved for the steps."""
    return sdb.solve("horizon", want="n_task_steps", output=0.366, p=0.99).value, 100.0, 1e-3


def infinite_compute(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Section 6: the best regularised model of 300M reaches 3.57."""
    return at("infinite_compute_n", 3e8), 3.57, 0.01


def rl_asymptote(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Appendix A.7: half of a run of 100k hours says A = 0.645, within 0.02 of the whole."""
    hours = np.geomspace(1.5e3, 1e5, 80)
    score = sdb.get_law("rl_sigmoid")(hours, R_0=0.2, A=0.645, B=1.70, C_mid=5e3)
    run = pl.DataFrame({"gpu_hours": hours, "pass_rate": score + 0.002 * np.random.default_rng(1).standard_normal(80)})
    report = sdb.practices.half_run(run)
    return report.filter(param="A")["half"].item(), 0.645, 0.02 / 0.645


def votes(db: sdb.Warehouse) -> tuple[float, float, float]:
    """A million steps at p = 0.999 want a margin of 3."""
    given = {"output": 0.95, "n_task_steps": 2**20 - 1, "p": 0.999}
    return sdb.solve("vote_reliability", want="vote_margin", whole="up", **given).value, 3.0, 1e-12


def best_runs(db: sdb.Warehouse) -> pl.DataFrame:
    """The best ImageNet error of every architecture and sample budget."""
    rows = scores(db, "laion_clip_mammut", "e.metric = 'acc'").with_columns(error=1 - pl.col("value"))
    return rows.sort("error").unique(["model_name", "n_samples_seen"], keep="first", maintain_order=True)


def crossing(db: sdb.Warehouse) -> tuple[float, float, float]:
    """CLIP against MaMMUT: the curves of their best runs meet inside the range of compute that was run."""
    both = [
        sdb.fit(part, "power", inputs={"n_tokens": "train_flops"}, output="error", objective="mse_log", pool=True)
        for part in (best_runs(db).filter(family=name) for name in ("clip", "mammut"))
    ]
    crossed = sdb.crossover(*both).tidy().row(0, named=True)
    a, b = both
    exact = (np.log(a.params["A"]) - np.log(b.params["A"])) / (a.params["alpha"] - b.params["alpha"])
    assert 16.3 < np.log10(crossed["train_flops"]) < 20.7
    return np.log(crossed["train_flops"]), exact, 1e-6


def samples_used(db: sdb.Warehouse) -> tuple[float, float, float]:
    """MaMMUT uses samples better: at every one of the 11 sample budgets."""
    front = best_runs(db).group_by("n_samples_seen", "family").agg(pl.col("error").min())
    wide = front.pivot("family", index="n_samples_seen", values="error")
    return float((wide["mammut"] < wide["clip"]).sum()), 11.0, 1e-12


def farseer(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Tokens per parameter of least loss at 1e23 FLOP: 84."""
    over = ["n_params_non_embedding", "n_tokens"]
    best = sdb.optimise(
        "farseer", over=over, cost="6nd", budget=1e23, between={over[0]: (1e9, 1e12), over[1]: (1e10, 1e15)}
    ).tidy()
    return best["n_tokens"].item() / best[over[0]].item(), 84.0, 0.005


def largest_forecaster(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Abstract: up to 2.4 billion parameters; the sparse models are told by their active ones."""
    rows = db.sql("select n_params, n_params_active from runs where source_id = 'time_moe' and family = 'time-moe'")
    assert (rows["n_params_active"] < rows["n_params"]).all()
    return float(rows["n_params"].max()) / 1e9, 2.4, 1e-9  # type: ignore[arg-type]


def recommender(db: sdb.Warehouse) -> tuple[float, float, float]:
    """MovieLens-20M: the large HSTU is 29.4 % above SASRec in NDCG@10, as the tables print it beside the scores."""
    rows = scores(db, "readme_tables", "e.eval_set = 'movielens_20m:ndcg@10'")
    value = dict(rows.select("model_name", "value").iter_rows())
    return 100 * (value["HSTU-large"] / value["SASRec"] - 1), 29.4, 0.003


def opt_curves(db: sdb.Warehouse) -> pl.DataFrame:
    """Log perplexity of the OPT models after 10 billion tokens."""
    return db.sql(
        "select run_id, n_params, n_tokens, ln(loss) as loss from curves where source_id = 'hitchhiker' "
        "and flag is null and study = 'opt_curves' and metric = 'perplexity' and n_tokens > 1e10 order by all"
    )


def form_holds(db: sdb.Warehouse) -> tuple[float, float, float]:
    """The forms still hold at 33B: Kaplan's form fitted to OPT up to 13B gives that of 30B within 2 %."""
    curves = opt_curves(db).filter(pl.col("n_params") < 1e11)
    small, large = curves.filter(pl.col("n_params") < 2e10), curves.filter(pl.col("n_params") > 2e10)
    fitted = sdb.fit(small, "kaplan_lnd", pool=True, by_run=False, inputs={"n_params_non_embedding": "n_params"})
    end = large.filter(pl.col("n_tokens") >= 0.7 * pl.col("n_tokens").max())
    predicted = fitted.predict(end).select((pl.col("prediction") / pl.col("loss")).mean()).item()
    return predicted, 1.0, 0.02


def pruned(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Model cards: 0.7651 of the parameters on average, pruned by a constant factor a step from 2,500 to 8,875."""
    steps = np.arange(13_051)
    through = np.clip((steps - 2_500) / (8_875 - 2_500), 0, 1)
    run = pl.DataFrame({"run_id": "40p", "n_tokens": 8e6 * steps, "n_params": 1.14e9 * 0.6**through})
    return sdb.schedules.average_params(run)["n_params_average"].item() / 1.14e9, 0.7651, 2e-3


def every_checkpoint(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Intermediate checkpoints make fits much more accurate: OPT-175B from five smaller models, with and without."""
    curves = opt_curves(db)
    small, large = curves.filter(pl.col("n_params") < 1e11), curves.filter(pl.col("n_params") > 1e11)
    end = large.filter(pl.col("n_tokens") >= 0.7 * pl.col("n_tokens").max())
    errors = []
    for rows in (small, small.unique("run_id", keep="last", maintain_order=True)):
        made = sdb.fit(rows, "chinchilla", pool=True, by_run=False).predict(end)
        errors.append(made.select((pl.col("prediction") / pl.col("loss") - 1).abs().mean()).item())
    with_all, finals_only = errors
    return float(with_all < finals_only / 2), 1.0, 1e-12


def any_schedule(db: sdb.Warehouse) -> tuple[float, float, float]:
    """One curve or two predict the loss under any other schedule: mean error below half a percent, 100M parameters."""
    rows = db.sql(
        "select run_id, step, loss from curves where source_id = 'multi_power_law' and family = '100M' order by all"
    )
    every = full_schedules(db).filter(pl.col("run_id").is_in(rows["run_id"].unique().implode()))
    law, bound = sdb.schedules.lr_annealing_for(every, rows)
    is_fitted = pl.col("run_id").str.contains("cosine_24000|constant_24000")
    made = sdb.fit(bound.filter(is_fitted), law).predict(bound.filter(~is_fitted))
    errors = made.group_by("run_id").agg((pl.col("prediction") / pl.col("loss") - 1).abs().mean())
    return float((errors["prediction"] < 0.005).sum()), float(errors.height), 1e-12


def weaker_link(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Each step from likelihood to score weakens the link with compute: rank correlations on the OLMo ladder."""
    names = ("answer_bits_per_byte", "answer_probability", "acc_norm")
    last = scores(
        db,
        "olmo_ladder",
        "r.family = 'ladder' and e.eval_set in ('hellaswag_val_rc', 'piqa_val_rc', 'arc_easy_val_rc')",
    )
    last = last.filter(pl.col("metric").is_in(names)).sort("n_tokens", "raw_row")
    last = last.unique(["run_id", "eval_set", "metric"], keep="last", maintain_order=True).with_columns(
        train_flops=6 * pl.col("n_params_non_embedding") * pl.col("n_tokens")
    )
    table = sdb.downstream.predictability(
        last.rename({"eval_set": "task", "value": "score"}), ["task", "metric"], compute="train_flops"
    )
    means = dict(table.group_by("metric").agg(pl.col("spearman").median()).iter_rows())
    return float(means["acc_norm"] < means["answer_probability"]), 1.0, 1e-12


def mixed_pool(db: sdb.Warehouse) -> tuple[float, float, float]:
    """A pool of all four tenths follows from the four: its own fit gives b = 0.12, a mixture of theirs 0.1175."""
    law = sdb.get_law("qqt_filter")
    names = ("tmars_top_10", "tmars_top_10_to_20", "tmars_top_20_to_30", "tmars_top_30_to_40")
    sets = {name: law.coefficients(name) for name in names}
    pools = {name: {"b": one["b"], "tau": one["tau"], "n_samples": 12.8e6} for name, one in sets.items()}
    table = sdb.planning.best_pool(pools, [32e6, 128e6], a=0.025, d=0.1).filter("is_best")
    assert table["n_pools"].is_sorted()  # more compute, more of the pools
    assert table["n_pools"][1] > table["n_pools"][0]
    seen = 51.2e6  # one epoch of all four
    error = sdb.planning.best_pool(pools, seen, a=0.025, d=0.1).filter(n_pools=4)["error"].item()
    return -np.log(error - 0.1) / np.log(0.025 * seen / 1e5), law.coefficients("tmars_quarter_of_top_40")["b"], 0.025


def memory(db: sdb.Warehouse) -> tuple[float, float, float]:
    """The slope with a memory is 17.5 % steeper on WikiText-103, and 24.1 % on web text."""
    law = sdb.get_law("power")

    def slope(variant: str) -> float:
        small, large = (float(law(n, variant=f"mlp_memory_{variant}")) for n in (1.24e8, 1.5e9))
        return float(np.log(small / large) / np.log(1.5e9 / 1.24e8))

    gains = [100 * (slope(f"{text}_with_memory") / slope(f"{text}_decoder") - 1) for text in ("wikitext", "web")]
    assert gains[1] == pytest.approx(24.1, abs=0.05)
    return gains[0], 17.5, 0.002


def pruning(db: sdb.Warehouse) -> tuple[float, float, float]:
    """In theory pruning turns a power law, of exponent 1 for a perceptron, into a decay that is faster than any."""
    whole = sdb.practices.pruning_theory([30.0, 300.0])["error"].to_numpy()
    table = sdb.practices.pruning_theory(np.geomspace(3, 3000, 13), np.geomspace(0.003, 1, 11))
    best = sdb.pareto_envelope(table, "kept_per_param", "error").filter(pl.col("kept_per_param").is_between(1.5, 4))
    steep = np.polyfit(np.log(best["kept_per_param"].to_numpy()), np.log(best["error"].to_numpy()), 1)[0]
    assert steep < -5
    return float(np.log10(whole[0] / whole[1])), 1.0, 0.01


def replayed(db: sdb.Warehouse) -> tuple[float, float, float]:
    """A quarter of replay costs 1.33 times the FLOP a new token, a half twice: as much as twice the model."""
    plain = sdb.units.flops_6nd(5.6e8, 1e11)
    assert sdb.units.flops_replay(5.6e8, 1e11, 0.5) == sdb.units.flops_6nd(2 * 5.6e8, 1e11)
    return sdb.units.flops_replay(5.6e8, 1e11, 0.25) / plain, 1.33, 0.005


def time_series(db: sdb.Warehouse) -> tuple[float, float, float]:
    """The encoder's line in distribution, (x0 / N)^0.029, passes 1 at the printed x0 = 3.7e16."""
    law = sdb.get_law("power").with_variant("time_series_encoder_n_in")
    return sdb.solve(law, want="n_tokens", output=1.0).value / 1e16, 3.7, 1e-6


def saturation(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 6, base models: half of the limiting efficiency 0.1349 at 13.09 billion parameters; 72B has most of it."""
    law = sdb.get_law("rl_learning_efficiency")
    assert law(72e9) == pytest.approx(0.1141, abs=5e-5)
    assert law(72e9, variant="base_compute_to_32b") == pytest.approx(law(72e9), rel=0.08)  # foretold from 32B
    return sdb.solve(law, want="n_params", output=0.1349 / 2).value / 1e9, 13.09, 1e-6


# ---- data ------------------------------------------------------------------------------------------


def contrastive(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Sixteen times the pairs of CLIP, on 3 billion parameters."""
    rows = db.sql(
        "select model_name, n_params, n_datapoints from runs where source_id = 'epoch_ml_systems' and study = '2025'"
    )
    size = {name: (n, pairs) for name, n, pairs in rows.iter_rows()}
    basic, clip = size["BASIC-L"], size["CLIP (ViT L/14@336px)"]
    assert round(basic[0] / 1e9) == 3
    return basic[1] / clip[1], 16.0, 0.05


def palm_compute(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Table 22: 2.56e24 FLOP for 540B parameters and 780B tokens, a little over 6 N D."""
    row = db.sql("select train_flops, n_tokens from runs where source_id = 'palm_tables' and n_params = 540e9")
    return row["train_flops"][0] / 1e24, 2.56, 0.005


def lite_tasks(db: sdb.Warehouse) -> tuple[float, float, float]:
    """BIG-bench Lite has 24 tasks; the table lacks one of them."""
    rows = scores(db, "palm_tables", "r.family = 'palm' and e.eval_set like 'bigbench_lite%'")
    sizes = rows.group_by("eval_set").agg(pl.col("n_params").n_unique())
    return float(sizes.filter(pl.col("n_params") == 3).height), 24.0, 1 / 24


def upalm(db: sdb.Warehouse) -> tuple[float, float, float]:
    """A factor of 2 in compute: PaLM's tokens for U-PaLM's mean after 329B."""
    rows = scores(db, "upalm_tables", "r.study = 'tokens'")
    means = rows.group_by("family", "run_tokens").agg(pl.col("value").mean())
    palm = means.filter(family="palm").rename({"value": "score"})
    fitted = sdb.fit(palm, "log_linear", inputs={"n_examples": "run_tokens"}, output="score", objective="mse")
    target = means.filter((pl.col("family") == "u_palm") & (pl.col("run_tokens") == 329e9))["value"].item()
    return sdb.solve(fitted, want="run_tokens", output=target).value / 329e9, 2.0, 0.15


def ability(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Every rate times the number of its items is an integer."""
    rows = scores(db, "adele", "e.metric = 'acc'")
    counts = (rows["value"] * rows["n_items"]).to_numpy()
    assert np.abs(counts - np.round(counts)).max() < 0.015
    return float(scores(db, "adele", "e.metric = 'ability'")["eval_set"].n_unique()), 18.0, 1e-12


def backtracking(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Every success rate counts problems out of 200."""
    counts = scores(db, "backtrack")["value"].to_numpy() * 200
    return float(np.abs(counts - np.round(counts)).max()) + 1, 1.0, 1e-9


def early_signal(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Sizes of the contest's models: 0.5B to 3B."""
    rows = scores(db, "e2lm")
    early = rows.filter((pl.col("n_tokens") <= 50e9) & (pl.col("eval_set") == "hellaswag"))
    rank = early.group_by("run_id").agg(pl.corr("n_tokens", "value", method="spearman"))
    assert rank["n_tokens"].median() > 0.95
    return rows["n_params"].max() / rows["n_params"].min(), 6.0, 1e-12  # type: ignore[operator]


def ledger(name: str, words: str) -> Check:
    """A figure of the replication ledger: what the paper prints, or a bound that its words set."""

    def check(db: sdb.Warehouse) -> tuple[float, float, float]:
        figures = sdb.replication.replicate(name, db).filter(pl.col("statement").str.contains(words, literal=True))
        row = figures.row(0, named=True)
        if row["stated"] is None:
            low, high = (
                (-np.inf if row["low"] is None else row["low"]),
                (np.inf if row["high"] is None else row["high"]),
            )
            return float(np.clip(row["ours"], low, high)), row["ours"], 1e-12
        return row["ours"], row["stated"], row["tolerance"] / abs(row["stated"]) + 1e-9

    return check


def collaboration(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Fewer than 20 % of the tokens come from the large model: tasks of three on which it is so."""
    rows = scores(db, "fast_slow", "r.family = 'oracle' and e.eval_set != 'mtbench'")
    means = rows.group_by("eval_set").agg(pl.col("value").mean())
    return float((means["value"] < 0.2).sum()), 3.0, 1e-12


def structured(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Perplexity of the wide structured network over that of the dense one, both at 1.55e19 FLOP (table 2)."""
    wide = dict(scores(db, "structured_ffn", "r.study = 'wide'").select("model_name", "value").iter_rows())
    ratio = wide["m Ours (LowRank FFN + GQA)"] / wide["m Transformer-m"]
    return ratio, 17.89 / 18.29, 1e-9


def datastore(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Points that the large datastore adds on TriviaQA (table 3)."""
    rows = dict(scores(db, "retrieval_datastore", "e.eval_set = 'triviaqa'").select("family", "value").iter_rows())
    return 100 * (rows["massiveds"] - rows["lm_only"]), 12.9, 1e-9


def embedding_average(db: sdb.Warehouse) -> tuple[float, float, float]:
    """Printed average of the fully tuned 3B model, from its six groups of tasks."""
    rows = scores(db, "lco_embedding", "r.run_id like '%qwen2.5_vl_3b/full_finetune%'")
    return 100 * rows["value"].mean(), 62.10, 2e-4  # type: ignore[operator]


NO_ROWS = "its rows are not in the warehouse"
NO_NUMBERS = "no coefficients are printed or released, as far as they could be found"

ROWS: dict[str, Row] = {
    "L1": Row("1712.00409", lambda db: (at("power_offset", 2.0**27, E=0.32, A=21.5, alpha=0.30), 0.398, 2e-3)),
    "L2": Row("2010.14701", reducible_loss),
    "L3": Row("2102.06701", regime),
    "L4": Row("2109.07740", encoder_share),
    "L5": Row("2206.14486", pruning),
    "L6": Row("2306.09479", hindsight),
    "L7": Row("2306.13575", mlps),
    "L8": Row(
        "2307.02460",
        reason="the two-stage predictor by optimal transport is not built; no figure of it is on rows here",
    ),
    "L9": Row("2309.11197", reason=f"the crossing near 5e4 hours needs its two curves: {NO_NUMBERS}"),
    "L10": Row("2310.03262", pass_rate),
    "L11": Row("2312.04567", reason=NO_NUMBERS),
    "L12": Row("2401.08865", reason=NO_NUMBERS),
    "L13": Row("2402.04177", lambda db: (sdb.downstream.alignment_score(1.0, 0.0), 0.7, 1e-12)),
    "L14": Row("2402.17152", recommender),
    "L15": Row("2403.06563", form_holds),
    "L16": Row("2403.08540", overtrained),
    "L17": Row("2404.02883", reason="the printed law of the size does not give the plotted scores in any unit tried"),
    "L18": Row("2404.02905", lambda db: (at("power", 2.0, A=490.0**-0.016, alpha=0.016), 0.9, 0.01)),
    "L19": Row("2404.04125", concept_frequency),
    "L20": Row("2404.05405", lambda db: (at("knowledge_capacity", 7e9, R=2.0) / 1e9, 14.0, 1e-9)),
    "L21": Row("2404.07177", mixed_pool),
    "L22": Row("2404.12803", reason=NO_NUMBERS),
    "L23": Row("2405.15319", growth),
    "L24": Row("2406.04391", weaker_link),
    "L25": Row("2406.12295", ledger("fast_slow.collaboration", "Highest mean share of tokens")),
    "L26": Row("2406.16450", ledger("structured_ffn.equal_flops", "Perplexity of the wide structured network")),
    "L27": Row("2407.12854", datastore),
    "L28": Row("2407.13623", vocabulary),
    "L29": Row("2408.11029", any_schedule),
    "L30": Row("2409.15156", crossing),
    "L31": Row("2409.16040", largest_forecaster),
    "L32": Row("2410.03717", reason=NO_ROWS),
    "L33": Row("2410.04343", rag_gain),
    "L34": Row("2410.11840", every_checkpoint),
    "L35": Row("2410.12360", time_series),
    "L36": Row("2410.18647", robots),
    "L37": Row("2411.15766", reason=NO_ROWS),
    "L38": Row("2411.17691", quantised),
    "L39": Row("2412.04315", densing),
    "L40": Row("2501.02423", critical_data),
    "L41": Row("2501.06218", reason=NO_ROWS),
    "L42": Row("2501.12486", pruned),
    "L43": Row("2502.03738", patches),
    "L44": Row("2502.12118", verifier_gap),
    "L45": Row(
        "2502.17262", reason="clusters of items by difficulty are not built; no cluster's coefficients are printed"
    ),
    "L46": Row("2503.04715", lambda db: (sdb.get_law("step_law").coefficients("bootstrap_mean")["c"], 1.79, 0.01)),
    "L47": Row("2505.07858", reason=NO_NUMBERS),
    "L48": Row("2505.10465", superposition),
    "L49": Row("2505.10475", parallel_streams),
    "L50": Row("2505.14302", qat_ratio),
    "L51": Row("2505.20522", reason="the saturation budget is computed, but no budget of the paper's could be read"),
    "L52": Row("2506.04598", samples_used),
    "L53": Row("2506.10972", farseer),
    "L54": Row("2506.17811", ledger("robomonkey.success", "real robots out of distribution")),
    "L55": Row("2507.12466", filter_rate),
    "L56": Row("2508.01832", memory),
    "L57": Row("2508.01908", replayed),
    "L58": Row("2509.09677", horizon),
    "L59": Row("2509.14786", infinite_compute),
    "L60": Row("2509.19249", ledger("rlpt.gains", "gpqa_diamond")),
    "L61": Row("2509.21519", reason="no exponent could be read: the abstract states none"),
    "L62": Row("2509.25300", saturation),
    "L63": Row("2510.02272", reason=NO_NUMBERS),
    "L64": Row("2510.11693", embedding_average),
    "L65": Row("2510.13786", rl_asymptote),
    "L66": Row(
        "2510.15262",
        lambda db: (at("layerwise_weight_decay", 1024, c=1.0) / at("layerwise_weight_decay", 256, c=1.0), 2.0, 1e-12),
    ),
    "L67": Row("2511.09030", votes),
    "D1": Row("2111.10050", contrastive),
    "D2": Row("2204.02311", palm_compute),
    "D3": Row("2206.04615", lite_tasks),
    "D4": Row("2210.11399", upalm),
    "D5": Row("2305.13230", reason=NO_ROWS),
    "D6": Row("2404.01204", reason=NO_ROWS),
    "D7": Row("2406.02061", ledger("aiw.counts", "Share of right answers of the largest base models")),
    "D8": Row("2406.14532", reason=NO_ROWS),
    "D9": Row("2409.03733", ledger("plansearch.table", "pass@200 of plan search with Claude")),
    "D10": Row("2410.03857", ledger("implicit_reference.success", "qwen2-72b-instruct succeeds")),
    "D11": Row("2410.24169", reason="its potentials are on the leaderboard, but no figure of the paper is"),
    "D12": Row("2502.14739", ledger("readme_tables.tables", "Accuracy of DeepSeek-R1 on SuperGPQA")),
    "D13": Row("2503.06378", ability),
    "D14": Row("2503.07103", reason=NO_ROWS),
    "D15": Row("2504.00294", ledger("inference_scaling_gpqa.domains", "more tokens on chemistry")),
    "D16": Row("2504.07052", backtracking),
    "D17": Row("2505.16276", reason=NO_ROWS),
    "D18": Row("2506.07731", early_signal),
    "D19": Row("2509.20645", reason=NO_ROWS),
}
WORKS = {name: row for name, row in ROWS.items() if row.check is not None}
WAITS = {name: row for name, row in ROWS.items() if row.check is None}


def test_every_paper_is_listed_once() -> None:
    assert len(ROWS) == 86
    assert len({row.arxiv for row in ROWS.values()}) == 86
    assert all(row.reason for row in WAITS.values())


@pytest.mark.filterwarnings("ignore::scalingdb.DomainWarning", "ignore::scalingdb.FitWarning")
@pytest.mark.parametrize("name", WORKS)
def test_row_gives_the_number_of_the_paper(name: str, db: sdb.Warehouse) -> None:
    check = ROWS[name].check
    assert check is not None
    ours, stated, tolerance = check(db)
    assert ours == pytest.approx(stated, rel=tolerance)
