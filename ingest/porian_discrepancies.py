"""IsoFLOP points of the step from Kaplan's to Chinchilla's exponents, 15 configurations (arXiv 2406.19146).

`POINTS` holds one interpolated loss a configuration, budget and size; `OPTIMA` the optimum of each
budget; `FITS` the authors' power laws through the optima. All were flattened from upstream's pickles.
"""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

POINTS, OPTIMA, FITS = ("_derived/isoflop_points.csv", "_derived/optimal_pairs.csv", "_derived/fit_results.csv")
N_POINTS, N_OPTIMA, N_MISSING_OPTIMA, N_FITS, N_SIZES = 1745, 177, 4, 15, 16
HEAD = 50_432
"""Rows of the output head: by it the sizes with and without head differ, per unit of width."""

N_COLUMN = {
    "kaplan": "n_params_non_embedding",
    "standard": "n_params_with_head",
    "attention": "n_params_effective",
}
"""What the source's N means under each of its three conventions."""
CORPORA = {"rw": "RefinedWeb", "owt2": "OpenWebText2"}
CONFIGURATION = ("dataset", "hparams", "warmup", "decay", "param_count", "loss_split")
LABEL = pl.concat_str(*CONFIGURATION[:5], separator="-")

SOURCE = Source(
    source_id="porian_discrepancies",
    title="Resolving Discrepancies in Compute-Optimal Scaling of Language Models",
    authors="Tomer Porian, Mitchell Wortsman, Jenia Jitsev, Ludwig Schmidt, Yair Carmon",
    year=2024,
    arxiv_id="2406.19146",
    repository="formll/resolving-scaling-law-discrepancies",
    upstream_commit="0dc60d91b8a525858a3067fc9e4a46ff5374cc6f",
    licence="MIT text (copyright line left as 'Scott Chacon and others')",
    redistribution="MIT licence; a few thousand published numbers as our own table with citation",
    headline_metric="loss",
    headline_eval_set="refinedweb_validation",
    n_definition="n_params_with_head",
    notes=(
        "A run is one isoFLOP point: a configuration, one of 16 sizes (15 in one configuration), one of 12 budgets "
        "from 1.25e16 to 2.56e19 FLOP; its loss was interpolated by the authors along training curves that are not "
        "released (experiment_results.pickle.xz is absent; value_origin 'derived'). A family is one configuration: "
        "corpus (rw, owt2), hyper-parameters (base, tuned), warm-up (long, short), decay of the learning rate (kaplan, "
        "chinchilla, const) and the way to count parameters. N means different things: 'kaplan' leaves the output head "
        "out (n_params_non_embedding), 'standard' counts it (n_params_with_head, the paper's choice), 'attention' adds "
        "the FLOP of attention (n_params_effective). train_flops is 6 N D with that N, so the same model at the same "
        "tokens has three values of it; never pool the conventions. Families that differ in the convention only look "
        "at the same training runs. n_params_non_embedding and n_params_with_head are filled for all points by "
        "matching the sorted sizes; under 'attention' the matched numbers are not the N of train_flops. Families of "
        "'kaplan' and 'attention' hold training losses, those of 'standard' validation losses on their own corpus. "
        "Study 'optima' holds the authors' optimum of each budget with the bootstrap deviations of ln N and ln D "
        "(those of ln D/N are twice those of ln N): no measurements, so all rows are flagged derived_optimum; a second "
        "loss that upstream interpolates along D, equal to the first within 0.007, is left out. Seven of 180 optima "
        "are missing: four at the two lowest budgets (rows without a number), and those of the highest budget in the "
        "three families of 'kaplan', which have no points there. Three points without a loss are left out by the raw "
        "file. The authors' power laws are claims: n and t are optimal parameters and tokens against FLOP, multiplier "
        "is D over N, 'basic' is unweighted least squares in logarithms, 'weighted' uses the deviations."
    ),
    bibtex=(
        "@inproceedings{porian2024resolving, title={Resolving Discrepancies in Compute-Optimal Scaling of Language "
        "Models}, author={Porian, Tomer and Wortsman, Mitchell and Jitsev, Jenia and Schmidt, Ludwig and Carmon, "
        "Yair}, booktitle={Advances in Neural Information Processing Systems}, volume={37}, year={2024}}"
    ),
    set_aside=(
        SetAside(OPTIMA, N_MISSING_OPTIMA, "optima without a number, at the two lowest budgets"),
        SetAside(FITS, N_FITS, "read into claims: the fitted numbers of one configuration per record"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per isoFLOP point, one flagged run per optimum, one claim per fitted number."""
    text: dict[str, type[pl.DataType]] = dict.fromkeys(CONFIGURATION, pl.String)
    numbers: dict[str, type[pl.DataType]] = dict.fromkeys(("flops", "n", "t", "loss"), pl.Float64)
    points = raw.csv(POINTS, text | numbers, rows=N_POINTS).with_columns(study=pl.lit("porian_discrepancies"))
    spread: dict[str, type[pl.DataType]] = {
        "n_star_std": pl.Float64,
        "t_star_std": pl.Float64,
        "loss_star_std": pl.Float64,
    }
    optima = raw.csv(OPTIMA, text | numbers | spread, rows=N_OPTIMA)
    optima = _found(optima).with_columns(study=pl.lit("optima"))
    _check(points)
    points = _with_counts(points)
    # an optimum lies between the sizes: it has the N of its convention only
    optima = optima.with_columns(
        pl.when(pl.col("param_count") == convention).then(pl.col("n")).alias(column)
        for convention, column in N_COLUMN.items()
    )
    rows = pl.concat([points, optima], how="diagonal").with_columns(
        family=LABEL,
        run_id=pl.format(
            "porian_discrepancies/{}/C{}-{}",
            pl.when(pl.col("study") == "optima").then(pl.format("{}/optima", LABEL)).otherwise(LABEL),
            pl.col("flops"),
            pl.when(pl.col("study") == "optima")
            .then(pl.lit("optimum"))
            .otherwise(pl.format("N{}", pl.col("n").cast(pl.Int64))),
        ),
    )
    return {
        "runs": conform("runs", _runs(rows), "porian_discrepancies"),
        "evals": conform("evals", _evals(rows), "porian_discrepancies"),
        "claims": conform("claims", _claims(raw), "porian_discrepancies"),
    }


def _found(optima: pl.DataFrame) -> pl.DataFrame:
    """The optima that exist; the rows without a number are counted, and stand at the two lowest budgets."""
    missing = optima.filter(pl.col("n").is_null())
    lowest = optima["flops"].unique().sort().head(2).implode()
    if missing.height != N_MISSING_OPTIMA or not missing["flops"].is_in(lowest).all():
        raise DataError(
            f"porian_discrepancies, {OPTIMA!r}: {missing.height} optima without a number (records "
            f"{missing['raw_row'].to_list()}), {N_MISSING_OPTIMA} at the two lowest budgets are expected"
        )
    return optima.filter(pl.col("n").is_not_null())


def _check(points: pl.DataFrame) -> None:
    """Check C = 6 N D under each convention, and that a point occurs once."""
    odd = points.filter((6 * pl.col("n") * pl.col("t") / pl.col("flops") - 1).abs() > 1e-9)
    copies = points.select(*CONFIGURATION, "flops", "n").is_duplicated().sum()
    if odd.height or copies:
        raise DataError(
            f"porian_discrepancies, {POINTS!r}: {odd.height} record(s) whose FLOP are not 6 N D, {copies} copies"
        )


def _with_counts(points: pl.DataFrame) -> pl.DataFrame:
    """Add the size of each model under the other conventions, matched in sorted order.

    Raises
    ------
    DataError
        If a convention does not have 16 sizes, or two sizes do not differ by a head of 50,432 rows.
    """
    sizes = {
        convention: points.filter(pl.col("param_count") == convention)["n"].unique().sort() for convention in N_COLUMN
    }
    table = pl.DataFrame(
        {N_COLUMN[convention]: values for convention, values in sizes.items() if len(values) == N_SIZES}
    )
    if table.width != len(N_COLUMN):
        raise DataError(f"porian_discrepancies: sizes a convention {[len(v) for v in sizes.values()]}, not {N_SIZES}")
    head = (table["n_params_with_head"] - table["n_params_non_embedding"]).cast(pl.Int64)
    if not (head % HEAD == 0).all():
        raise DataError(f"porian_discrepancies: sizes that do not differ by a head of {HEAD} rows: {head.to_list()}")
    table = table.with_columns(d_model=head // HEAD)
    parts = [
        points.filter(pl.col("param_count") == convention).join(
            table.with_columns(n=pl.col(column)), on="n", how="left", maintain_order="left"
        )
        for convention, column in N_COLUMN.items()
    ]
    effective = pl.when(pl.col("param_count") == "attention").then("n_params_effective")
    return pl.concat(parts).sort("raw_row").with_columns(n_params_effective=effective)


def _runs(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "run_id",
        "study",
        "family",
        "d_model",
        *N_COLUMN.values(),
        architecture=pl.lit("decoder"),
        log_n_params_std="n_star_std",
        log_n_tokens_std="t_star_std",
        n_tokens="t",
        train_flops="flops",
        corpus=pl.col("dataset").replace_strict(CORPORA),
        tokenizer_id=pl.lit("gpt-neox-20b"),
        schedule_name=pl.format("{} decay, {} warm-up", "decay", "warmup"),
    )


def _evals(rows: pl.DataFrame) -> pl.DataFrame:
    is_train, is_optimum = pl.col("loss_split") == "train", pl.col("study") == "optima"
    return rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens="t",
        metric=pl.when(is_train).then(pl.lit("train_loss")).otherwise(pl.lit("loss")),
        eval_set=pl.when(is_train)
        .then(pl.lit("train"))
        .otherwise(pl.format("{}_validation", pl.col("dataset").replace_strict(CORPORA).str.to_lowercase())),
        split=pl.lit("all"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        std_error="loss_star_std",
        value_origin=pl.lit("derived"),
        flag=pl.when(is_optimum).then(pl.lit("derived_optimum")),
        flag_reason=pl.when(is_optimum).then(
            pl.lit("optimum that the authors interpolated from the points of its budget; set aside here, not a run")
        ),
        raw_field=pl.lit("loss"),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    """The fitted numbers of each configuration."""
    numbers = [
        f"{kind}_{name}"
        for kind in ("basic", "weighted")
        for name in (
            *(f"{what}_{number}" for what in ("n", "t", "multiplier") for number in ("exponent", "coef", "r2")),
            "A",
            "E",
            "alpha",
        )
    ]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(CONFIGURATION, pl.String)
    fits = raw.csv(FITS, columns | dict.fromkeys(numbers, pl.Float64), rows=N_FITS).with_columns(label=LABEL)
    return (
        fits.unpivot(numbers, index=["label"], variable_name="quantity", value_name="value")
        .drop_nulls("value")
        .select(
            "quantity",
            "value",
            claim_id=pl.format("2406.19146/{}/{}", "label", "quantity"),
            claim=pl.format(
                "Compute-optimal models of configuration {}: the fitted {} is {}", "label", "quantity", "value"
            ),
            unit=pl.lit("unitless"),
            varies=pl.lit("training compute"),
            where_stated=pl.lit("data/*.pickle.xz of the repository (summary_df and its variants)"),
            test_source=pl.lit("porian_discrepancies"),
        )
    )
