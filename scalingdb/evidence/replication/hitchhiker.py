"""The corpus of 2410.11840: what it holds, how its largest models are predicted, and claims its curves can test."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from scalingdb.errors import FitWarning
from scalingdb.evidence.replication._core import Figure, replication, untestable
from scalingdb.evidence.replication._printed import printed
from scalingdb.fits import Fit, fit, fit_by

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ROWS = {
    "raw_data/chinchila_extracted.csv": 245,
    "raw_data/overtrain/overtrain_downstreams.csv": 104,
    "aggregated_eval/t5_pile.csv": 807,
    "aggregated_eval/datablations_losses.csv": 9261,
    "aggregated_eval/datablations_contour_losses.csv": 229,
    "aggregated_eval/datablations_code_losses.csv": 296,
    "aggregated_eval/opt_trajectories.csv": 142,
    "aggregated_eval/revisiting_lang.csv": 1399,
    "aggregated_eval/revisiting_vision.csv": 18883,
    "aggregated_eval/llm360Mamba3B.csv": 44174,
    "aggregated_eval/K2.csv": 9986,
    "aggregated_eval/olmo.csv": 1708,
    "aggregated_eval/opt.csv": 147,
    "_derived/amber_evals_long.csv": 7832,
    "raw_data/gpt3/extracted.csv": 12097,
    "raw_data/gzip/results_new.jsonl": 150,
    "raw_data/IBM_MoE.csv": 73,
    "raw_data/redPajama/2.4B.csv": 72,
    "raw_data/redPajama/6.7B.csv": 63,
}
_MODELS = {
    "bimix": 12,
    "gadre": 104,
    "pile_t5": 4,
    "datablations_curves": 48,
    "datablations_points": 229,
    "opt_curves": 6,
    "revisiting_language": 11,
    "mamba_3b": 1,
    "amber_7b": 1,
    "gpt3_curves": 8,
    "olmo": 3,
    "redpajama_incite": 2,
}


@replication(
    *(
        Figure(
            key=file,
            statement=f"Records of {file}",
            place=f"release, {file}",
            unit="count",
            origin="release",
            **printed(str(count)),
        )
        for file, count in _ROWS.items()
    ),
    *(
        Figure(
            key=study,
            statement=f"Models of the part '{study}'",
            place="release, the loaders of the repository",
            unit="count",
            origin="release",
            **printed(str(count)),
        )
        for study, count in _MODELS.items()
    ),
    Figure(
        key="chinchilla_sizes",
        statement="Models of the Chinchilla points as the loader counts them: sizes rounded to 10 million",
        place="release, the loaders of the repository",
        unit="count",
        origin="release",
        **printed("43"),
    ),
)
def counts(db: Warehouse) -> dict[str, float]:
    """Records and models of every part that the release still holds."""
    files = dict(db.sql("select raw_file, n_rows_in from raw_files where source_id = 'hitchhiker'").rows())
    models = dict(db.sql("select study, count(*) from runs where source_id = 'hitchhiker' group by all").rows())
    sizes = db.sql("select n_params from runs where source_id = 'hitchhiker' and study = 'chinchilla'")
    return {
        **{file: files[file] for file in _ROWS},
        **{study: models[study] for study in _MODELS},
        "chinchilla_sizes": (sizes["n_params"] / 1e7).round().n_unique(),
    }


models = untestable(
    "hitchhiker.models",
    Figure(
        key="models",
        statement="Pretrained models in the corpus",
        place="abstract",
        unit="count",
        **printed("485"),
    ),
    because=(
        "The inputs of the count (the authors' merged table, the models of one paper, about 50, and three of four "
        "files of another) stand in the release's tree, but our copy lacks their contents; and 'model' counts few-shot "
        "results of one model as several. What we have gives 343 to 641 names, depending on how the gaps are filled."
    ),
)


# ---- prediction of the largest model from the smaller ones -----------------------------------------------------------


def _curves(db: Warehouse, study: str, metric: str) -> pl.DataFrame:
    """Training curves of a family; perplexity as its logarithm."""
    return db.sql(
        """
        select run_id, n_params, n_tokens, case when unit = 'perplexity' then ln(loss) else loss end as loss
        from curves
        where source_id = 'hitchhiker' and study = $study and metric = $metric and flag is null
        order by run_id, n_tokens
        """,
        study=study,
        metric=metric,
    )


def _split(curves: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Smaller models after 1e10 tokens, and the last 30 % of the tokens of the largest."""
    largest = pl.col("n_params") == pl.col("n_params").max()
    target = curves.filter(largest)
    return (
        curves.filter(~largest, pl.col("n_tokens") > 1e10),
        target.filter(pl.col("n_tokens") >= 0.7 * pl.col("n_tokens").max()),
    )


