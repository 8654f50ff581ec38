"""What every source keeps, whichever it is; what is known of one source is tested in ``test_ingest_<source>.py``."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from _ingest import tables_of

import scalingdb as sdb
from ingest._build import load_source, source_ids
from ingest._long import melt, require
from scalingdb.errors import DataError
from scalingdb.schema import EVIDENCE

CHECKOUT = Path(__file__).parents[1]
MEASURED = [name for name in source_ids() if load_source(name)[0].headline_metric is not None]
MACHINE = r"s3://|/home|/admin|/mnt|/fsx|/p/data1|https?://\S*@"


@pytest.mark.parametrize("source_id", source_ids())
def test_no_machine_is_named_and_flags_give_reasons(source_id: str, raw_directory: Path) -> None:
    built = tables_of(source_id, raw_directory)
    for name, frame in built.items():
        for column in frame.select(pl.col(pl.String)).iter_columns():
            assert not column.str.contains(MACHINE).any(), (name, column.name)
    if "evals" in built:
        assert built["evals"].filter(pl.col("flag").is_not_null())["flag_reason"].null_count() == 0


@pytest.mark.parametrize("source_id", MEASURED)
def test_the_headline_exists(source_id: str, raw_directory: Path) -> None:
    source, _ = load_source(source_id)
    evals = tables_of(source_id, raw_directory)["evals"].filter(pl.col("metric") == source.headline_metric)
    if source.headline_eval_set is not None:
        evals = evals.filter(pl.col("eval_set") == source.headline_eval_set)
    assert evals.filter(pl.col("flag").is_null()).height > 0


@pytest.mark.parametrize("source_id", MEASURED)
def test_every_run_is_measured(source_id: str, raw_directory: Path) -> None:
    built = tables_of(source_id, raw_directory)
    measured = pl.concat([built[name]["run_id"] for name in ("evals", "items") if name in built])
    assert set(built["runs"]["run_id"]) == set(measured)


@pytest.mark.parametrize("source_id", source_ids())
def test_published_sets_are_stated_and_their_intervals_hold_them(source_id: str) -> None:
    for fit in load_source(source_id)[0].published_fits:
        assert fit.where_stated
        assert fit.evidence in EVIDENCE
        assert set(fit.intervals) <= set(fit.params)
        assert all(low < fit.params[name] < high for name, (low, high) in fit.intervals.items())


def test_every_recorded_raw_file_is_in_the_shipped_ledger(db: sdb.Warehouse) -> None:
    shipped = dict(db.sql("select source_id, count(*) from raw_files group by all").rows())
    recorded = {
        file.stem: len(file.read_text().splitlines()) for file in (CHECKOUT / "ingest" / "hashes").glob("*.txt")
    }
    assert shipped == recorded


# ---- helpers of the source modules ---------------------------------------------------------------


def test_melt_leaves_out_what_was_not_measured_and_describes_the_rest() -> None:
    wide = pl.DataFrame({"run": ["a", "b"], "x": [1.0, None], "y": [2.0, 3.0]})
    long = melt(wide, ["run"], [{"raw_field": "x", "metric": "acc"}, {"raw_field": "y", "metric": "f1"}])
    assert sorted(long.rows()) == [("a", "x", 1.0, "acc"), ("a", "y", 2.0, "f1"), ("b", "y", 3.0, "f1")]


def test_require_names_every_difference() -> None:
    require("file", models=(3, 3))
    with pytest.raises(DataError, match="file: models: 4, expected 3; sets: 1, expected 2"):
        require("file", models=(4, 3), sets=(1, 2), rows=(5, 5))


# ---- counts of the shipped tables ----------------------------------------------------------------

QUERIES = {
    "datablations, main grid (as the collection holds it)": (
        229,
        "from runs where source_id = 'hitchhiker' and study = 'datablations_points'",
    ),
    "gadre_overtraining, losses": (104 * 8, "from points where study = 'gadre_overtraining'"),
    "gadre_overtraining, tasks": (104 * 46, "from scores where study = 'gadre_overtraining'"),
    "routed_lm, runs": (223, "from runs where source_id = 'routed_lm'"),
    "farseer, points used": (
        407,
        "from points where source_id = 'farseer' and metric = 'bits_per_character' and flag is null",
    ),
    "emergent_inabilities, sizes": (8, "from runs where source_id = 'emergent_inabilities'"),
    "emergent_inabilities, scores without acc_norm": (
        768,
        "from scores where source_id = 'emergent_inabilities' and metric != 'acc_norm'",
    ),
    "epoch_ml_systems, 2025": (1_892, "from runs where source_id = 'epoch_ml_systems' and study = '2025'"),
    "epoch_ml_systems, 2024": (1_755, "from runs where source_id = 'epoch_ml_systems' and study = '2024'"),
    "on_emergence, models": (24, "from runs where source_id = 'on_emergence'"),
    "obs_scaling, base models": (148, "from runs where source_id = 'obs_scaling' and study = 'base'"),
    "laion_clip_mammut, runs": (1_431, "from runs where source_id = 'laion_clip_mammut'"),
    "rl_grpo_qwen3, base models": (5, "from runs where source_id = 'rl_grpo_qwen3' and model_id is not null"),
    "hitchhiker, Chinchilla points": (245, "from runs where source_id = 'hitchhiker' and study = 'chinchilla'"),
    "hitchhiker, RedPajama points": (
        72 + 63,
        "from evals where source_id = 'hitchhiker' and starts_with(run_id, 'hitchhiker/redpajama_incite/')",
    ),
}


@pytest.mark.parametrize("what", QUERIES)
def test_rows_of_a_source(db: sdb.Warehouse, what: str) -> None:
    expected, query = QUERIES[what]
    assert db.sql(f"select count(*) {query}").item() == expected


def test_the_totals_of_evals_and_items_are_reported(db: sdb.Warehouse) -> None:
    """In the dictionary and by `sources()`; sources that do not ship are in both only where they were built."""
    readme = (CHECKOUT / "warehouse" / "README.md").read_text(encoding="utf-8")
    sources = db.sources()
    for table, column in (("evals", "n_evals"), ("items", "n_items")):
        files = sorted((CHECKOUT / "warehouse" / "tables" / table).glob("*.parquet"))
        shipped = sum(pl.read_parquet(file, columns=["run_id"]).height for file in files)
        stated = re.search(rf"^\| \[`{table}`\]\(#{table}\) \|.*\| ([\d,]+) \|$", readme, re.MULTILINE)
        assert stated is not None
        assert int(stated[1].replace(",", "")) == shipped
        assert sources[column].sum() == db.sql(f"select count(*) from {table}").item() >= shipped
    assert sources["n_evals"].sum() >= 1_110_197
