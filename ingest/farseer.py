"""Farseer's grid: 411 single-epoch runs of one recipe, 0.1B to 25B parameters (arXiv 2506.10972).

Two re-users published the same runs: one with the English loss in bits per character, one with the
architecture, the hyper-parameters and the training loss. `MERGED` holds both, joined on (N, D);
`COPY` is the second of the two as it was published, and the build checks one against the other.
"""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

MERGED = "farseer_runs_merged.csv"
COPY = "rescal_dense1_runs.csv"
N_RUNS = 411
N_DUPLICATES = 4
CONTEXT = 2048
"""Tokens of one sequence; the batch size is given in sequences."""
VOCABULARY = 65_536

NUMBERS = {
    "n_non_embedding": "N",
    "tokens": "D",
    "h": "h",
    "ffnh": "ffnh",
    "numh": "numh",
    "numl": "numl",
    "peak_lr": "lr",
    "batch_size_sequences": "bs",
    "iters": "ti",
    "flops_per_token": "M",
    "train_flops": "C",
    "n_with_embedding": "N_add_emb",
    "train_loss_nats": "loss",
}
"""Quantities that both files hold: name in `MERGED`, name in `COPY`."""

SOURCE = Source(
    source_id="farseer",
    title="Predictable Scale: Part II, Farseer: A Refined Scaling Law in Large Language Models",
    authors=(
        "Houyi Li, Wenzhen Zheng, Qiufeng Wang, Zhenyu Ding, Haoying Wang, Zili Wang, Shijie Xuyang, Ning Ding, "
        "Shuigeng Zhou, Xiangyu Zhang, Daxin Jiang"
    ),
    year=2025,
    arxiv_id="2506.10972",
    repository="PlanarG/active-sl",
    upstream_commit="e0a58ffde4f6fdfb20880d47d6d180fdbcb1440d",
    licence="none stated for the original table; the copy used here: MIT, data card CC BY 4.0",
    redistribution="411 published runs as our own table of facts with citation; no file of a repository is shipped",
    headline_metric="bits_per_character",
    headline_eval_set="english_validation",
    n_definition="n_params_non_embedding",
    not_upstream=(MERGED, COPY, "published_figures.json"),
    notes=(
        "The authors' repository could not be obtained. The runs come from PlanarG/active-sl (English bits per "
        "character) and Anony0110/ReScaL at 86c81eab85976550bd50c2f18a7f64021f9a3ff9 (architecture, hyper-parameters, "
        "training loss), joined on exactly equal N and D; all quantities that both files hold agree in all rows. "
        "Published figures come from the authors' project page. Two outputs with different floors: "
        "bits_per_character on English validation text, which the paper fits, and train_loss in nats per token; never "
        "pool them. N excludes both embeddings (65,536 rows each, untied); n_params counts them and changes the "
        "exponents strongly. Four runs stand twice with identical values: the second copy is flagged exact_duplicate "
        "(404 fit rows, 400 distinct; 407 distinct runs in all). The paper's counts of fit points include the copies, "
        "so the 341 fit rows with N > 2e8 are 337 distinct runs. The paper fits N > 2e8 only, which drops four of the "
        "25 sizes. Split 'validation' holds the seven runs that test the law; six of them are in the paper's figure. "
        "Learning rate and batch follow the Step Law formulas and carry no information of their own; one recipe, no "
        "replicates, single epoch. Variant 'printed' is the equation as printed with three digits: its mean error on "
        "the 341 rows is 2.5 % (2.8 % on the validation runs) against 0.18 % (0.48 %) of the full-precision variant "
        "'published', because a2 N^beta, about 10, is itself an exponent; use 'published'."
    ),
    bibtex=(
        "@article{li2025farseer, title={Predictable Scale: Part {II}, {Farseer}: A Refined Scaling Law in Large "
        "Language Models}, author={Li, Houyi and Zheng, Wenzhen and Wang, Qiufeng and Ding, Zhenyu and Wang, Haoying "
        "and Wang, Zili and Xuyang, Shijie and Ding, Ning and Zhou, Shuigeng and Zhang, Xiangyu and Jiang, Daxin}, "
        "journal={arXiv preprint arXiv:2506.10972}, year={2025}}"
    ),
    published_fits=(
        PublishedFit(
            law="farseer",
            variant="published",
            params={
                "a3": -0.062465473,
                "gamma": 0.13,
                "b3": 0.1284880679442551,
                "a2": 230.73437075885855,
                "beta": -0.1729,
                "b2": -1.544209554,
                "a1": -1.665630816,
                "alpha": 0.0458999999999619,
                "b1": 3.133347198805445,
            },
            where_stated=(
                "the authors' coefficients to all digits as a public benchmark quotes them (published_figures.json); "
                "they give the six errors of Figure 3 to the printed digit: mean error 0.48 % on the validation runs"
            ),
            evidence="second_hand",
            output_unit="bits_per_character",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
        PublishedFit(
            law="farseer",
            variant="printed",
            params={
                "a3": -0.021,
                "gamma": 0.169,
                "b3": -0.091,
                "a2": 88.01,
                "beta": -0.1,
                "b2": -6.287,
                "a1": -0.124,
                "alpha": 0.123,
                "b1": 0.424,
            },
            where_stated=(
                "arXiv 2506.10972, eq. 15, three digits, too few for this form: mean error 2.81 % on the validation "
                "runs"
            ),
            evidence="read",
            output_unit="bits_per_character",
            n_definition="n_params_non_embedding",
        ),
    ),
    set_aside=(
        SetAside(COPY, N_RUNS, f"the same runs stand in {MERGED}; every number agrees"),
        SetAside("published_figures.json", None, "figures of the authors' project page, read into published_fits"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per row, two losses per run; the second copy of a run is flagged."""
    numbers: dict[str, type[pl.DataType]] = dict.fromkeys(NUMBERS, pl.Float64)
    own: dict[str, type[pl.DataType]] = {
        "run_id": pl.String,
        "split": pl.String,
        "is_exact_duplicate": pl.Boolean,
        "bpc_en": pl.Float64,
    }
    merged = raw.csv(MERGED, own | numbers, rows=N_RUNS)
    copy = raw.csv(COPY, dict.fromkeys(NUMBERS.values(), pl.Float64), rows=N_RUNS)
    _check_agreement(merged, copy)
    points = _with_duplicates(merged).with_columns(
        model_name="run_id", run_id=pl.concat_str(pl.lit("farseer/"), pl.col("run_id").str.strip_prefix("farseer-"))
    )
    odd = points.filter(pl.col("n_with_embedding") != pl.col("n_non_embedding") + 2 * VOCABULARY * pl.col("h"))
    if odd.height:
        raise DataError(
            f"farseer, {MERGED!r}: {odd.height} row(s) where N with embeddings is not N + 2 x {VOCABULARY} x h, "
            f"first record {odd['raw_row'][0]}"
        )
    runs = points.select(
        "run_id",
        "model_name",
        study=pl.lit("farseer"),
        family=pl.lit("farseer"),
        architecture=pl.lit("decoder"),
        n_params="n_with_embedding",
        n_params_non_embedding="n_non_embedding",
        n_tokens="tokens",
        n_epochs=pl.lit(1.0),
        train_flops="train_flops",
        flops_per_token="flops_per_token",
        tokenizer_id=pl.lit("farseer"),
        vocab_size=pl.lit(float(VOCABULARY)),
        context_length=pl.lit(float(CONTEXT)),
        d_model="h",
        d_ff="ffnh",
        n_layers="numl",
        n_heads="numh",
        learning_rate="peak_lr",
        batch_size_tokens=pl.col("batch_size_sequences") * CONTEXT,
        n_steps="iters",
    )
    evals = pl.concat(
        [
            _loss(points, "bits_per_character", "english_validation", "bits_per_character", "bpc_en"),
            _loss(points, "train_loss", "train", "nats_per_token", "train_loss_nats"),
        ]
    )
    return {"runs": conform("runs", runs, "farseer"), "evals": conform("evals", evals, "farseer")}


def _loss(points: pl.DataFrame, metric: str, eval_set: str, unit: str, column: str) -> pl.DataFrame:
    return points.select(
        "run_id",
        n_tokens="tokens",
        metric=pl.lit(metric),
        eval_set=pl.lit(eval_set),
        split="split",
        value=column,
        unit=pl.lit(unit),
        value_origin=pl.lit("reported"),
        flag="flag",
        flag_reason="flag_reason",
        raw_file="raw_file",
        raw_row="raw_row",
        raw_field=pl.lit(column),
    )


def _with_duplicates(merged: pl.DataFrame) -> pl.DataFrame:
    """Flag the second copy of a run, after checking that exactly the marked rows are copies."""
    values = [*NUMBERS, "bpc_en", "split"]
    is_copy = ~pl.struct(values).is_first_distinct()
    key_is_copy = ~pl.struct("n_non_embedding", "tokens").is_first_distinct()
    marked = merged["is_exact_duplicate"]
    copies, repeated = (merged.select(is_copy).to_series(), merged.select(key_is_copy).to_series())
    # validation runs continue sizes of the fit grid but never repeat an (N, D) pair, so the two tests must agree
    if not (marked.equals(copies) and copies.equals(repeated) and marked.sum() == N_DUPLICATES):
        raise DataError(
            f"farseer, {MERGED!r}: {marked.sum()} row(s) are marked as copies, {copies.sum()} equal an earlier row, "
            f"{repeated.sum()} repeat its (N, D); {N_DUPLICATES} of each are expected"
        )
    first = pl.col("raw_row").first().over(values).cast(pl.String)
    return merged.with_columns(
        flag=pl.when("is_exact_duplicate").then(pl.lit("exact_duplicate")),
        flag_reason=pl.when("is_exact_duplicate").then(
            pl.concat_str(
                pl.lit("every value equals record "),
                first,
                pl.lit(
                    " of the same file; set aside here so that a run counts once, although the paper counts it twice"
                ),
            )
        ),
    )


def _check_agreement(merged: pl.DataFrame, copy: pl.DataFrame) -> None:
    """Compare the two published copies of the runs, number by number.

    Raises
    ------
    DataError
        Naming the records of `MERGED` that have no partner or another value in `COPY`.
    """
    partner = copy.rename({theirs: f"{ours}_copy" for ours, theirs in NUMBERS.items()}).with_columns(
        n_non_embedding=pl.col("n_non_embedding_copy"), tokens=pl.col("tokens_copy")
    )
    key = ["n_non_embedding", "tokens"]
    joined = merged.join(partner.drop("raw_file", "raw_row").unique(maintain_order=True), on=key, how="left")
    differs = [pl.col(name).ne_missing(pl.col(f"{name}_copy")) for name in NUMBERS]
    faults = joined.filter(pl.any_horizontal(differs))
    lonely = partner.join(merged, on=key, how="anti")
    if faults.height or lonely.height or joined.height != merged.height:
        records = ", ".join(str(row) for row in faults["raw_row"].head(10))
        raise DataError(
            f"farseer: {MERGED!r} and {COPY!r} disagree in {faults.height} record(s) of the first ({records}); "
            f"{lonely.height} record(s) of the second have no partner"
        )
