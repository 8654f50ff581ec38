"""What several test files share: the shipped warehouse, raw files where they are at hand, small warehouses."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import settings

import scalingdb as sdb
from ingest._raw import find_raw_directory
from ingest._source import Source, conform
from scalingdb._store import write_manifest
from scalingdb.law_library import all_laws

# the tests start hundreds of processes, each of which would compile every module anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# a machine may be slow: no test asserts a time
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "warehouse"

Row = dict[str, Any]
MakeWarehouse = Callable[..., Path]


def pytest_report_header(config: pytest.Config) -> list[str]:
    left_out = config.option.markexpr == "not ci"
    return ["tests marked 'ci' are left out: -m ci runs them, -m '' all"] if left_out else []


@pytest.fixture(autouse=True)
def own_laws() -> Iterator[None]:
    """Laws that a test defines are forgotten after it, so that no later test meets them."""
    known = all_laws()
    before = dict(known)
    yield
    known.clear()
    known.update(before)


@pytest.fixture(autouse=True, scope="session")
def no_own_sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the user of this machine has added out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALINGDB_LOCAL", str(tmp_path_factory.mktemp("own")))
        patch.setenv("SCALINGDB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def raw_directory() -> Path:
    """Folder with one folder of raw files per source, or a skip with the reason."""
    found = find_raw_directory()
    if found is None:
        pytest.skip("no raw files: set SCALINGDB_RAW to a directory with one folder per source")
    return found


@pytest.fixture(scope="session")
def db() -> Iterator[sdb.Warehouse]:
    """The shipped warehouse."""
    with sdb.connect(SHIPPED) as warehouse:
        yield warehouse


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Remarks made to the user since the test began."""
    monkeypatch.setattr(logging.getLogger("scalingdb"), "propagate", True)
    caplog.set_level(logging.INFO, logger="scalingdb")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "scalingdb"]


FEW = ("emergent_inabilities", "epoch_chinchilla", "farseer", "hoffmann", "kaplan")
"""Sources of each kind: losses, scores, coefficients only."""


@pytest.fixture(scope="session")
def small_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few shipped sources: whatever has to go through a whole warehouse is done with one of them in seconds."""
    folder = tmp_path_factory.mktemp("small") / "warehouse"
    for file in SHIPPED.glob("tables/*/*.parquet"):
        if file.stem in FEW:
            target = folder / file.relative_to(SHIPPED)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    shutil.copytree(SHIPPED / "views", folder / "views")
    write_manifest(folder)
    return folder


@pytest.fixture
def copied_warehouse(small_warehouse: Path, tmp_path: Path) -> Path:
    """That warehouse, free to be damaged."""
    return Path(shutil.copytree(small_warehouse, tmp_path / "copied"))


def toy_source(source_id: str = "toy", **changes: Any) -> Source:
    """A declaration with every required field."""
    fields: dict[str, Any] = {
        "source_id": source_id,
        "title": "A toy",
        "authors": "Ada Example",
        "year": 2024,
        "licence": "CC0",
        "redistribution": "made up for a test",
        "bibtex": "@misc{toy}",
        "headline_metric": "loss",
        "n_definition": "n_params",
        **changes,
    }
    return Source(**fields)


@pytest.fixture
def make_warehouse(tmp_path: Path) -> MakeWarehouse:
    """Write a warehouse of one made-up source: ``make_warehouse(runs, evals, **fields of the source)``."""

    def make(runs: Sequence[Row], evals: Sequence[Row], **source: Any) -> Path:
        declared = toy_source(**source)
        name = declared.source_id
        run_defaults = {"study": name, "family": name}
        eval_defaults = {
            "metric": "loss",
            "eval_set": "val",
            "split": "all",
            "unit": "nats_per_token",
            "value_origin": "reported",
            "raw_file": "table.csv",
        }
        tables = {
            "sources": declared.row(0, None),
            "runs": conform("runs", pl.DataFrame([run_defaults | row for row in runs], infer_schema_length=None), name),
            "evals": conform(
                "evals", pl.DataFrame([eval_defaults | row for row in evals], infer_schema_length=None), name
            ),
        }
        folder = tmp_path / "made"
        for table, frame in tables.items():
            target = folder / "tables" / table / f"{name}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(target)
        shutil.copytree(SHIPPED / "views", folder / "views", dirs_exist_ok=True)
        return folder

    return make
