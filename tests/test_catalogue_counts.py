"""The counts that the two data catalogues state for every source, asserted on the shipped tables.

What a source holds beyond these (studies, flags, duplicates) is tested with the source, in ``test_ingest_*.py``;
counts that are published figures are in the replication ledger.
The ledger ships for every source, so that those whose measurements do not ship are counted as well.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

import scalingdb as sdb

CHECKOUT = Path(__file__).parents[1]

FILES = {
    "bnsl": 1,
    "chinchilla_robustness": 3,
    "cot_faithfulness": 2,
    "data_mixing_laws": 4,
    "datablations": 1,
    "distillation_scaling": 1,
    "emergent_inabilities": 3,
    "epoch_benchmark_stitching": 41,
    "epoch_chinchilla": 1,
    "epoch_ml_systems": 6,
    "exp_emergence": 31,
    "farseer": 3,
    "gadre_overtraining": 210,
    "gemstones": 87,
    "hitchhiker": 24,
    "inverse_scaling_mt": 1,
    "inverse_scaling_opt_cards": 1,
    "inverse_scaling_pilot": 2,
    "laion_clip_mammut": 2,
    "llama3_isoflop": 1,
    "loss_to_loss": 3,
    "misfitting": 3,
    "moe_sparsity": 2,
    "monkey_power_laws": 9,
    "multi_power_law": 27,
    "o1_inference": 2,
    "obs_scaling": 7,
    "olmo_ladder": 51,
    "on_emergence": 1,
    "open_athena_isoflops": 10,
    "openclip_scaling": 4,
    "parscale": 1,
    "pearce_reconcile": 1,
    "porian_discrepancies": 3,
    "pythia_evals": 714,
    "rl_grpo_qwen3": 7,
    "routed_lm": 1,
    "sae_scaling": 1,
    "sloth": 4,
    "steplaw": 3,
    "vocab_scaling": 1,
}
"""Raw files of every source, as the catalogues' manifest lists them."""

RECORDS = {
    ("bnsl", "_derived/four_digit_addition.csv"): 17,
    ("chinchilla_robustness", "chinchilla_model_parameters.csv"): 50,
    ("cot_faithfulness", "summary_long.csv"): 195,
    ("data_mixing_laws", "raw_losses.parquet"): 61_451,
    ("datablations", "_derived/c4_val_losses.csv"): 307,
    ("distillation_scaling", "all_data.parquet"): 354,
    ("emergent_inabilities", "harness_json_long.csv"): 1_408,
    ("epoch_chinchilla", "data/svg_extracted_data.csv"): 245,
    ("epoch_ml_systems", "all_ml_systems_training_cost_repo_trimmed.csv"): 1_892,
    ("farseer", "farseer_runs_merged.csv"): 411,
    ("gemstones", "wandb_dfs/wandb_df_for_fitting_hot_100b+_477.jsonl"): 3_850,
    ("inverse_scaling_mt", "results_parsed.csv"): 221,
    ("inverse_scaling_opt_cards", "opt_reported_values.csv"): 17,
    ("inverse_scaling_pilot", "per_example_scores.parquet"): 421_288,
    ("inverse_scaling_pilot", "task_model_summary.csv"): 283,
    ("laion_clip_mammut", "scaling_laws/data/segmentation_results.parquet"): 1_431,
    ("llama3_isoflop", "isoflops_points.csv"): 133,
    ("loss_to_loss", "sweep.csv"): 529,
    ("loss_to_loss", "extrapolation.csv"): 6,
    ("misfitting", "data/scaling_results.csv"): 4_852,
    ("moe_sparsity", "all_data.parquet"): 479,
    ("obs_scaling", "eval_results/base_llm_benchmark_eval.csv"): 148,
    ("on_emergence", "evaluation_scores.csv"): 5_055,
    ("open_athena_isoflops", "data/isoflops/transform/isoflops.csv"): 947,
    ("openclip_scaling", "zeroshot_results.csv"): 1_312,
    ("parscale", "_derived/parscale_losses.csv"): 48,
    ("pearce_reconcile", "_derived/chinchilla_model_configs.csv"): 50,
    ("porian_discrepancies", "_derived/isoflop_points.csv"): 1_745,
    ("routed_lm", "data/curves.csv.gz"): 5_799,
    ("sae_scaling", "all_data.parquet"): 45,
    ("sloth", "data/df_full_v1.csv"): 168,
    ("sloth", "data/df_full_v2.csv"): 216,
    ("sloth", "data/df_full.csv"): 98,
    ("sloth", "data/data_v2.csv"): 188,
    ("steplaw", "data/dense_lr_bs_loss.csv"): 1_911,
    ("steplaw", "data/moe_lr_bs_loss.csv"): 708,
    ("vocab_scaling", "exp_data.csv"): 1_200,
}
"""Records of the files that the catalogues count."""

TOTALS = {
    "epoch_benchmark_stitching": 3_885,
    "monkey_power_laws": 728_109,
    "multi_power_law": 6_265,
    "o1_inference": 19,
}
"""Records of all files of a source together, where the catalogues count these."""

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


def test_every_source_with_raw_files_is_in_the_list(db: sdb.Warehouse) -> None:
    assert sorted(db.sql("select distinct source_id from raw_files")["source_id"]) == sorted(FILES)


def test_files_of_every_source(db: sdb.Warehouse) -> None:
    assert dict(db.sql("select source_id, count(*) from raw_files group by all").rows()) == FILES


@pytest.mark.parametrize("file", RECORDS, ids="/".join)
def test_records_of_a_file(db: sdb.Warehouse, file: tuple[str, str]) -> None:
    found = db.sql("select n_rows_in from raw_files where source_id = $s and raw_file = $f", s=file[0], f=file[1])
    assert found.item() == RECORDS[file]


@pytest.mark.parametrize("source_id", TOTALS)
def test_records_of_all_files(db: sdb.Warehouse, source_id: str) -> None:
    assert db.sql("select sum(n_rows_in) from raw_files where source_id = $s", s=source_id).item() == TOTALS[source_id]


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
