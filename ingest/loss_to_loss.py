"""Loss-to-loss prediction: 529 runs on six corpora, measured on eight texts and many tasks (arXiv 2411.12925).

A sweep of eight compute budgets, and one run per corpus at 21 times the largest of them that tests the
predictions. The 276 fits that the authors released are claims; six of them are also coefficient sets.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from ingest._long import melt, require
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

SWEEP, EXTRAPOLATION, FITS = "sweep.csv", "extrapolation.csv", "opt_params_data.csv"
N_SWEEP, N_EXTRAPOLATION, N_FITS = 529, 6, 276

CORPORA = {
    "fineweb-100b": ("fineweb", "FineWeb, sample of 100B tokens", "fineweb_100b_val"),
    "fineweb-edu-100b": ("fineweb-edu", "FineWeb-Edu, sample of 100B tokens", "fineweb_edu_100b_val"),
    "proof-pile-2": ("proof-pile-2", "Proof-Pile-2", "proof_pile_2_val"),
    "slimpajama-chunk1": ("slimpajama", "SlimPajama, chunk 1", "slimpajama_val"),
    "smollm-corpus": ("smollm", "SmolLM corpus", "smollm_val"),
    "starcoder": ("starcoder", "StarCoder data", "starcoder_val"),
}
"""Corpus in the files: family, its name, and the validation set of the same text."""

TEXTS = (
    "c4_val",
    "fineweb_100b_val",
    "fineweb_1T_val",
    "fineweb_edu_100b_val",
    "proof_pile_2_val",
    "slimpajama_val",
    "smollm_val",
    "starcoder_val",
)
MMLU = tuple(f"mmlu_{part}_test" for part in ("humanities", "other", "social_sciences", "stem"))
MMLU_5_SHOT = tuple(f"mmlu_{part}_mc_5shot_test" for part in ("humanities", "other", "social_sciences", "stem"))
BY_ACCURACY = ("arc_easy_test", "boolq_test", "sciq_test", "winogrande_test")
"""Tasks whose released score is plain accuracy; all others release accuracy by normalised likelihood."""
BY_NORMALISED = (
    "arc_challenge_test",
    "hellaswag_test",
    "openbook_qa_test",
    "piqa_test",
    "imbue_code_comprehension",
    "imbue_codegen",
    "imbue_gsm8k",
    *MMLU,
    *MMLU_5_SHOT,
)
WITH_CONTEXT_LOSS = (
    "arc_challenge_test",
    "arc_easy_test",
    "boolq_test",
    "hellaswag_test",
    "openbook_qa_test",
    "piqa_test",
    "sciq_test",
)
WINDOWS = (20, 10, 5)
"""Logged training losses that a released mean covers; ``train_loss_100`` equals ``train_loss_20`` in every run."""
DERIVED = ("data_ratio", "val_loss", "train_loss_100")
"""Columns that repeat others: tokens over parameters, the loss on the run's own corpus, and a training mean."""

FIT_PARAMS = ("A", "B", "E", "alpha", "beta")


def _fit(corpus: str, **params: float) -> PublishedFit:
    return PublishedFit(
        law="chinchilla",
        variant=f"loss_to_loss_{corpus.replace('-', '_')}",
        params=params,
        where_stated=f"{FITS} of the repository: trained on {corpus}, loss on C4, kaplan = False",
        evidence="read",
        output_unit="nats_per_token",
        n_definition="n_params",
    )


