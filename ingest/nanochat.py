"""nanochat: compute-optimal sizes and tokens under three definitions of N (January 2026)."""

from __future__ import annotations

import re

import polars as pl

from ingest._long import measured, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

LOG, BOARD = "dev/LOG.md", "dev/LEADERBOARD.md"
COUNTS = {
    "Kaplan-style": "n_params_with_head",
    "Chinchilla-style": "n_params",
    "Transformer-only-style": "n_params_non_embedding",
}
ROW = re.compile(r"^(\de\+\d\d)\s+([\d,]+)\s+([\d,]+)\s+([\d.]+)\s+([\d.]+)$")
N_ROWS = 12

SOURCE = Source(
    source_id="nanochat",
    title="nanochat: scaling laws of a small chat model",
    authors="Andrej Karpathy",
    year=2026,
    repository="karpathy/nanochat",
    upstream_commit="92d63d4e8bb4df75c3b71618f31ddde2378b2bcd",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="bits_per_byte",
    n_definition="n_params_with_head",
    notes=(
        "Minima of quadratic fits at four budgets (1e18 to 1e19 FLOP), printed in a log for three ways of counting "
        "parameters (family): all matrices and the output head without embeddings ('kaplan'), all parameters "
        "('chinchilla'), and the matrices inside the layers ('transformer'). The same runs give three exponents of the "
        "optimal size. The runs themselves are not in the repository, and the fourth row of a family is no measured "
        "model but an optimum between models."
    ),
    bibtex=(
        "@misc{karpathy2025nanochat, title={nanochat}, author={Karpathy, Andrej}, year={2025}, howpublished={GitHub "
        "repository karpathy/nanochat}}"
    ),
    set_aside=(SetAside(BOARD, None, "a table of speed records of single trainings"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per budget and definition: the optimum."""
    rows, style = [], ""
    for line in raw.text(LOG).splitlines():
        heading = next((name for name in COUNTS if line.startswith(name)), None)
        style = heading or style
        match = ROW.match(line)
        if match and style:
            flops, size, tokens, _, loss = match.groups()
            rows.append(
                {
                    "family": style.split("-")[0].lower(),
                    COUNTS[style]: float(size.replace(",", "")),
                    "n_tokens": float(tokens.replace(",", "")),
                    "train_flops": float(flops),
                    "value": float(loss),
                }
            )
    raw.count(LOG, len(rows))
    require(f"nanochat, {LOG!r}", optima=(len(rows), N_ROWS))
    schema = dict.fromkeys(COUNTS.values(), pl.Float64)
    frame = pl.DataFrame(rows, infer_schema_length=None, schema_overrides=schema).with_row_index("raw_row", offset=1)
    frame = frame.with_columns(
        pl.col("raw_row").cast(pl.Int64),
        run_id=pl.format("nanochat/{}-{}e18", "family", (pl.col("train_flops") / 1e18).round().cast(pl.Int64)),
    )
    runs = frame.drop("raw_row", "value").with_columns(study=pl.lit("nanochat"), architecture=pl.lit("decoder"))
    evals = frame.select("run_id", "raw_row", "value")
    return {
        "runs": conform("runs", runs, "nanochat"),
        "evals": measured(
            "nanochat",
            evals,
            metric="bits_per_byte",
            unit="bits_per_byte",
            eval_set="validation",
            raw_file=LOG,
            raw_field="Val BPB",
            value_origin="derived",
        ),
    }
