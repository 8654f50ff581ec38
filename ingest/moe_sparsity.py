"""Dense models made into mixtures of experts: 479 losses by size, sparsity and two token counts (arXiv 2502.03009)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError, RawFileError

FILE = "sparsity.csv"
COPY = "all_data.parquet"
N_RUNS = 479
N_ARCHITECTURES = 38
EXPERTS = {4: 152, 8: 255, 16: 55, 32: 17}
"""Runs with each number of experts."""

SOURCE = Source(
    source_id="moe_sparsity",
    title="Scaling Laws for Upcycling Mixture-of-Experts Language Models",
    authors="Seng Pei Liew, Takuya Kato, Sho Takase",
    year=2025,
    arxiv_id="2502.03009",
    repository="PlanarG/active-sl",
    upstream_commit="cf7992d0e78b5411863ecc25fedb07b050e38036",
    licence="none stated for the original data; the repository used here: MIT",
    redistribution="479 published numbers as our own table of facts with citation",
    headline_metric="loss",
    headline_eval_set="unstated",
    n_definition="n_params_active",
    not_upstream=(FILE, COPY),
    notes=(
        "Losses of upcycled mixtures of experts: a dense model (n_params_dense) was trained on n_tokens_pretrain "
        "tokens, copied into 4, 8, 16 or 32 experts of which 1, 2 or 4 are active, and trained on n_tokens more. "
        "n_params is the total and n_params_active the active count; whether embeddings are counted is not stated. "
        "The number of active experts is not in the file: it follows from the three counts (1 + (active - dense) / "
        "expert) to within 0.0003 of a whole number. The ratio total / active therefore takes 38 values and not the "
        "four of the names. n_tokens does not include the pre-training. Few runs are large (the two largest dense "
        "models have 8 experts only). The unit is taken to be nats per token. The evaluation text is not stated. The "
        "data come from the history of another project's repository, which removed them later and speaks of 480 rows; "
        "479 are there. Each combination of architecture and token counts occurs once."
    ),
    bibtex=(
        "@article{liew2025upcycling, title={Scaling Laws for Upcycling Mixture-of-Experts Language Models}, "
        "author={Liew, Seng Pei and Kato, Takuya and Takase, Sho}, journal={arXiv preprint arXiv:2502.03009}, "
        "year={2025}}"
    ),
    set_aside=(SetAside(COPY, N_RUNS, f"the same rows stand in {FILE}"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per row."""
    numbers = ("N_dense", "N_active", "N_total", "D1", "D2", "Loss")
    rows = raw.csv(FILE, {"Model": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=N_RUNS)
    _check_copy(raw, rows)
    rows = _with_experts(rows).with_columns(
        run_id=pl.format(
            "moe_sparsity/{}-top{}-{}M-then-{}M",
            "Model",
            pl.col("n_experts_active").cast(pl.Int64),
            (pl.col("D1") * 1e3).round().cast(pl.Int64),
            (pl.col("D2") * 1e3).round().cast(pl.Int64),
        )
    )
    runs = rows.select(
        "run_id",
        "n_experts",
        "n_experts_active",
        study=pl.lit("moe_sparsity"),
        model_name="Model",
        family=pl.lit("upcycled"),
        architecture=pl.lit("mixture-of-experts"),
        # the file counts in billions
        n_params=(pl.col("N_total") * 1e9).round(),
        n_params_active=(pl.col("N_active") * 1e9).round(),
        n_params_dense=(pl.col("N_dense") * 1e9).round(),
        n_tokens=(pl.col("D2") * 1e9).round(),
        n_tokens_pretrain=(pl.col("D1") * 1e9).round(),
    )
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens=(pl.col("D2") * 1e9).round(),
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        split=pl.lit("all"),
        value="Loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("Loss"),
    )
    return {"runs": conform("runs", runs, "moe_sparsity"), "evals": conform("evals", evals, "moe_sparsity")}


def _with_experts(rows: pl.DataFrame) -> pl.DataFrame:
    """Experts from the name, active ones from the parameter counts."""
    experts = pl.col("Model").str.extract(r"^(\d+)x_").cast(pl.Float64)
    one = (pl.col("N_total") - pl.col("N_dense")) / (experts - 1)
    rows = rows.with_columns(n_experts=experts, ratio=1 + (pl.col("N_active") - pl.col("N_dense")) / one)
    rows = rows.with_columns(n_experts_active=pl.col("ratio").round())
    counts = {int(number): count for number, count in rows.group_by("n_experts").len().rows()}
    whole = ((pl.col("ratio") - pl.col("n_experts_active")).abs() < 1e-3) & pl.col("n_experts_active").is_in(
        [1.0, 2.0, 4.0]
    )
    odd = rows.filter(~whole)
    architectures = rows.select("Model", "N_active").n_unique()
    if odd.height or counts != EXPERTS or architectures != N_ARCHITECTURES:
        raise DataError(
            f"moe_sparsity, {FILE!r}: {odd.height} row(s) without a whole number of active experts; runs by number "
            f"of experts {counts}, {architectures} architectures"
        )
    return rows


def _check_copy(raw: RawFolder, rows: pl.DataFrame) -> None:
    """Account for the second file: the same rows with the ratio of total to active parameters."""
    try:
        copy = pl.read_parquet(raw.path(COPY))
    except pl.exceptions.PolarsError as error:
        raise RawFileError(f"source 'moe_sparsity', raw file {COPY!r}: not readable: {error}") from error
    raw.count(COPY, copy.height)
    pairs = {"N_active": "N_active", "D1": "D1", "D2": "D2", "loss": "Loss"}
    both = rows.select(pairs.values(), P=pl.col("N_total") / pl.col("N_active"))
    if copy.height == rows.height:
        both = both.with_columns(copy.select(pl.all().name.prefix("copy ")))
        # the last digit depends on how a number was parsed
        close = [(pl.col(f"copy {name}") / pl.col(own) - 1).abs() < 1e-12 for name, own in (pairs | {"P": "P"}).items()]
        both = both.filter(~pl.all_horizontal(close))
    if both.height:
        raise DataError(f"moe_sparsity: {COPY!r} does not repeat {FILE!r}")