SOURCE = Source(
    source_id="loss_to_loss",
    title="Loss-to-Loss Prediction: Scaling Laws for All Datasets",
    authors="David Brandfonbrener, Nikhil Anand, Nikhil Vyas, Eran Malach, Sham Kakade",
    year=2024,
    arxiv_id="2411.12925",
    repository="KempnerInstitute/loss-to-loss-notebooks",
    upstream_commit="457ce81a019019bc3981937c20a70c52f5fad436",
    licence="none stated",
    is_shipped=False,
    redistribution=(
        "33,000 numbers under no stated licence are more than a quotation of figures: "
        "built locally from the raw files, not shipped"
    ),
    not_upstream=(SWEEP, EXTRAPOLATION, FITS),
    headline_metric="loss",
    headline_eval_set="c4_val",
    n_definition="n_params",
    notes=(
        "529 runs on six corpora at eight compute budgets from 2e17 to 4.84e19 FLOP (split 'fit'), and one 3.31B run a "
        "corpus at 1e21 FLOP, 20.7 times the largest budget, that tests the predictions (split 'validation'). "
        "train_flops is the budget, which equals 6 N D to rounding. flops_per_sample is the forward compute of one "
        "sequence (column 'flops' upstream), not training compute. n_params counts 64,000 rows of embeddings of width "
        "d_model besides the layers, so it is a total; the files give no count without them. Losses of runs on "
        "different corpora are comparable on the same eval set only: code and mathematics have much lower losses of "
        "their own. eval sets ending in _val are held-out texts (metric loss, nats per token). answer_loss is the "
        "cross-entropy per token of a task's right answer, context_loss that of its question; acc_norm is accuracy by "
        "length-normalised likelihood, acc plain accuracy, as released for each task. Shots are null where the name "
        "of the task states none. Eval sets mmlu_suite and olmo_suite are the authors' means over tasks and repeat "
        "their parts. train_loss_smoothed on eval set train_last_<n> is the mean of the last n logged training losses, "
        "train_loss_sd the standard deviation over the last 20 (a spread of batches, not an error of the mean). "
        "Perplexities, val_loss (the loss on the run's own corpus), train_loss_100 and data_ratio repeat other columns "
        "and are left out after a check; so is the memory of the accelerator. The 276 released fits (6 corpora x 23 "
        "losses x 2 forms) are rows of the table claims: form 'chinchilla' is E + A/N^alpha + B/D^beta, form 'kaplan' "
        "is E + ((A/N)^(alpha/beta) + B/D)^beta, so A and B of the two forms are on different scales. Both give the "
        "released predictions at 1e21 FLOP exactly. The six chinchilla fits of the C4 loss are also declared as "
        "coefficient sets; all six predict a higher loss than was measured at 1e21 FLOP."
    ),
    bibtex=(
        "@article{brandfonbrener2024loss, title={Loss-to-Loss Prediction: Scaling Laws for All Datasets}, "
        "author={Brandfonbrener, David and Anand, Nikhil and Vyas, Nikhil and Malach, Eran and Kakade, Sham}, "
        "journal={arXiv preprint arXiv:2411.12925}, year={2024}}"
    ),
    published_fits=(
        _fit(
            "fineweb",
            E=2.2852328416096017,
            A=1812.2463630955506,
            B=6189.873198278078,
            alpha=0.4347396335108267,
            beta=0.4435907814603418,
        ),
        _fit(
            "fineweb-edu",
            E=2.508699766878972,
            A=1794.391591788976,
            B=11145.077785416355,
            alpha=0.43492365962414997,
            beta=0.47434098360174376,
        ),
        _fit(
            "proof-pile-2",
            E=2.91711098242774,
            A=1022.8910359541036,
            B=2636.90960847699,
            alpha=0.39732208005206743,
            beta=0.387615473650608,
        ),
        _fit(
            "slimpajama",
            E=2.4558481607481206,
            A=994.6423298253942,
            B=6957.46649219219,
            alpha=0.3864690611270666,
            beta=0.45385205965163583,
        ),
        _fit(
            "smollm",
            E=2.491327910346117,
            A=1437.597074638401,
            B=9950.276141142727,
            alpha=0.4206416093666477,
            beta=0.4687899050491425,
        ),
        _fit(
            "starcoder",
            E=3.0011828546386607,
            A=1091.0397084323195,
            B=2475.4837138067846,
            alpha=0.400193620816371,
            beta=0.3806297096860118,
        ),
    ),
    set_aside=(SetAside(FITS, N_FITS, "read into claims: coefficients and predictions of the released fits"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Runs, their losses and scores, and the released fits."""
    points = pl.concat(
        [
            _read(raw, SWEEP, N_SWEEP).with_columns(split=pl.lit("fit")),
            _read(raw, EXTRAPOLATION, N_EXTRAPOLATION).with_columns(split=pl.lit("validation")),
        ]
    ).with_columns(run_id=pl.concat_str(pl.lit("loss_to_loss/"), "name"))
    _check(points)
    corpus = pl.col("data")
    runs = points.select(
        "run_id",
        study=pl.lit("loss_to_loss"),
        model_name="name",
        family=corpus.replace_strict({key: family for key, (family, _, _) in CORPORA.items()}),
        architecture=pl.lit("decoder"),
        n_params="params",
        n_tokens="tokens",
        train_flops="iso_flop",
        flops_per_sample="flops",
        corpus=corpus.replace_strict({key: name for key, (_, name, _) in CORPORA.items()}),
        tokenizer_id=pl.lit("loss_to_loss"),
        d_model="d_model",
        n_layers="n_layers",
        n_steps="steps",
    )
    evals = melt(points, ["run_id", "split", "raw_file", "raw_row"], _fields()).with_columns(
        value_origin=pl.lit("reported")
    )
    evals = evals.join(runs.select("run_id", "n_tokens"), on="run_id", how="left")
    return {
        "runs": conform("runs", runs, "loss_to_loss"),
        "evals": conform("evals", evals, "loss_to_loss"),
        "claims": conform("claims", _claims(raw, points), "loss_to_loss"),
    }


def _loss_columns() -> dict[str, str]:
    return {text: f"eval/{text}/CrossEntropyLoss" for text in TEXTS}


def _fields() -> list[dict[str, Any]]:
    """Every number of a run that is no copy of another: its column, metric, eval set and unit."""
    nats = "nats_per_token"
    tasks = (*BY_ACCURACY, *BY_NORMALISED)
    rows = [(column, "loss", text, nats) for text, column in _loss_columns().items()]
    rows += [(f"eval/downstream_ce_loss/{task}_ce_loss", "answer_loss", task, nats) for task in tasks]
    rows += [(f"eval/downstream/{task}_ctx_ce_loss", "context_loss", task, nats) for task in WITH_CONTEXT_LOSS]
    rows += [(f"eval/downstream/{task}_acc", "acc", task, "fraction") for task in BY_ACCURACY]
    rows += [(f"eval/downstream/{task}_len_norm", "acc_norm", task, "fraction") for task in BY_NORMALISED]
    rows += [
        ("train/CrossEntropyLoss", "train_loss", "train", nats),
        ("train_loss_20_std", "train_loss_sd", "train", nats),
    ]
    rows += [(f"train_loss_{n}", "train_loss_smoothed", f"train_last_{n}", nats) for n in WINDOWS]
    for suite in ("olmo_suite", "mmlu_suite"):
        rows += [(f"{suite}_ce_loss", "answer_loss", suite, nats), (f"{suite}_acc", "task_score", suite, "fraction")]
    return [
        {
            "raw_field": column,
            "metric": metric,
            "eval_set": eval_set,
            "unit": unit,
            "n_shots": 5 if "5shot" in eval_set and metric not in {"answer_loss", "context_loss"} else None,
        }
        for column, metric, eval_set, unit in rows
    ]


def _read(raw: RawFolder, name: str, rows: int) -> pl.DataFrame:
    numbers = ["n_layers", "d_model", "params", "flops", "iso_flop", "tokens", "steps", *DERIVED]
    numbers += [field["raw_field"] for field in _fields()]
    numbers += [column.replace("CrossEntropyLoss", "Perplexity") for column in _loss_columns().values()]
    columns: dict[str, type[pl.DataType]] = {"name": pl.String, "state": pl.String, "data": pl.String}
    return raw.csv(name, columns | dict.fromkeys(numbers, pl.Float64), rows=rows)


def _check(points: pl.DataFrame) -> None:
    """Check what the columns left out repeat, and that every run is finished and known.

    Raises
    ------
    DataError
        Naming the condition and the number of runs that break it.
    """
    own = pl.coalesce(
        pl.when(pl.col("data") == key).then(pl.col(_loss_columns()[text])) for key, (_, _, text) in CORPORA.items()
    )
    conditions = {
        "finished": pl.col("state") == "finished",
        "on one of the six corpora": pl.col("data").is_in(list(CORPORA)),
        "named once": pl.col("name").is_unique(),
        "with iso_flop = 6 N D": (pl.col("iso_flop") / (6 * pl.col("params") * pl.col("tokens")) - 1).abs() < 1e-12,
        "with data_ratio = D / N": (pl.col("data_ratio") * pl.col("params") / pl.col("tokens") - 1).abs() < 1e-12,
        "with val_loss that of the own corpus": pl.col("val_loss") == own,
        "with train_loss_100 = train_loss_20": pl.col("train_loss_100") == pl.col("train_loss_20"),
        # single precision upstream
        "with perplexities that are exp of their loss": pl.all_horizontal(
            (pl.col(c).exp() / pl.col(c.replace("CrossEntropyLoss", "Perplexity")) - 1).abs() < 1e-6
            for c in _loss_columns().values()
        ),
    }
    faults = [
        f"{n} run(s) not {what}"
        for what, expression in conditions.items()
        if (n := points.filter(expression.not_().fill_null(value=True)).height)
    ]
    if faults:
        raise DataError(f"loss_to_loss, {SWEEP!r} and {EXTRAPOLATION!r}: " + "; ".join(faults))


def _claims(raw: RawFolder, points: pl.DataFrame) -> pl.DataFrame:
    """The released fits: five coefficients, quality, and the prediction for the run at 1e21 FLOP."""
    numbers = [*FIT_PARAMS, "loss", "r_squared", "extrap_pred", "extrap_loss"]
    columns: dict[str, type[pl.DataType]] = {"data": pl.String, "loss_name": pl.String, "kaplan": pl.Boolean}
    fits = raw.csv(FITS, columns | dict.fromkeys(numbers, pl.Float64), rows=N_FITS).with_columns(
        form=pl.when("kaplan").then(pl.lit("kaplan")).otherwise(pl.lit("chinchilla"))
    )
    _check_fits(fits, points)
    names = {
        "loss": ("objective", "value of the fitting objective"),
        "r_squared": ("r_squared", "share of variance explained on the sweep"),
        "extrap_pred": ("predicted_loss", "predicted loss of the run at 1e21 FLOP"),
    } | {name: (name, f"coefficient {name}") for name in FIT_PARAMS}
    short = (
        pl.col("loss_name")
        .str.replace(r"^eval/(downstream_ce_loss/)?", "")
        .str.replace(r"(/CrossEntropyLoss|_ce_loss)$", "")
    )
    family = pl.col("data").replace_strict({key: family for key, (family, _, _) in CORPORA.items()})
    long = fits.unpivot(list(names), index=["data", "loss_name", "form", "raw_row"], variable_name="column")
    quantity = pl.col("column").replace_strict({key: name for key, (name, _) in names.items()})
    return long.select(
        claim_id=pl.concat_str([pl.lit("2411.12925"), family, short, pl.col("form"), quantity], separator="/"),
        claim=pl.concat_str(
            pl.lit("fit of form "),
            "form",
            pl.lit(" to the loss '"),
            "loss_name",
            pl.lit("' of the runs trained on "),
            "data",
            pl.lit(": "),
            pl.col("column").replace_strict({key: text for key, (_, text) in names.items()}),
        ),
        quantity=quantity,
        value="value",
        unit=pl.when(pl.col("column") == "r_squared")
        .then(pl.lit("fraction"))
        .when(pl.col("column").is_in(["E", "extrap_pred"]))
        .then(pl.lit("nats_per_token"))
        .otherwise(pl.lit("unitless")),
        varies=pl.lit("model size and training tokens"),
        law=pl.when(pl.col("form") == "chinchilla").then(pl.lit("chinchilla")),
        where_stated=pl.concat_str(pl.lit(f"{FITS}, record "), "raw_row", pl.lit(", column "), "column"),
        test_source=pl.lit("loss_to_loss"),
    )


def _check_fits(fits: pl.DataFrame, points: pl.DataFrame) -> None:
    """Released predictions follow from the coefficients, and released outcomes stand in the runs."""
    largest = points.filter(pl.col("split") == "validation")
    measured = largest.unpivot(
        fits["loss_name"].unique(maintain_order=True).to_list(),
        index="data",
        variable_name="loss_name",
        value_name="found",
    )
    joined = fits.join(measured, on=["data", "loss_name"], how="left")
    n, d = largest["params"][0], largest["tokens"][0]
    a, b, alpha, beta = (pl.col(name) for name in ("A", "B", "alpha", "beta"))
    chinchilla = a * (n**-alpha) + b * (d**-beta)
    kaplan = ((a / n) ** (alpha / beta) + b / d) ** beta
    differs = ((pl.col("found") / pl.col("extrap_loss")) - 1).abs() > 1e-12  # means may differ in the last digit
    law = pl.col("E") + pl.when("kaplan").then(kaplan).otherwise(chinchilla)
    require(
        f"loss_to_loss, {FITS!r}",
        fits_per_corpus_and_form=(
            sorted(set(fits.group_by("data", "kaplan").len()["len"])),
            [N_FITS // (2 * len(CORPORA))],
        ),
        outcomes_that_differ_from_the_runs=(joined.filter(differs.fill_null(value=True)).height, 0),
        predictions_that_do_not_follow=(joined.filter(((law / pl.col("extrap_pred")) - 1).abs() > 1e-9).height, 0),
        declared_sets_that_differ=(_declared_that_differ(fits), []),
    )


def _declared_that_differ(fits: pl.DataFrame) -> list[str]:
    c4 = fits.filter((pl.col("loss_name") == _loss_columns()["c4_val"]) & ~pl.col("kaplan"))
    released = {
        f"loss_to_loss_{CORPORA[row['data']][0].replace('-', '_')}": {name: row[name] for name in FIT_PARAMS}
        for row in c4.iter_rows(named=True)
    }
    declared = {fit.variant: dict(fit.params) for fit in SOURCE.published_fits}
    return sorted(name for name in released.keys() | declared.keys() if released.get(name) != declared.get(name))