def _fit(rows: pl.DataFrame, **options: Any) -> Fit:
    with warnings.catch_warnings():  # few sizes leave trade-offs; what counts here is the prediction
        warnings.simplefilter("ignore", FitWarning)
        fitted: Fit = fit(rows, "chinchilla", pool=True, by_run=False, **options)
        return fitted


def _error(found: Fit, target: pl.DataFrame) -> float:
    """Mean absolute relative error of the law on the target."""
    params: dict[str, Any] = dict(found.params)
    predicted = np.asarray(found.law(target["n_params"].to_numpy(), target["n_tokens"].to_numpy(), **params))
    return float(np.abs(predicted / target["loss"].to_numpy() - 1).mean())


_FAMILIES = {
    "gpt3": ("gpt3_curves", "loss", "GPT-3, validation loss"),
    "gpt3_train": ("gpt3_curves", "train_loss", "GPT-3, training loss"),
    "opt": ("opt_curves", "perplexity", "OPT, log perplexity"),
}
_FINALS = (
    "Here the seven final losses predict better (error 0.011) than the whole curves (0.024): GPT-3's training losses "
    "are noisy single batches, read off a figure, and their early part bends the law."
)


@replication(
    *(
        Figure(
            key=key,
            statement=what,
            place="recomputed from the released curves",
            unit=unit,
            origin="own",
            **printed(value),
        )
        for key, what, unit, value in (
            (
                "gpt3/error",
                "GPT-3 175B validation loss from seven smaller models: mean relative error",
                "fraction",
                "0.0055",
            ),
            ("gpt3/rows", "Rows of that fit", "count", "5395"),
            ("gpt3/models", "Models of that fit", "count", "7"),
            ("gpt3/target", "Rows of the target", "count", "281"),
            ("gpt3/alpha", "Exponent of size of that fit", "dimensionless", "0.232"),
            ("gpt3/beta", "Exponent of tokens of that fit", "dimensionless", "0.500"),
            ("gpt3/E", "Irreducible loss of that fit", "nats_per_token", "1.38"),
            (
                "gpt3_train/error",
                "GPT-3 175B training loss from seven smaller models: mean relative error",
                "fraction",
                "0.0241",
            ),
            (
                "opt/error",
                "OPT-175B log perplexity from five smaller models: mean relative error",
                "fraction",
                "0.0191",
            ),
            ("opt/rows", "Rows of that fit", "count", "101"),
            ("opt/models", "Models of that fit", "count", "5"),
            (
                "chinchilla/error",
                "Chinchilla's point of most parameters from the others: relative error",
                "fraction",
                "0.0144",
            ),
            ("chinchilla/rows", "Rows of that fit", "count", "244"),
        )
    ),
    *(
        Figure(
            key=f"{family}/finals",
            statement=f"Error from final losses only, over that with intermediate checkpoints: {what}",
            place="abstract",
            low=1.0,
            unit="ratio",
            why="more accurate with them: the error without them is larger",
            claim_id="2410.11840/3",
            unless=_FINALS if family == "gpt3_train" else "",
        )
        for family, (_, _, what) in _FAMILIES.items()
    ),
    *(
        Figure(
            key=f"{family}/near",
            statement=f"Error from the three smallest models over that from the three largest below the target: {what}",
            place="abstract",
            low=1.0,
            unit="ratio",
            why="best from models near the target: the three farthest do worse than the three nearest",
            claim_id="2410.11840/4",
        )
        for family, (_, _, what) in _FAMILIES.items()
    ),
    Figure(
        key="borrowed",
        statement="OPT-175B from one OPT model and the coefficients of GPT-3 but E: median error over the five models",
        place="abstract",
        high=0.05,
        unit="fraction",
        why="can predict: within a twentieth, the order of what the paper counts as useful (4 %)",
        claim_id="2410.11840/6",
        choice="Borrowed are A, B and both exponents of GPT-3's validation losses; only E is fitted to the one model.",
    ),
    Figure(
        key="kaplan",
        statement="OPT-30B's log perplexity by Kaplan's form in size and tokens, from the four smaller models: error",
        place="abstract of arXiv:2403.06563",
        high=0.02,
        unit="fraction",
        why="still hold: two percent, at more than twice the largest model fitted",
        claim_id="2403.06563/1",
        choice=(
            "OPT's curves to 30B, as the paper's runs to 33B are not released. On GPT-3's curves the same form, which "
            "has no floor, is 7 % off at 175B."
        ),
    ),
)
def extrapolation(db: Warehouse) -> dict[str, float]:
    """The largest model of each family from the smaller ones."""
    ours: dict[str, float] = {}
    fits, splits = {}, {}
    for family, (study, metric, _) in _FAMILIES.items():
        small, target = splits[family] = _split(_curves(db, study, metric))
        fits[family] = _fit(small)
        error = _error(fits[family], target)
        finals = small.unique("run_id", keep="last", maintain_order=True)
        sizes = sorted(small["n_params"].unique())
        far, near = (
            _error(_fit(small.filter(pl.col("n_params").is_in(part))), target) for part in (sizes[:3], sizes[-3:])
        )
        ours |= {
            f"{family}/error": error,
            f"{family}/finals": _error(_fit(finals), target) / error,
            f"{family}/near": far / near,
        }
        if family != "gpt3_train":
            ours |= {f"{family}/rows": small.height, f"{family}/models": finals.height}
    ours |= {"gpt3/target": splits["gpt3"][1].height}
    ours |= {f"gpt3/{name}": fits["gpt3"].params[name] for name in ("alpha", "beta", "E")}
    points = db.sql("""
        select run_id, n_params, n_tokens, loss from points
        where source_id = 'hitchhiker' and study = 'chinchilla' order by n_params
    """).with_columns((pl.col("n_params") / 1e7).round() * 1e7)  # sizes as the authors' loader has them
    others, largest = points[:-1], points[-1:]
    ours |= {"chinchilla/rows": others.height, "chinchilla/error": _error(_fit(others), largest)}
    lent = {name: value for name, value in fits["gpt3"].params.items() if name != "E"}
    small, target = splits["opt"]
    borrowed = [_error(_fit(one, fixed=lent), target) for one in small.partition_by("run_id")]
    small, target = _split(_curves(db, "opt_curves", "perplexity").filter(pl.col("n_params") < 1e11))
    power = fit(small, "kaplan_lnd", pool=True, by_run=False, inputs={"n_params_non_embedding": "n_params"})
    predicted = np.asarray(
        power.law(target["n_params"].to_numpy(), target["n_tokens"].to_numpy(), **dict[str, Any](power.params))
    )
    return ours | {
        "borrowed": float(np.median(borrowed)),
        "kaplan": float(np.abs(predicted / target["loss"].to_numpy() - 1).mean()),
    }


