"""Patchification: ImageNet accuracy by the number of tokens of an image (arXiv 2502.03738)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "imagenet_accuracy_by_patch_size.csv", 30
TITLE = "Scaling Laws in Patchification: An Image Is Worth 50,176 Tokens And More"
AUTHORS = "Feng Wang, Yaodong Yu, Guoyizhe Wei and others"

SOURCE = Source(
    source_id="patchification",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2502.03738",
    licence="none stated",
    redistribution="30 printed accuracies as our own table of facts with citation",
    headline_metric="acc",
    headline_eval_set="imagenet1k",
    not_upstream=(FILE,),
    notes=(
        "Top-1 accuracy on ImageNet-1k of vision models by input size and patch size: tokens_per_sample is (input / "
        "patch)^2, from 16 to 50,176. The family is model and input size: along it only the patch shrinks. "
        "Accuracy is roughly linear in the logarithm of the tokens, and gains shrink below patches of four pixels. "
        "DeiT at 128 pixels was not trained with patches of one pixel. Parameters are not printed, so that "
        "n_definition is null. Table 1; Small and Tiny are from the repository's README."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2502.03738"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One model per run."""
    numbers = ("input_size_px", "patch_size_px", "tokens_per_image", "imagenet1k_top1_percent")
    rows = raw.csv(FILE, {"model": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=N_ROWS, comments=1)
    tokens = (pl.col("input_size_px") / pl.col("patch_size_px")) ** 2
    require(
        f"patchification, {FILE!r}",
        tokens_that_are_no_square=(rows.filter(tokens != pl.col("tokens_per_image")).height, 0),
    )
    name = pl.format("{}-{}", slug(pl.col("model")), pl.col("input_size_px").cast(pl.Int64))
    rows = rows.with_columns(
        family=name, run_id=pl.format("patchification/{}-{}", name, pl.col("patch_size_px").cast(pl.Int64))
    )
    runs = rows.select(
        "run_id",
        "family",
        study=pl.lit("patchification"),
        model_name="model",
        architecture=pl.lit("vision"),
        tokens_per_sample="tokens_per_image",
    )
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        value=pl.col("imagenet1k_top1_percent") / 100,
        raw_field=pl.lit("imagenet1k_top1_percent"),
    )
    return {
        "runs": conform("runs", runs, "patchification"),
        "evals": measured("patchification", evals, metric="acc", unit="fraction", eval_set="imagenet1k"),
    }
