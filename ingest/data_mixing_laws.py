"""Data mixing laws: losses of 274 runs on the domains of the Pile, by training mixture (arXiv 2403.16952)."""

from __future__ import annotations

import json

import polars as pl

from ingest._long import parquet, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

LOSSES, PREDICTIONS = "raw_losses.parquet", "rpj_predictions.json"
LISTS = {"5Mix": ("proportions_5Mix.txt", 26), "RedPajama": ("proportions_RedPajama.txt", 20)}
"""Mixtures of the complete grids, as the repository lists them."""
N_LOSSES, N_LAST, N_PREDICTIONS = 61_451, 27, 132
N_OFF_SUM = 3
"""Runs whose label adds up to 1.02: RedPajama's own proportions with a misprint."""

DOMAINS = {
    "2Mix": ("github", "pile_cc"),
    "3Mix": ("github", "books3", "pile_cc"),
    "5Mix": ("academic", "prose", "dialogue", "symbolic", "internet"),
    "RedPajama": ("common_crawl", "c4", "github", "arxiv", "book", "stackexchange", "wikipedia"),
    "ct": ("pile", "starcoder_python"),
}
"""Domains in the order of the labels. 2Mix, ct and RedPajama follow from the losses, see the notes."""

CORPORA = {
    "2Mix": "GitHub and Pile-CC",
    "3Mix": "GitHub, Books3 and Pile-CC",
    "5Mix": "The Pile, five groups of domains",
    "RedPajama": "RedPajama, seven domains",
    "ct": "The Pile and StarCoder Python, from Pythia 70M",
}

