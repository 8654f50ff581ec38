"""The full check of a warehouse folder: what is damaged, missing, extra or out of bounds is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb._store import file_entry, write_manifest
from scalingdb.errors import WarehouseError
from scalingdb.verification import verify
from scalingdb.warehouse import view_faults

SHIPPED = Path(__file__).parents[1] / "warehouse"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The tables of two sources, with a manifest."""
    folder = tmp_path / "small"
    for source in ("farseer", "epoch_chinchilla"):
        for file in SHIPPED.glob(f"tables/*/{source}.parquet"):
            target = folder / file.relative_to(SHIPPED)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    shutil.copytree(SHIPPED / "views", folder / "views")
    write_manifest(folder)
    return folder


def test_a_sound_folder_has_no_fault(small: Path) -> None:
    assert verify(small).faults == ()
    assert view_faults(small) == []


@pytest.mark.parametrize("position", [0.0, 0.3, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("name", ["tables/evals/farseer.parquet", "views/points.sql", "manifest.json"])
def test_a_flipped_bit_is_found(small: Path, name: str, position: float) -> None:
    content = bytearray((small / name).read_bytes())
    content[int(position * len(content))] ^= 1
    (small / name).write_bytes(content)
    assert verify(small).faults


def test_a_missing_file_is_found_by_check_and_by_connect(small: Path) -> None:
    (small / "tables" / "evals" / "farseer.parquet").unlink()
    assert "tables/evals/farseer.parquet: missing" in verify(small).faults
    with pytest.raises(WarehouseError, match=r"farseer\.parquet' is missing"):
        sdb.connect(small)


def test_what_a_swap_keeps_elsewhere_is_checked_where_it_is_read(small: Path) -> None:
    entry = file_entry(small / "tables" / "evals" / "farseer.parquet")
    kept = small / ".objects" / "replaced" / f"{entry.sha256}.parquet"
    kept.parent.mkdir(parents=True)
    shutil.copy(small / "tables" / "evals" / "farseer.parquet", kept)
    assert verify(small).faults == ()
    content = bytearray(kept.read_bytes())
    content[entry.size // 2] ^= 1
    kept.write_bytes(content)
    assert [fault for fault in verify(small).faults if f"{kept.name}: damaged" in fault]


@pytest.mark.parametrize("home", ["local", "own"])
def test_files_beside_the_warehouse_without_a_manifest_are_found(small: Path, home: str) -> None:
    folder = small / "local" / "evals" if home == "local" else small / "own" / "tables" / "evals"
    folder.mkdir(parents=True)
    own = small / "own" if home == "own" else None
    assert verify(small, own).faults == ()
    rows = pl.read_parquet(small / "tables" / "evals" / "farseer.parquet")
    rows.with_columns(eval_set=pl.lit("another")).write_parquet(folder / "farseer.parquet")
    assert f"{home}/manifest.json is missing: nothing says which files belong here" in verify(small, own).faults


def test_a_file_that_does_not_belong_is_found_and_not_read(small: Path) -> None:
    shutil.copy(SHIPPED / "tables" / "runs" / "steplaw.parquet", small / "tables" / "runs" / "steplaw.parquet")
    assert "tables/runs/steplaw.parquet: not in manifest.json" in verify(small).faults
    with sdb.connect(small) as db:
        assert set(db.table("runs")["source_id"]) == {"farseer", "epoch_chinchilla"}


@pytest.mark.parametrize(
    ("table", "column", "value", "fault"),
    [
        ("evals", "value", float("nan"), "not finite"),
        ("evals", "value", -1.0, "outside"),
        ("evals", "unit", "fraction", "cannot have unit"),
        ("evals", "run_id", "farseer/none", "does not hold"),
        ("runs", "n_params", -1.0, "below"),
        ("runs", "source_id", "none", "does not hold"),
        ("runs", "source_id", "epoch_chinchilla", "belong to another source"),
        ("evals", "source_id", "epoch_chinchilla", "belong to another source"),
        ("evals", "raw_file", None, "is required"),
    ],
)
def test_a_wrong_value_is_found_though_the_manifest_vouches_for_it(
    small: Path, table: str, column: str, value: object, fault: str
) -> None:
    file = small / "tables" / table / "farseer.parquet"
    frame = pl.read_parquet(file)
    first = pl.int_range(pl.len()) == 0
    dtype = frame.schema[column]
    changed = pl.when(first).then(pl.lit(value, dtype=dtype)).otherwise(pl.col(column)).alias(column)
    frame.with_columns(changed).write_parquet(file)
    write_manifest(small)
    assert [text for text in verify(small).faults if fault in text]
