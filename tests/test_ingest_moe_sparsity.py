"""Source `moe_sparsity`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import moe_sparsity
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _altered(source: object, directory: Path, target: Path, name: str, old: str, new: str) -> RawFolder:
    """Copy of one source's raw folder in which the first `old` of a text file is replaced; hashes follow."""
    import hashlib
    import shutil

    source_id: str = source.source_id  # type: ignore[attr-defined]
    shutil.copytree(directory / source_id, target / source_id)
    path = target / source_id / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    folder = RawFolder(source, target)  # type: ignore[arg-type]
    folder.registry[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return folder


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("moe_sparsity", raw_directory, {"runs": 479, "evals": 479}, set_aside={})


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "moe_sparsity").items() >= {"all_data.parquet": 479}.items()


def test_moe_counts_are_whole_parameters_and_tokens(raw_directory: Path) -> None:
    runs = tables_of("moe_sparsity", raw_directory)["runs"]
    assert (runs["n_params"].min(), runs["n_params"].max()) == (47_940_800.0, 6_786_500_704.0)
    assert (runs["n_tokens"].min(), runs["n_tokens"].max()) == (288_358_400.0, 73_819_750_400.0)
    assert (runs["n_params_dense"] <= runs["n_params_active"]).all()
    assert (runs["n_params_active"] <= runs["n_params"]).all()
    evals = tables_of("moe_sparsity", raw_directory)["evals"]
    assert (evals["value"].min(), evals["value"].max()) == (2.070446, 3.398325)


def test_moe_active_experts_follow_from_the_counts(raw_directory: Path) -> None:
    runs = tables_of("moe_sparsity", raw_directory)["runs"]
    assert dict(runs.group_by("n_experts").len().rows()) == {4.0: 152, 8.0: 255, 16.0: 55, 32.0: 17}
    assert set(runs["n_experts_active"]) == {1.0, 2.0, 4.0}
    sparsity = runs["n_params"] / runs["n_params_active"]
    # four nominal ratios are 38 real ones
    assert sparsity.n_unique() == 38
    assert (sparsity.min(), sparsity.max()) == (pytest.approx(1.857, abs=1e-3), pytest.approx(12.249, abs=1e-3))
    assert not runs.select("model_name", "n_experts_active", "n_tokens", "n_tokens_pretrain").is_duplicated().any()


def test_moe_altered_table_is_refused(raw_directory: Path, tmp_path: Path) -> None:
    raw = _altered(moe_sparsity.SOURCE, raw_directory, tmp_path, moe_sparsity.FILE, "2.745042", "2.745043")
    with pytest.raises(DataError, match="does not repeat"):
        moe_sparsity.build(raw)
