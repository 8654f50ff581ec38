"""RL post-training of Qwen2.5: fits shipped with the repository, and errors of released models (arXiv 2509.25300)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, arxiv_entry, conform

FITS, LINES = "fits_exp1_postopenai.json", "sota_lines.json"
N_LINES, N_PARAMS = 10, 15
TITLE = "Scaling Behaviors of LLM Reinforcement Learning Post-Training: An Empirical Study in Mathematical Reasoning"
AUTHORS = "Zelin Tan and others"
TABLE_6: dict[str, tuple[float, float]] = {
    "base_compute": (0.1349, 13.09),
    "base_compute_to_32b": (0.1518, 17.37),
    "base_data": (0.1348, 11.52),
    "base_data_to_32b": (0.1631, 16.95),
    "instruct_compute": (0.1276, 17.27),
    "instruct_compute_to_32b": (0.1443, 28.33),
    "instruct_data": (0.1325, 17.08),
    "instruct_data_to_32b": (0.1484, 27.15),
}
"""K_max and N_0 (billions) by model kind and axis; those to 32B leave out the model of 72B."""

SOURCE = Source(
    source_id="rl_post_fits",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2509.25300",
    repository="tanzelin430/Mathematical-Reasoning-RL-Scaling-Law",
    upstream_commit="431002b965acfedaab3b8e1fff9941920d64ee15",
    licence="Apache-2.0 (file; the README says MIT)",
    redistribution="Apache-2.0 licence",
    headline_metric="error_rate",
    n_definition="n_params",
    not_upstream=(FITS, LINES),
    notes=(
        "Error on the held-out mathematical questions of the paper for ten released models of three kinds (family), by "
        "total size: the lines drawn for comparison. The parameters of one fit are claims: it is another form than the "
        "law of the paper, fitted to 626 points that are not in the repository, and its N0 sits on its bound of 5e8. "
        "Do not read them as coefficients of the paper. Those are the published sets of law rl_learning_efficiency: "
        "table 6, by compute or data and for base and instruct models, fitted to all sizes of Qwen2.5 or to those up "
        "to 32B. The intercept E(N) of each size is printed nowhere, so errors do not follow from them."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2509.25300"),
    published_fits=tuple(
        PublishedFit(
            law="rl_learning_efficiency",
            variant=name,
            params={"K_max": k_max, "N_0": 1e9 * n_0},
            where_stated=f"table 6 (appendix C.3): K_max = {k_max:g}, N_0 = {n_0:g} billion, converted to parameters",
            evidence="converted",
            output_unit="unitless",
            n_definition="n_params",
            is_default=name == "base_compute",
        )
        for name, (k_max, n_0) in TABLE_6.items()
    ),
    set_aside=(SetAside(FITS, N_PARAMS, "read into claims: parameters of a fit of another form"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Ten models, and the parameters of the fit."""
    lines: dict[str, Any] = json.loads(raw.text(LINES))
    points = [
        {"family": one["label"].removeprefix("Sota-"), "n_params": float(size), "value": error, "raw_field": label}
        for label, one in lines.items()
        for size, error in zip(one["x"], one["y"], strict=True)
    ]
    raw.count(LINES, len(points))
    (fit,) = json.loads(raw.text(FITS))["fits"]
    raw.count(FITS, len(fit["params"]))
    require("rl_post_fits", models=(len(points), N_LINES), parameters=(len(fit["params"]), N_PARAMS))
    rows = pl.DataFrame(points).with_row_index("raw_row", offset=1)
    rows = rows.with_columns(
        pl.col("raw_row").cast(pl.Int64),
        family=slug(pl.col("family")),
        run_id=pl.format(
            "rl_post_fits/{}-{}M", slug(pl.col("family")), (pl.col("n_params") / 1e6).round().cast(pl.Int64)
        ),
    )
    runs = rows.select(
        "run_id",
        "family",
        "n_params",
        study=pl.lit("rl_post_fits"),
        architecture=pl.when(pl.col("family").str.contains("moe"))
        .then(pl.lit("mixture-of-experts"))
        .otherwise(pl.lit("decoder")),
        is_instruct=pl.lit(value=True),
    )
    evals = rows.select("run_id", "raw_row", "value", "raw_field")
    claims = pl.DataFrame(
        [
            {
                "claim_id": f"2509.25300/fit_postopenai/{name}",
                "claim": f"parameter {name} of a fit of held-out error in RL compute, form 'postopenai'",
                "quantity": name,
                "value": float(value),
                "unit": "unitless",
                "varies": "model size and compute of reinforcement learning",
                "where_stated": FITS,
            }
            for name, value in fit["params"].items()
        ]
    )
    return {
        "runs": conform("runs", runs, "rl_post_fits"),
        "evals": measured(
            "rl_post_fits",
            evals,
            metric="error_rate",
            unit="fraction",
            eval_set="held_out_mathematics",
            raw_file=LINES,
        ),
        "claims": conform("claims", claims, "rl_post_fits"),
    }