SOURCE = Source(
    source_id="data_mixing_laws",
    title="Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling Performance",
    authors="Jiasheng Ye, Peiju Liu, Tianxiang Sun, Yunhua Zhou, Jun Zhan, Xipeng Qiu",
    year=2024,
    arxiv_id="2403.16952",
    repository="yegcjs/mixinglaws",
    upstream_commit="8ad3e1244b53294ded55a96ae325f4112ce3bc63",
    licence="none stated",
    is_shipped=False,
    redistribution=(
        "61,451 losses under no stated licence are more than a quotation of figures: "
        "built locally from the raw files, not shipped"
    ),
    headline_metric="loss",
    headline_eval_set="Pile-CC",
    n_definition="n_params",
    not_upstream=(LOSSES, PREDICTIONS, *(name for name, _ in LISTS.values())),
    notes=(
        "Five sets of mixtures (column study): 2Mix, 3Mix, 5Mix, RedPajama, and ct, which continues Pythia 70M on the "
        "Pile and Python code. Table mixtures holds the proportions, one row per run and domain. Losses are nats per "
        "token on 22 domains of the Pile (and Python code in ct), at several steps; a null step is the last checkpoint "
        "of nine 3Mix runs, without a number, and of the starting point of ct. Complete grids: 5Mix has 26 mixtures at "
        "70M, 160M, 305M and 410M, and 6 at 1B. n_params are the nominal sizes of the labels. n_tokens is null: steps "
        "become tokens only with a batch size, which the data do not state. The order of the domains in a label is "
        "documented for 3Mix and 5Mix; for 2Mix, ct and RedPajama we inferred it: a larger share of a domain lowers "
        "the loss on matching text (in RedPajama the last column is Wikipedia: it lowers the losses on EuroParl and "
        "Wikipedia), and RedPajama's own proportions tell Common Crawl from C4. Three runs with that label add up to "
        "1.02 (0.168375 is a misprint of the repository), one label is cut after five digits: shares are stored as "
        "labelled. 5Mix losses of a group are means over its domains, weighted, and are not stored. The released "
        "predictions on RedPajama (20 mixtures at step 30,000 and two at step 100,000, five groups and their total) "
        "are rows of the table claims, prediction and outcome each. The file does not name the two numbers of a pair: "
        "the second is the outcome, a weighted mean of the group's measured losses to 1e-14 (of the 410M runs at step "
        "30,000 and the 1B runs at 100,000), the first, in single precision, no such mean. What can be recomputed: the "
        "law L_i = c_i + k_i exp(sum_j t_ij r_j) over mixtures at fixed size and step."
    ),
    bibtex=(
        "@inproceedings{ye2025data, title={Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling "
        "Performance}, author={Ye, Jiasheng and Liu, Peiju and Sun, Tianxiang and Zhou, Yunhua and Zhan, Jun and Qiu, "
        "Xipeng}, booktitle={International Conference on Learning Representations}, year={2025}, "
        "note={arXiv:2403.16952}}"
    ),
    set_aside=(
        *(
            SetAside(name, lines, f"mixtures of the grid, all of which stand in {LOSSES}")
            for name, lines in LISTS.values()
        ),
        SetAside(
            PREDICTIONS, N_PREDICTIONS, "read into claims: predicted losses, and the ones they were compared with"
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Runs with their mixtures, losses by domain and step, and the released predictions."""
    losses = parquet(raw, LOSSES, N_LOSSES).with_columns(
        run_id=pl.concat_str([pl.lit("data_mixing_laws"), pl.col("mix_set"), pl.col("run")], separator="/"),
        size=pl.col("n_params_nominal").cast(pl.Float64),
        at=pl.col("step").cast(pl.Float64, strict=False),
    )
    _check(raw, losses)
    first = losses.unique("run_id", keep="first", maintain_order=True)
    runs = first.select(
        "run_id",
        "mixture",
        study="mix_set",
        model_name="run",
        model_id=pl.when(pl.col("run").str.starts_with("pythia_")).then(pl.lit("pythia-70m")),
        family=pl.concat_str([pl.col("mix_set"), pl.col("model_size")], separator="-").str.to_lowercase(),
        architecture=pl.lit("decoder"),
        n_params="size",
        corpus=pl.col("mix_set").replace_strict(CORPORA),
    )
    evals = losses.select(
        "run_id",
        "raw_file",
        "raw_row",
        step="at",
        metric=pl.lit("loss"),
        eval_set="valid_domain",
        split=pl.lit("all"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("loss"),
    )
    return {
        "runs": conform("runs", runs, "data_mixing_laws"),
        "evals": conform("evals", evals, "data_mixing_laws"),
        "mixtures": conform("mixtures", _mixtures(first), "data_mixing_laws"),
        "claims": conform("claims", _claims(raw), "data_mixing_laws"),
    }


def _check(raw: RawFolder, losses: pl.DataFrame) -> None:
    """Steps that are not numbers, runs with two mixtures, and the lists of the complete grids."""
    no_number = losses.filter(pl.col("step").is_not_null() & pl.col("at").is_null())["step"]
    mixtures = losses.group_by("run_id").agg(pl.col("mixture").n_unique(), pl.col("size").n_unique())
    missing = {mix_set: len(_listed(raw, mix_set) - _released(losses, mix_set)) for mix_set in LISTS}
    require(
        f"data_mixing_laws, {LOSSES!r}",
        mix_sets=(sorted(losses["mix_set"].unique()), sorted(DOMAINS)),
        steps_that_are_no_number=((no_number.unique().to_list(), no_number.len()), (["last"], N_LAST)),
        runs_with_two_mixtures=(mixtures.filter((pl.col("mixture") > 1) | (pl.col("size") > 1)).height, 0),
        listed_mixtures_without_losses=(missing, dict.fromkeys(LISTS, 0)),
    )


def _listed(raw: RawFolder, mix_set: str) -> set[tuple[float, ...]]:
    name, lines = LISTS[mix_set]
    listed = {tuple(float(share) for share in line.split("-")) for line in raw.text(name).split()}
    raw.count(name, len(listed))
    if len(listed) != lines:
        raise DataError(f"data_mixing_laws, {name!r}: {len(listed)} mixtures where {lines} are expected")
    return listed


def _released(losses: pl.DataFrame, mix_set: str) -> set[tuple[float, ...]]:
    labels = losses.filter(pl.col("mix_set") == mix_set)["mixture"].unique()
    return {tuple(float(share) for share in label.split("-")) for label in labels}


def _mixtures(runs: pl.DataFrame) -> pl.DataFrame:
    """One row per run and domain; the starting point of ct has no mixture."""
    parts = [
        group.select(
            "run_id",
            "raw_file",
            "raw_row",
            domain=pl.lit(list(DOMAINS[str(mix_set)])),
            share=pl.col("mixture").str.split("-").list.eval(pl.element().cast(pl.Float64)),
        ).explode("domain", "share")
        for (mix_set,), group in runs.drop_nulls("mixture").group_by("mix_set", maintain_order=True)
    ]
    mixtures = pl.concat(parts)
    total = mixtures.group_by("run_id").agg(pl.col("share").sum())
    require(
        "data_mixing_laws",
        runs_without_a_mixture=(runs["mixture"].null_count(), 1),
        mixtures_that_do_not_add_up_to_one=(total.filter((pl.col("share") - 1).abs() > 1e-5).height, N_OFF_SUM),
    )
    return mixtures


def _claims(raw: RawFolder) -> pl.DataFrame:
    """Released predictions on RedPajama, each followed by the loss that was measured."""
    released: dict[str, dict[str, dict[str, list[float]]]] = json.loads(raw.text(PREDICTIONS))
    rows = [
        {
            "claim_id": f"2403.16952/redpajama/{group}/{mixture}/{step}/{quantity}",
            "claim": f"loss on group '{group}', training on RedPajama mixture {mixture} to step {step}: {what}",
            "quantity": quantity,
            "value": value,
            "where_stated": f"{PREDICTIONS}, {group} / {mixture} / {step}, entry {position}",
        }
        for group, mixtures in released.items()
        for mixture, steps in mixtures.items()
        for step, values in steps.items()
        for position, (quantity, what, value) in enumerate(
            zip(("predicted_loss", "observed_loss"), ("predicted by the law", "measured"), values, strict=True), start=1
        )
    ]
    raw.count(PREDICTIONS, len(rows) // 2)
    require(f"data_mixing_laws, {PREDICTIONS!r}", predictions=(len(rows) // 2, N_PREDICTIONS))
    return pl.DataFrame(rows).with_columns(
        unit=pl.lit("nats_per_token"), varies=pl.lit("training mixture"), test_source=pl.lit("data_mixing_laws")
    )
