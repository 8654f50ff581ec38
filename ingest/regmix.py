"""RegMix: losses of 1,088 small runs on random mixtures of the Pile (arXiv 2407.01492)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

SETS = {
    "train_1m": ("train_{}_1m.csv", 512, 1e6, 1e9, "fit"),
    "test_1m": ("test_{}_1m.csv", 256, 1e6, 1e9, "validation"),
    "test_60m": ("test_{}_60m.csv", 256, 60e6, None, "validation"),
    "test_1b": ("test_{}_1B.csv", 64, 1e9, 25e9, "validation"),
}
"""File, runs, size, tokens and role of each set of runs."""
DOMAINS = [
    "arxiv",
    "freelaw",
    "nih_exporter",
    "pubmed_central",
    "wikipedia_en",
    "dm_mathematics",
    "github",
    "philpapers",
    "stackexchange",
    "enron_emails",
    "gutenberg_pg_19",
    "pile_cc",
    "ubuntu_irc",
    "europarl",
    "hackernews",
    "pubmed_abstracts",
    "uspto_backgrounds",
]
UNTESTED = {"nih_exporter", "philpapers", "enron_emails", "europarl"}
"""Domains that have a share and no validation set."""
ROUNDING = 0.01
TITLE = "RegMix: Data Mixture as Regression for Language Model Pre-training"
AUTHORS = "Qian Liu, Xiaosen Zheng, Niklas Muennighoff, Guangtao Zeng, Longxu Dou, Tianyu Pang, Jing Jiang, Min Lin"

SOURCE = Source(
    source_id="regmix",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2407.01492",
    repository="sail-sg/regmix",
    upstream_commit="b004d3a3f39846dcec6b3740da22bcd1ba95a5d0",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="loss",
    headline_eval_set="pile_cc",
    n_definition="n_params",
    notes=(
        "512 runs of 1M parameters to fit a regression on (split 'fit'), and 256 of 1M, 256 of 60M and 64 of 1B to "
        "test it ('validation'), each on one random mixture of 17 domains of the Pile. The 256 test mixtures of 1M "
        "and 60M are the same ones: column mixture names them ('test-17'). Sizes are the labels of the files; the "
        "tokens are 1B for the 1M models and 25B for the 1B models, and null for 60M, where they were not read. "
        "Losses are on 13 of the 17 domains, in nats per token: four domains have a share and no validation set. "
        "domain_share is the share of the domain that the loss is on. Shares are printed to three decimals, so that "
        "their sum is off by up to 0.008; more than half of them are zero, so that their logarithm does not exist."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2407.01492"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per mixture and size, with its shares and its losses."""
    runs, mixtures, losses = [], [], []
    for name, (file, n_runs, size, tokens, split) in SETS.items():
        shares, loss = _read(raw, name, file, n_runs)
        mixture = "test-{}" if name in {"test_1m", "test_60m"} else f"{name.replace('_', '-')}-{{}}"
        runs.append(
            shares.select(
                "run_id",
                study=pl.lit("regmix"),
                family=pl.lit(name.split("_")[1]),
                architecture=pl.lit("decoder"),
                n_params=pl.lit(size),
                n_tokens=pl.lit(tokens, pl.Float64),
                corpus=pl.lit("The Pile, 17 domains"),
                mixture=pl.format(mixture, "index"),
            )
        )
        long = melt(
            shares,
            ["run_id", "raw_file", "raw_row"],
            [{"raw_field": f"train_the_pile_{domain}", "domain": domain} for domain in DOMAINS],
        ).rename({"value": "share"})
        mixtures.append(long.drop("raw_field"))
        measured_on = [domain for domain in DOMAINS if domain not in UNTESTED]
        losses.append(
            melt(
                loss,
                ["run_id", "raw_file", "raw_row"],
                [
                    {"raw_field": f"metric/the_pile_{domain}_val_loss", "eval_set": domain, "split": split}
                    for domain in measured_on
                ],
            ).join(
                long.select("run_id", eval_set="domain", domain_share="share"),
                on=["run_id", "eval_set"],
                how="left",
                maintain_order="left",
            )
        )
    return {
        "runs": conform("runs", pl.concat(runs), "regmix"),
        "mixtures": conform("mixtures", pl.concat(mixtures), "regmix"),
        "evals": measured("regmix", pl.concat(losses), metric="loss", unit="nats_per_token"),
    }


def _read(raw: RawFolder, name: str, file: str, n_runs: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Shares and losses of one set, with the run's name."""
    share_columns = [f"train_the_pile_{domain}" for domain in DOMAINS]
    loss_columns = [f"metric/the_pile_{domain}_val_loss" for domain in DOMAINS if domain not in UNTESTED]
    shares, losses = (
        raw.csv(
            f"data/{file.format(part)}", {"index": pl.Int64} | dict.fromkeys(columns, pl.Float64), rows=n_runs
        ).with_columns(run_id=pl.format(f"regmix/{name}/{{}}", "index"))
        for part, columns in (("mixture", share_columns), ("pile_loss", loss_columns))
    )
    off = (pl.sum_horizontal(share_columns) - 1).abs() > ROUNDING
    require(
        f"regmix, {file!r}",
        mixtures_without_losses=(set(shares["index"]) ^ set(losses["index"]), set()),
        mixtures_that_do_not_add_up_to_one=(shares.filter(off).height, 0),
        empty_losses=(losses.select(pl.col(loss_columns).null_count()).sum_horizontal().item(), 0),
    )
    return shares, losses