@replication(
    Figure(
        key="largest",
        statement="Largest difference of final loss between four seeds, over 16 settings of 2.8B and 4.2B parameters",
        place="abstract",
        low=1.0,
        unit="percent",
        why="large: a percent and more is what separates neighbouring laws and sizes in these fits",
        claim_id="2410.11840/5",
        choice="Seeds are those of the source datablations. That several small runs beat a big one is not tested.",
    ),
    Figure(
        key="median",
        statement="Median of these differences",
        place="abstract",
        low=1.0,
        unit="percent",
        why="large as a rule, and not in the worst case only",
        claim_id="2410.11840/5",
        unless="The median is 0.3 %, and at 2.8B parameters 0.1 %: seed variation is large in a few settings only.",
    ),
)
def seeds(db: Warehouse) -> dict[str, float]:
    """How much the seed moves a final loss."""
    spread = db.sql("""
        select 100 * (max(loss) / min(loss) - 1) as spread from points
        where source_id = 'datablations' and family = 'c4-seeds' group by n_params, n_tokens, n_tokens_unique
    """)["spread"].to_numpy()
    return {"largest": spread.max(), "median": float(np.median(spread))}


# ---- learning curves -------------------------------------------------------------------------------------------------

_DOMAINS = {
    "translation": ("nmt-validation", "Translation"),
    "language": ("lm-validation", "Language modelling"),
    "image": ("inet", "Image classification (ImageNet)"),
}
_BENT = {
    "image": "Errors of few-shot image classification scatter and bend: a power with a floor explains 0.6 to 0.9.",
}
_MOVED = {
    "translation": "From 0.36 to 0.63 over five architectures; with ten sizes of data a curve, the intervals are wide.",
    "image": "From 0.27 (ViT-S) to 0.43 (BiT-101) on one task, each beyond the other's interval.",
}


