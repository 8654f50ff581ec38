"""Superposition: loss of a toy model against its width, and the width law of language models (arXiv 2505.10465)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, arxiv_entry, conform

LOSSES, SLOPES, WIDTHS = "toy_model_losses.csv", "toy_model_slopes.csv", "width_law_fit.csv"
N_LOSSES, N_SLOPES, N_WIDTHS, N_WIDTHS_OF_A_TOY = 48, 3, 18, 8
ALPHA, ALPHA_ERROR, FACTOR = 0.9098, 0.0360, 476.0763
FLOORS = {
    "opt": {"wikitext": 2.2074, "c4": 2.2745, "pile": 1.7193, "bookcorpus": 2.1845},
    "qwen": {"wikitext": 1.6079, "c4": 2.1009, "pile": 1.4890, "bookcorpus": 1.9348},
    "gpt2": {"wikitext": 2.3018, "c4": 2.3546, "pile": 1.9413, "bookcorpus": 2.2961},
    "pythia": {"wikitext": 2.1407, "c4": 2.2998, "pile": 1.5203, "bookcorpus": 2.2415},
}
TITLE = "Superposition Yields Robust Neural Scaling"
AUTHORS = "Yizhou Liu, Ziming Liu, Jeff Gore"
NOTEBOOK = "LLMs/nonlinearfit-3.ipynb"

SOURCE = Source(
    source_id="superposition",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2505.10465",
    repository="liuyz0/SuperpositionScaling",
    upstream_commit="35b08b012d2d0bc0391736658cb1ce7775c80e97",
    licence="none stated",
    redistribution="69 printed or drawn numbers as our own table of facts with citation",
    headline_metric="model_mse",
    not_upstream=(LOSSES, SLOPES, WIDTHS),
    notes=(
        "A toy model that compresses features into m dimensions (d_model, 8 to 1,024), with strong or weak "
        "superposition (study) and three decays of the features' importance (family). Losses are decoded from a vector "
        "figure, to 0.1 %, and are 10,240 times the mean squared error. The width is no parameter count, so "
        "that n_definition is null. With strong superposition the loss falls about as 1/m. Law width_inverse holds the "
        "authors' fit to 27 language models (OPT, Qwen, GPT-2, Pythia) on four corpora, loss = A m^-alpha + B: one "
        "exponent and factor, a floor per family and corpus. Their 108 losses are not released; they are per token of "
        "each model's own tokenizer, and the width of OPT-350M was set to 1,024 by hand."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2505.10465"),
    published_fits=tuple(
        PublishedFit(
            law="width_inverse",
            variant=f"{family}_{corpus}",
            params={"L_0": floor, "c": FACTOR, "alpha_m": ALPHA},
            where_stated=(
                f"{NOTEBOOK}, cells 6 and 11: one alpha_m (standard error {ALPHA_ERROR}) and c for all 16 sets"
            ),
            evidence="read",
            output_unit="nats_per_token",
        )
        for family, floors in FLOORS.items()
        for corpus, floor in floors.items()
    ),
    set_aside=(
        SetAside(WIDTHS, N_WIDTHS, "read into published_fits: width law of language models"),
        SetAside(SLOPES, N_SLOPES, "read into claims: printed slopes of the toy model"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One toy model per regime, decay and width."""
    losses = raw.csv(
        LOSSES,
        {
            "regime": pl.String,
            "feature_importance_decay": pl.String,
            "model_dimension_m": pl.Float64,
            "loss": pl.Float64,
        },
        rows=N_LOSSES,
        comments=1,
    ).with_columns(
        run_id=pl.format(
            "superposition/{}-{}-{}",
            pl.col("regime").str.split(" ").list.first(),
            "feature_importance_decay",
            pl.col("model_dimension_m").cast(pl.Int64),
        )
    )
    _check_widths(raw)
    widths = losses.group_by("regime", "feature_importance_decay").len()
    require(f"superposition, {LOSSES!r}", widths_of_a_toy=(widths["len"].unique().to_list(), [N_WIDTHS_OF_A_TOY]))
    runs = losses.select(
        "run_id",
        study=slug(pl.col("regime")),
        family=pl.format("{}-{}", pl.col("regime").str.split(" ").list.first(), "feature_importance_decay"),
        architecture=pl.lit("other"),
        d_model="model_dimension_m",
    )
    evals = losses.select("run_id", "raw_file", "raw_row", value="loss", raw_field=pl.lit("loss"))
    return {
        "runs": conform("runs", runs, "superposition"),
        "evals": measured(
            "superposition", evals, metric="model_mse", unit="unitless", eval_set="toy", value_origin="digitised"
        ),
        "claims": conform("claims", _claims(raw), "superposition"),
    }


def _check_widths(raw: RawFolder) -> None:
    """The published sets are what the notebook prints."""
    rows = raw.csv(
        WIDTHS,
        {"parameter": pl.String, "model_class": pl.String, "dataset": pl.String, "value": pl.Float64},
        rows=N_WIDTHS,
        comments=1,
    )
    floors = rows.filter(pl.col("parameter") == "B")
    require(
        f"superposition, {WIDTHS!r}",
        factor_and_exponent=(sorted(rows.filter(pl.col("parameter") != "B")["value"]), [ALPHA, FACTOR]),
        floors=(
            {(c.lower(), d): v for c, d, v in floors.select("model_class", "dataset", "value").iter_rows()},
            {(family, corpus): value for family, sets in FLOORS.items() for corpus, value in sets.items()},
        ),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    slopes = raw.csv(
        SLOPES,
        {"feature_distribution": pl.String, "m_from": pl.Int64, "slope": pl.Float64},
        rows=N_SLOPES,
        comments=1,
    ).with_columns(decay=pl.col("feature_distribution").str.replace("1", ""))
    return slopes.select(
        claim_id=pl.format("2505.10465/slope/{}", "decay"),
        claim=pl.format(
            "slope of log loss on log m with strong superposition, {} decay, m from {} to 1,024", "decay", "m_from"
        ),
        quantity=pl.lit("slope"),
        value="slope",
        unit=pl.lit("unitless"),
        varies=pl.lit("width of a toy model"),
        law=pl.lit("width_inverse"),
        where_stated=pl.lit(f"{NOTEBOOK}, cell 15"),
        test_source=pl.lit("superposition"),
    )
