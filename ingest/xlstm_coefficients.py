"""xLSTM scaling laws: coefficients of a coupled law for Transformers and xLSTM (arXiv 2510.02228). No runs."""

from __future__ import annotations

import math

import polars as pl

from ingest._long import require
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, arxiv_entry

FILE, N_ROWS = "coupled_law_coefficients.csv", 12
FULL = {
    "Transformer": {
        "a": 14.445072,
        "b": 16.329536,
        "e": 0.090102,
        "alpha": 0.644827,
        "beta": 0.625879,
        "gamma": 0.253203,
    },
    "xLSTM": {"a": 15.457385, "b": 16.52583, "e": 0.176768, "alpha": 0.705822, "beta": 0.653441, "gamma": 0.2578},
}
TITLE = "xLSTM Scaling Laws: Competitive Performance with Linear Time-Complexity"
AUTHORS = "Maximilian Beck, Kajetan Schweighofer, Sebastian B\u00f6ck, Sebastian Lehner, Sepp Hochreiter"

SOURCE = Source(
    source_id="xlstm_coefficients",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2510.02228",
    repository="NX-AI/xlstm_scaling_laws",
    upstream_commit="604bb3062d3a7681bb33e467108cb0a6f81267fc",
    licence="none seen",
    redistribution="printed coefficients of two fits as our own table of facts with citation",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "No runs: those of the repository are pickles, which were not read. Coefficients of L = exp(e) + (exp(a) "
        "N^-alpha + exp(b) D^-beta)^gamma as printed by a notebook, for Transformers and xLSTM at a context of 8,192 "
        "tokens; E, A and B of the stored sets are the exponentials. Ten more sets for other widths of the Huber loss "
        "are "
        "printed to two decimals, too few for exponents of numbers of this size."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2510.02228"),
    published_fits=tuple(
        PublishedFit(
            law="chinchilla_coupled",
            variant=f"beck_{model.lower()}",
            params={
                "E": math.exp(values["e"]),
                "A": math.exp(values["a"]),
                "B": math.exp(values["b"]),
                **{name: values[name] for name in ("alpha", "beta", "gamma")},
            },
            where_stated="notebooks/paper_plots/lnd_pareto_combined.ipynb, cell 10: exp of the printed e, a and b",
            evidence="converted",
            output_unit="nats_per_token",
            n_definition="n_params",
        )
        for model, values in FULL.items()
    ),
    set_aside=(
        SetAside(FILE, len(FULL), "read into published_fits: the sets that are printed in full"),
        SetAside(FILE, N_ROWS - len(FULL), "sets for other widths of the Huber loss, printed to two decimals"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Nothing but a check: the published sets are what the file prints."""
    names = ("a", "b", "e", "alpha", "beta", "gamma")
    rows = raw.csv(
        FILE,
        {"model": pl.String, "digits": pl.String, **dict.fromkeys(names, pl.Float64)},
        rows=N_ROWS,
        comments=1,
    ).filter(pl.col("digits").str.starts_with("full"))
    printed = {row["model"]: {name: row[name] for name in names} for row in rows.iter_rows(named=True)}
    require(f"xlstm_coefficients, {FILE!r}", sets=(printed, {m: {n: v[n] for n in names} for m, v in FULL.items()}))
    return {}
