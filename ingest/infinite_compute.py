"""Repeated data with and without regularisation, and ensembles: accuracy on three tasks (arXiv 2509.14786)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "downstream_accuracy.csv", 40
ITEMS = {"arc_easy_acc": ("arc_easy", 2376.0), "piqa_acc": ("piqa", 1838.0), "sciq_acc": ("sciq", 1000.0)}
UNITS = {"M": 1e6, "B": 1e9}
TITLE = "Pre-training under infinite compute"
AUTHORS = "Konwoo Kim, Suhas Kotha, Percy Liang, Tatsunori Hashimoto"

SOURCE = Source(
    source_id="infinite_compute",
    title=f"{TITLE}: downstream accuracy",
    authors=AUTHORS,
    year=2025,
    arxiv_id="2509.14786",
    repository="marin-community/marin",
    upstream_commit="7b1688bc791c722ff29876166ccec5ededc196ff",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Models of 150M to 1.4B parameters (labels) on 210 million unique tokens: ensembles of one to five members at "
        "tuned settings (family 'ensemble'; n_streams is the number of members), and 300M models over 1 to 128 epochs "
        "with a weight decay of 0.1 ('plain') or 1.6 ('regularised'). n_tokens is unique tokens times epochs, for one "
        "member. Every accuracy is a count over the items of its task. The losses of the paper are not in the "
        "repository; its coefficients are with source kim_infinite_compute."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2509.14786"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, epochs, weight decay and number of members."""
    numbers = ("epochs", "learning_rate", "weight_decay", "ensemble_members", "unique_tokens", *ITEMS)
    text = dict.fromkeys(("n_params_label", "source_file"), pl.String)
    rows = raw.csv(FILE, {**text, **dict.fromkeys(numbers, pl.Float64)}, rows=N_ROWS, comments=1)
    curves = pl.col("source_file").str.starts_with("wd_overfitting")
    label = pl.col("n_params_label")
    rows = rows.with_columns(
        family=pl.when(~curves)
        .then(pl.lit("ensemble"))
        .when(pl.col("weight_decay") < 1)
        .then(pl.lit("plain"))
        .otherwise(pl.lit("regularised")),
        n_params=label.str.head(-1).cast(pl.Float64) * label.str.tail(1).replace_strict(UNITS),
    ).with_columns(
        run_id=pl.format(
            "infinite_compute/{}/{}-{}epochs-wd{}-{}",
            "family",
            "n_params_label",
            pl.col("epochs").cast(pl.Int64),
            "weight_decay",
            pl.col("ensemble_members").cast(pl.Int64),
        )
    )
    counts = [(pl.col(name) * n - (pl.col(name) * n).round()).abs() for name, (_, n) in ITEMS.items()]
    require(
        f"infinite_compute, {FILE!r}",
        shares_that_are_no_counts=(rows.filter(pl.max_horizontal(counts) > 1e-6).height, 0),
    )
    runs = rows.select(
        "run_id",
        "family",
        "n_params",
        "learning_rate",
        "weight_decay",
        study=pl.lit("infinite_compute"),
        architecture=pl.lit("decoder"),
        n_tokens=pl.col("unique_tokens") * pl.col("epochs"),
        n_tokens_unique="unique_tokens",
        n_epochs="epochs",
        n_streams="ensemble_members",
    )
    fields = [{"raw_field": name, "eval_set": task, "n_items": n} for name, (task, n) in ITEMS.items()]
    evals = melt(rows, ["run_id", "raw_file", "raw_row"], fields)
    return {
        "runs": conform("runs", runs, "infinite_compute"),
        "evals": measured("infinite_compute", evals, metric="acc", unit="fraction"),
    }