@replication(
    *(
        Figure(
            key=f"{domain}/r2",
            statement=f"{what}: share of variance of log error that a power of data and a floor explain, median curve",
            place="abstract of arXiv:1712.00409",
            low=0.95,
            unit="fraction",
            why="falls as a power: all but a twentieth",
            claim_id="1712.00409/1",
            choice=""
            if domain in _BENT
            else "Curves of arXiv:2209.06640, not the paper's own; speech is not among them.",
            unless=_BENT.get(domain, ""),
        )
        for domain, (_, what) in _DOMAINS.items()
    ),
    *(
        Figure(
            key=f"{domain}/exponents",
            statement=f"{what}: largest exponent of data over the smallest, among models",
            place="abstract of arXiv:1712.00409",
            high=1.25,
            unit="ratio",
            why="leaves the exponent alone: within a quarter, about the half-width of its interval in these curves",
            claim_id="1712.00409/2",
            choice="" if domain in _MOVED else "Models are five sizes of one architecture.",
            unless=_MOVED.get(domain, ""),
        )
        for domain, (_, what) in _DOMAINS.items()
    ),
)
def learning_curves(db: Warehouse) -> dict[str, float]:
    """Powers of training data with a floor, one curve per model."""
    curves = db.sql(
        """
        select run_id, eval_set, n_examples, value as loss from evals join runs using (run_id)
        where runs.source_id = 'hitchhiker' and study in ('revisiting_language', 'revisiting_vision')
            and list_contains($sets, eval_set) and value > 0 and flag is null order by run_id, n_examples
        """,
        sets=[eval_set for eval_set, _ in _DOMAINS.values()],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fits = fit_by(curves, "m2", by=["eval_set", "run_id"], objective="mse_log", pool=True, by_run=False)
    log_error = (pl.col("loss") / pl.col("prediction")).log()
    explained = (
        fits.augment()
        .group_by("eval_set", "run_id")
        .agg(r2=1 - (log_error**2).sum() / ((pl.col("loss").log() - pl.col("loss").log().mean()) ** 2).sum())
    )
    exponents = fits.tidy().filter(pl.col("param") == "c")
    ours: dict[str, float] = {}
    for domain, (eval_set, _) in _DOMAINS.items():
        c = exponents.filter(pl.col("eval_set") == eval_set)["estimate"].to_numpy()
        r2 = explained.filter(pl.col("eval_set") == eval_set)["r2"].to_numpy()
        ours |= {f"{domain}/r2": float(np.median(r2)), f"{domain}/exponents": c.max() / c.min()}
    return ours


encoder_decoder = untestable(
    "hitchhiker.encoder_decoder",
    Figure(
        key="same_total",
        statement="Loss of two translation models of equal total but different encoder and decoder sizes differs by",
        place="abstract of arXiv:2109.07740",
        low=0.01,
        unit="fraction",
        why="does not suffice: equal totals with losses a percent apart",
        claim_id="2109.07740/2",
    ),
    because=(
        "The curves name five translation models (such as 28 encoder and 6 decoder layers, and the reverse) without "
        "their sizes: a decoder layer is larger, so the totals differ; needed are parameter counts."
    ),
)


@replication(
    Figure(
        key="rank",
        statement="Rank correlation of BIG-bench accuracy (mean of six tasks) with size, six OPT models, last step",
        place="abstract of arXiv:2206.04615",
        low=0.8,
        why="rises with scale: nearly monotone over six sizes",
        claim_id="2206.04615/2",
        choice="Only the score: calibration and human raters are not in the rows.",
    ),
)
def bigbench(db: Warehouse) -> dict[str, float]:
    """BIG-bench scores of the OPT models."""
    last = db.sql("""
        select n_params, avg(value) as score from (
            select runs.n_params, run_id, step, value, max(step) over (partition by run_id) as last
            from evals join runs using (run_id) where runs.source_id = 'hitchhiker' and study = 'opt_bigbench'
        ) where step = last group by n_params order by n_params
    """)
    return {"rank": float(spearmanr(last["n_params"].to_numpy(), last["score"].to_numpy()).statistic)}


@replication(
    Figure(
        key="alike",
        statement="Rank correlation of the course of a score between Pythia sizes: median of pairs, then of four tasks",
        place="abstract of arXiv:2404.01204",
        low=0.8,
        why="evolve alike: mostly in the same order, from step 512 on (certain tasks: four with signal at all sizes)",
        claim_id="2404.01204/1",
        choice="Up to 12B parameters (LAMBADA, ARC easy, PIQA, SciQ), where the paper goes to 67B.",
    ),
)
def courses(db: Warehouse) -> dict[str, float]:
    """Scores over training, between models of different size."""
    rows = db.sql("""
        select task, n_params, step, score from scores
        where source_id = 'pythia_evals' and family = 'pythia' and n_shots = 0 and metric = 'acc' and step >= 512
            and task in ('lambada_openai', 'arc_easy', 'piqa', 'sciq')
        order by n_params, step
    """)
    medians = []
    for task in rows.partition_by("task"):
        wide = task.pivot("n_params", index="step", values="score").drop("step").to_numpy()
        correlations = spearmanr(wide).statistic
        medians.append(np.median(correlations[np.triu_indices(len(correlations), 1)]))
    return {"alike": float(np.median(medians))}
