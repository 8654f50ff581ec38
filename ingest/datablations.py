"""Repeated training data: 307 GPT-2-like models on C4, 1 to 9,000 epochs (arXiv 2305.16264)."""

from __future__ import annotations

import math

import polars as pl

from ingest._model_ids import run_of
from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

FILE = "_derived/c4_val_losses.csv"
N_RUNS = 307
FAMILIES = {"c4": 229, "c4-dedup": 12, "c4-seeds": 64, "c4-variants": 2}
"""Runs of each family."""

SOURCE = Source(
    source_id="datablations",
    title="Scaling Data-Constrained Language Models",
    authors=(
        "Niklas Muennighoff, Alexander M. Rush, Boaz Barak, Teven Le Scao, Aleksandra Piktus, Nouamane Tazi, Sampo "
        "Pyysalo, Thomas Wolf, Colin Raffel"
    ),
    year=2023,
    arxiv_id="2305.16264",
    repository="huggingface/datablations",
    upstream_commit="13701315b163f1c54642b94ad237b2699187c3ee",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; 307 published losses as our own table with citation",
    headline_metric="loss",
    headline_eval_set="c4_validation",
    n_definition="n_params",
    notes=(
        "The losses are a literal of the notebook plotstables/return_alloc.ipynb (316 names; nine with loss 0, which "
        "are unfinished, are left out by the raw file). Fit family 'c4' alone: the 229 runs of the main grid, 20 sizes "
        "from 7.1M to 8.67B, 33 runs with one epoch. The other families are 64 runs with a numbered seed (four seeds "
        "of 16 settings of 2.8B and 4.2B), 12 runs on deduplicated text, and two with another shape or regularisation "
        "('opt' in the name). Sizes follow upstream's map and not the names: 25m means 35.5M, 220m and 221m are one "
        "size. n_params counts embeddings, as upstream lists it. Runs with hundreds of epochs diverge (losses to 11), "
        "small ones show double descent: all 229 points together fit no published form well (R2 0.365 for the paper's "
        "law). 83m32b100m and 83m60b100m have the same loss to seven digits, probably one copied; which is not known, "
        "so both are kept. The paper fits 182 runs and describes which (up to 500 epochs, without runs that excess "
        "parameters or epochs hurt), but does not list them, so its R_D* and R_N* cannot be reproduced exactly: on the "
        "190 runs with a loss below 4.5 the summed Huber objective (delta 1e-3, log loss) is 0.01477 at the published "
        "pair and 0.01451 at 21.1 and 2.46. The set 'datablations' of the Chinchilla law holds the five constants that "
        "the paper's law applies to effective parameters and tokens. They were fitted, with equal exponents, to 54 "
        "dots read off an IsoFLOP figure of arXiv 2203.15556 (utils/parametric_fit.ipynb) and not to these runs, and "
        "were held while the decay was fitted. On actual parameters and tokens the set is right only where nothing is "
        "repeated and the model is not too large for its unique tokens (elsewhere it predicts too low). Law "
        "muennighoff_repeat is the whole: L = E + A / N'^alpha + B / D'^beta with U unique tokens, R_D = max(D / U - "
        "1, 0), D' = U + U rd (1 - exp(-R_D / rd)), and in the same way U_N the smaller of N and the optimal size for "
        "U (0.051 U), R_N = N / U_N - 1, N' = U_N + U_N rn (1 - exp(-R_N / rn)); rd and rn are the paper's R_D* and "
        "R_N*. The same 229 points stand in source hitchhiker, study datablations_points, with one other loss "
        "(7m100m100m: 8.102005 against 8.107364 here); use this source. The curves of the larger models and the code "
        "mixtures are in hitchhiker."
    ),
    bibtex=(
        "@inproceedings{muennighoff2023scaling, title={Scaling Data-Constrained Language Models}, author={Muennighoff, "
        "Niklas and Rush, Alexander M. and Barak, Boaz and Le Scao, Teven and Piktus, Aleksandra and Tazi, Nouamane "
        "and Pyysalo, Sampo and Wolf, Thomas and Raffel, Colin}, booktitle={Advances in Neural Information Processing "
        "Systems}, volume={36}, year={2023}}"
    ),
    published_fits=(
        PublishedFit(
            law="chinchilla",
            variant="datablations",
            params={
                "E": math.exp(0.6254804),
                "A": math.exp(6.255414),
                "B": math.exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
            },
            where_stated=(
                "plotstables/return_alloc.ipynb: log E 0.6254804, log A 6.255414, log B 7.3049974, alpha = beta; in "
                "the paper's law N and D are effective numbers, below the actual ones for repeats and excess parameters"
            ),
            evidence="converted",
            output_unit="nats_per_token",
            n_definition="n_params",
        ),
        PublishedFit(
            law="muennighoff_repeat",
            variant="datablations",
            params={
                "E": math.exp(0.6254804),
                "A": math.exp(6.255414),
                "B": math.exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
                "rd": 15.387756,
                "rn": 5.309743,
            },
            where_stated=(
                "plotstables/return_alloc.ipynb, logarithms of E, A, B; arXiv 2305.16264, eq. 16 to 20 (form in the "
                "source's notes)"
            ),
            evidence="converted",
            output_unit="nats_per_token",
            n_definition="n_params",
            is_default=True,
        ),
    ),
)

