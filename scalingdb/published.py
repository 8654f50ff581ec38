"""Published coefficients, read from the shipped files alone: what a law knows without a database."""

from __future__ import annotations

import functools
from pathlib import Path

import polars as pl

from scalingdb._store import read_state
from scalingdb.errors import WarehouseError

__all__ = ["default_path", "has_intervals", "published_rows", "refitted_sources", "table_files"]

REFITS = Path(__file__).parent / "evidence" / "refits" / "results.csv"
"""Published sets fitted again, as ``python -m scalingdb.evidence.refits`` stores them."""


def default_path() -> Path:
    """Folder of the shipped warehouse: the checkout's, else the installed package's."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "warehouse"
    return checkout if (checkout / "tables").is_dir() else here / "_shipped" / "warehouse"


def table_files(path: Path, table: str) -> list[Path]:
    """Parquet files of one table: shipped ones, and those built locally beside them."""
    shipped, local = read_state(path), read_state(path / "local")
    return [*shipped.files(f"tables/{table}/*.parquet").values(), *local.files(f"{table}/*.parquet").values()]


@functools.lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> pl.DataFrame:
    """All published coefficients, read once for all laws; a file that changed is another key."""
    return pl.concat([pl.read_parquet(file, glob=False) for file, _ in files])


def published_rows(path: Path | None = None) -> pl.DataFrame:
    """Table ``published_fits`` of the warehouse at `path` (the shipped one by default), from its Parquet files."""
    files = table_files(path or default_path(), "published_fits")
    if not files:
        return pl.DataFrame(schema={"law": pl.String})
    try:
        return _read(tuple((file, file.stat().st_mtime_ns) for file in files))
    except OSError as error:
        raise WarehouseError(
            f"published coefficients cannot be read: {error}", "see that you may read them."
        ) from error


def has_intervals(law: str, source_id: str, variant: str) -> bool:
    """Whether the source of a coefficient set states an interval for any of its coefficients."""
    rows = published_rows()
    return rows.filter(law=law, source_id=source_id, variant=variant)["low"].count() > 0


@functools.lru_cache(maxsize=1)
def refitted_sources() -> dict[str, tuple[str, ...]]:
    """Sources whose rows a law was fitted to again here, by the law's name."""
    rows = pl.read_csv(REFITS, columns=["law", "source_id"]).unique(maintain_order=True)
    return {str(key[0]): tuple(group["source_id"]) for key, group in rows.group_by("law", maintain_order=True)}
