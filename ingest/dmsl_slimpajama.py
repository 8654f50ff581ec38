"""Mixtures of SlimPajama: 61 mixtures at six sizes, losses on seven domains by tokens."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require
from ingest._raw import RawFolder
from ingest._source import Source, conform

FILE, N_ROWS, N_MIXTURES = "data/dmsl_llm_slimpajama.csv", 2452, 61
DOMAINS = ("arxiv", "book", "c4", "github", "commoncrawl", "stackexchange", "wikipedia")
OTHER = "openhermes"

SOURCE = Source(
    source_id="dmsl_slimpajama",
    title="Explaining Data Mixing Scaling Laws: losses on mixtures of SlimPajama",
    authors="the authors of the repository meiqwq/Explaining-Data-Mixing-Scaling-Laws",
    year=2026,
    repository="meiqwq/Explaining-Data-Mixing-Scaling-Laws",
    upstream_commit="c2bf1106e8e54b8d368cd6de2515d4804f1c8a36",
    licence="none stated",
    is_shipped=False,
    redistribution="about 19,600 losses under no stated licence: built locally from the raw file, not shipped",
    headline_metric="loss",
    headline_eval_set="c4",
    n_definition="n_params",
    notes=(
        "One run per mixture of seven domains and size (122M to 2.7B parameters), with losses in nats per token on the "
        "seven domains and on OpenHermes at several numbers of tokens (2B to 104B). Checkpoints of a run are not "
        "independent (step numbers them); whether each was annealed is not said. The table seems to come from other "
        "work, which the "
        "repository does not name."
    ),
    bibtex=(
        "@misc{dmsl2026, title={Explaining Data Mixing Scaling Laws}, howpublished={GitHub repository "
        "meiqwq/Explaining-Data-Mixing-Scaling-Laws}, year={2026}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Runs, shares, and losses at every checkpoint."""
    weights = [f"weight_{name}" for name in DOMAINS]
    losses = [f"{name}_loss" for name in (*DOMAINS, OTHER)]
    rows = raw.csv(
        FILE, dict.fromkeys((*weights, "model_size", "n_tokens", *losses), pl.Float64), rows=N_ROWS
    ).with_columns(mixture=pl.format("mixture-{}", pl.struct(weights).rank("dense").cast(pl.Int64)))
    off = (pl.sum_horizontal(weights) - 1).abs() > 1e-6
    require(
        f"dmsl_slimpajama, {FILE!r}",
        mixtures=(rows["mixture"].n_unique(), N_MIXTURES),
        mixtures_that_do_not_add_up_to_one=(rows.filter(off).height, 0),
    )
    rows = rows.with_columns(
        run_id=pl.format("dmsl_slimpajama/{}M/{}", (pl.col("model_size") / 1e6).round().cast(pl.Int64), "mixture")
    )
    ends = rows.sort("n_tokens").unique("run_id", keep="last", maintain_order=True)
    runs = ends.select(
        "run_id",
        "n_tokens",
        "mixture",
        study=pl.lit("dmsl_slimpajama"),
        family=pl.format("{}m", (pl.col("model_size") / 1e6).round().cast(pl.Int64)),
        architecture=pl.lit("decoder"),
        n_params="model_size",
        corpus=pl.lit("SlimPajama, seven domains"),
    )
    mixtures = melt(
        ends, ["run_id", "raw_file", "raw_row"], [{"raw_field": f"weight_{name}", "domain": name} for name in DOMAINS]
    )
    fields = [{"raw_field": f"{name}_loss", "eval_set": name} for name in (*DOMAINS, OTHER)]
    evals = melt(rows, ["run_id", "n_tokens", "raw_file", "raw_row"], fields).with_columns(
        step=pl.col("n_tokens").rank("dense").over("run_id").cast(pl.Float64)
    )
    return {
        "runs": conform("runs", runs, "dmsl_slimpajama"),
        "mixtures": conform("mixtures", mixtures.drop("raw_field").rename({"value": "share"}), "dmsl_slimpajama"),
        "evals": measured("dmsl_slimpajama", evals, metric="loss", unit="nats_per_token"),
    }