CLAIMS = (
    ("r_d_star", 15.387756, "epochs", "R_D*, the number of repetitions at which repeated tokens lose their value"),
    ("r_n_star", 5.309743, "unitless", "R_N*, the same constant for excess parameters"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per name."""
    points = raw.csv(
        FILE,
        {
            "name": pl.String,
            "params": pl.Float64,
            "tokens": pl.Float64,
            "unique_tokens": pl.Float64,
            "epochs": pl.Float64,
            "c4_val_loss": pl.Float64,
            "deduplicated": pl.Boolean,
            "seed": pl.Float64,
            "shape_or_reg_variant": pl.Boolean,
        },
        rows=N_RUNS,
    ).with_columns(
        run_id=pl.concat_str(pl.lit("datablations/"), "name"),
        family=pl.when("deduplicated")
        .then(pl.lit("c4-dedup"))
        .when("shape_or_reg_variant")
        .then(pl.lit("c4-variants"))
        .when(pl.col("seed").is_not_null())
        .then(pl.lit("c4-seeds"))
        .otherwise(pl.lit("c4")),
    )
    _check(points)
    runs = points.select(
        "run_id",
        "family",
        model_name="name",
        model_id=run_of("datablations", pl.col("name")),
        study=pl.lit("datablations"),
        architecture=pl.lit("decoder"),
        n_params="params",
        n_tokens="tokens",
        n_tokens_unique="unique_tokens",
        n_epochs="epochs",
        corpus=pl.lit("C4"),
        dataset_dedup="deduplicated",
        tokenizer_id=pl.lit("gpt2"),
        seed=pl.col("seed").cast(pl.Int64),
    )
    evals = points.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens="tokens",
        metric=pl.lit("loss"),
        eval_set=pl.lit("c4_validation"),
        split=pl.lit("all"),
        value="c4_val_loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("c4_val_loss"),
    )
    return {
        "runs": conform("runs", runs, "datablations"),
        "evals": conform("evals", evals, "datablations"),
        "claims": conform("claims", _claims(), "datablations"),
    }


def _check(points: pl.DataFrame) -> None:
    """Check the family sizes, that epochs are tokens over unique tokens, and that no loss is a placeholder."""
    families = dict(points.group_by("family").len().rows())
    if families != FAMILIES:
        raise DataError(f"datablations, {FILE!r}: runs of each family {families}, expected {FAMILIES}")
    odd = points.filter(
        ((pl.col("tokens") / pl.col("unique_tokens") - pl.col("epochs")).abs() > 1e-9 * pl.col("epochs"))
        | (pl.col("c4_val_loss") <= 0)
    )
    if odd.height:
        raise DataError(
            f"datablations, {FILE!r}: {odd.height} record(s) with a loss of 0 or with epochs that are not tokens over "
            f"unique tokens, first {odd['raw_row'][0]}"
        )


def _claims() -> pl.DataFrame:
    """The two constants of the data-constrained law, which no smaller law has."""
    return pl.DataFrame(
        [
            {
                "claim_id": f"2305.16264/{slug}",
                "claim": f"In the data-constrained law, {meaning}, is {value}",
                "quantity": slug,
                "value": value,
                "unit": unit,
                "varies": "epochs and model size at given unique tokens",
                "where_stated": "plotstables/return_alloc.ipynb",
                "test_source": "datablations",
            }
            for slug, value, unit, meaning in CLAIMS
        ]
    )
