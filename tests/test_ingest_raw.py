"""Raw files damaged in every way that has been seen: the build refuses, and the tables stay as they were.

The recorded hash refuses first. Below it, with the hash of the damaged file recorded, the strict reader
and the bounds of the schema must see it. What no check can see without a second opinion is a unit
shift that stays plausible: N or D alone times 1e3, in a source that states no compute.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingest
from ingest import _raw
from ingest._build import build
from scalingdb.errors import BuildError, DataError, RawFileError, ScalingDBError

MODULE = """
import polars as pl
from ingest._source import Source, conform

SOURCE = Source(
    source_id="zz_grid", title="t", authors="a", year=2024, licence="CC0", redistribution="r", bibtex="@misc{b}",
)
COLUMNS = {"name": pl.String, "params": pl.Float64, "tokens": pl.Float64, "flops": pl.Float64, "loss": pl.Float64}

def build(raw):
    rows = raw.csv("grid.csv", COLUMNS, rows=16).with_columns(run_id=pl.format("zz_grid/{}", "name"))
    runs = rows.select(
        "run_id", study=pl.lit("s"), family=pl.lit("f"), n_params="params", n_tokens="tokens", train_flops="flops"
    )
    evals = rows.select(
        "run_id", "raw_file", "raw_row", metric=pl.lit("loss"), eval_set=pl.lit("val"), split=pl.lit("all"),
        value="loss", unit=pl.lit("nats_per_token"), value_origin=pl.lit("reported"), raw_field=pl.lit("loss"),
    )
    return {"runs": conform("runs", runs, "zz_grid"), "evals": conform("evals", evals, "zz_grid")}
"""

HEADER = ["name", "params", "tokens", "flops", "loss"]
GRID = [
    [f"run{i}", f"{n:g}", f"{d:g}", f"{6 * n * d:g}", f"{1.7 + 400 * n**-0.34 + 410 * d**-0.28:.6f}"]
    for i, (n, d) in enumerate((n, d) for n in (1e8, 5e8, 1e9, 1e10) for d in (1e9, 1e10, 1e11, 1e12))
]
Rows = list[list[str]]


def _csv(rows: Rows, separator: str = ",") -> bytes:
    return "".join(separator.join(row) + "\n" for row in rows).encode()


GOOD = _csv([HEADER, *GRID])


class Grid:
    """A warehouse of one source, built from sound files once, then from damaged ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "raw" / "zz_grid" / "grid.csv"
        for folder in (self.file.parent, root / "hashes", root / "code"):
            folder.mkdir(parents=True)
        (root / "code" / "zz_grid.py").write_text(MODULE, encoding="utf-8")

    def write(self, content: bytes, *, recorded: bool = True) -> None:
        self.file.write_bytes(content)
        if recorded:
            sha = hashlib.sha256(content).hexdigest()
            (self.root / "hashes" / "zz_grid.txt").write_text(f"grid.csv {sha}\n", encoding="utf-8")

    def build(self) -> ScalingDBError | None:
        places = {"shipped": self.root / "tables", "local": self.root / "local"}
        (result,) = build(["zz_grid"], raw=self.root / "raw", **places)
        return result.error

    def tables(self) -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted((self.root / "tables").rglob("*.parquet"))}

    def refused(self, content: bytes) -> str:
        """The error that a damaged file leads to; the tables must be as before."""
        before = self.tables()
        self.write(content, recorded=False)
        by_hash = self.build()
        assert isinstance(by_hash, RawFileError)
        assert "'grid.csv' is not the file that was curated" in by_hash.fact
        self.write(content)
        error = self.build()
        self.write(GOOD)
        assert self.tables() == before
        assert isinstance(error, RawFileError | DataError)
        assert not isinstance(error, BuildError)
        assert "zz_grid" in error.fact
        return error.fact


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        made = Grid(tmp_path_factory.mktemp("grid"))
        patch.setattr(ingest, "__path__", [*ingest.__path__, str(made.root / "code")])
        patch.setattr(_raw, "HASHES", made.root / "hashes")
        sys.modules.pop("ingest.zz_grid", None)
        made.write(GOOD)
        assert made.build() is None
        yield made


tried = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
rows = st.integers(0, len(GRID) - 1)
numbers = st.integers(1, 4)


@tried
@given(pair=st.sampled_from([(1, 4), (2, 4), (3, 4), (1, 3), (2, 3)]))
def test_swapped_columns(grid: Grid, pair: tuple[int, int]) -> None:
    a, b = pair
    swapped = [[*row] for row in GRID]
    for row in swapped:
        row[a], row[b] = row[b], row[a]
    fact = grid.refused(_csv([HEADER, *swapped]))
    assert "fault(s)" in fact
    assert "row 1 " in fact or "row 1:" in fact or "run 'zz_grid/run0'" in fact


@tried
@given(column=numbers, factor=st.sampled_from([1e3, 1e-3, 1e9, 1e-9]), data=st.data())
def test_a_shifted_unit(grid: Grid, column: int, factor: float, data: st.DataObject) -> None:
    if column == 4 and factor < 1:
        return  # a loss of 0.002 nats is below every one known, but not impossible
    chosen = data.draw(st.sampled_from([set(range(16)), {data.draw(rows)}]))
    shifted = [
        [f"{float(cell) * factor:g}" if j == column and i in chosen else cell for j, cell in enumerate(row)]
        for i, row in enumerate(GRID)
    ]
    fact = grid.refused(_csv([HEADER, *shifted]))
    assert f"row {min(chosen) + 1}" in fact or "fault(s)" in fact
    assert "outside" in fact or "greater_than" in fact or "less_than" in fact


@tried
@given(first=rows, height=st.integers(1, 6), column=numbers, word=st.sampled_from(["nan", "NaN", "inf", "-inf"]))
def test_a_block_of_nan(grid: Grid, first: int, height: int, column: int, word: str) -> None:
    block = range(first, min(first + height, 16))
    blank = [[word if i in block and j == column else cell for j, cell in enumerate(row)] for i, row in enumerate(GRID)]
    fact = grid.refused(_csv([HEADER, *blank]))
    assert "finite" in fact
    assert "row " in fact


@tried
@given(row=rows, place=rows, drop=st.booleans())
def test_a_duplicated_row(grid: Grid, row: int, place: int, drop: bool) -> None:
    copied = [*GRID[:place], GRID[row], *GRID[place:]]
    if drop:  # the number of records stays what it should be
        other = next(i for i, each in enumerate(copied) if each != GRID[row])
        del copied[other]
    fact = grid.refused(_csv([HEADER, *copied]))
    assert "16 are expected" in fact or f"zz_grid/{GRID[row][0]}" in fact


@tried
@given(row=rows, cells=st.integers(1, 4))
def test_a_truncated_line(grid: Grid, row: int, cells: int) -> None:
    cut = [each[:cells] if i == row else each for i, each in enumerate(GRID)]
    fact = grid.refused(_csv([HEADER, *cut]))
    assert f"row {row + 1}: {cells} cell(s) where 5 are expected" in fact


@tried
@given(end=st.integers(len(GOOD) - 400, len(GOOD) - 12))
def test_a_file_that_ends_early(grid: Grid, end: int) -> None:
    assert "grid.csv" in grid.refused(GOOD[:end])


@tried
@given(separator=st.sampled_from([";", "\t", "|", " "]))
def test_a_changed_delimiter(grid: Grid, separator: str) -> None:
    fact = grid.refused(_csv([HEADER, *GRID], separator))
    assert "raw file 'grid.csv': missing column(s) 'name', 'params'" in fact


@tried
@given(place=st.integers(0, len(GOOD) - 1), byte=st.sampled_from([0x80, 0xE4, 0xFE, 0xFF]))
def test_a_byte_that_is_not_utf8(grid: Grid, place: int, byte: int) -> None:
    fact = grid.refused(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])
    assert f"raw file 'grid.csv' is not UTF-8 at byte {place}" in fact


def test_a_byte_order_mark_is_refused_by_the_hash_and_else_changes_no_value(grid: Grid) -> None:
    grid.write(b"\xef\xbb\xbf" + GOOD, recorded=False)
    by_hash = grid.build()
    assert isinstance(by_hash, RawFileError)
    assert "'grid.csv' is not the file that was curated" in by_hash.fact
    before = {name: content for name, content in grid.tables().items() if "runs" in name or "evals" in name}
    grid.write(b"\xef\xbb\xbf" + GOOD)
    assert grid.build() is None
    after = grid.tables()
    assert before == {name: after[name] for name in before}
    grid.write(GOOD)
    assert grid.build() is None


# ---- a real source -------------------------------------------------------------------------------


def _scaled(column: int, factor: float) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines]
        for row in cells[1:]:
            row[column] = repr(float(row[column]) * factor)
        return [",".join(row) for row in cells]

    return change


def _swap(lines: list[str]) -> list[str]:
    return [lines[0], *(",".join([cells[-1], *cells[1:-1], cells[0]]) for cells in (x.split(",") for x in lines[1:]))]


REAL: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "last record gone": (lambda lines: lines[:-1], "244 records where 245 are expected"),
    "record twice": (lambda lines: [*lines, lines[-1]], "246 records where 245 are expected"),
    "delimiter": (lambda lines: [line.replace(",", ";") for line in lines], "missing column(s)"),
    "cells cut": (lambda lines: [*lines[:9], lines[9].split(",")[0], *lines[10:]], "row 9: 1 cell(s) where 7"),
    "sizes in billions": (_scaled(3, 1e-9), "n_params"),
    "loss in millinats": (_scaled(6, 1e3), "outside 0.0 to 30.0"),
    "first and last column swapped": (_swap, "record"),
}


@pytest.mark.parametrize("damage", REAL)
def test_a_damaged_file_of_a_real_source(
    damage: str, raw_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_raw, "HASHES", Path(ingest.__file__).parent / "hashes")
    name = "data/svg_extracted_data.csv"
    places = {"shipped": tmp_path / "tables", "local": tmp_path / "local"}
    (sound,) = build(["epoch_chinchilla"], raw=raw_directory, **places)
    assert sound.error is None
    before = {file: file.read_bytes() for file in (tmp_path / "tables").rglob("*.parquet")}
    lines = (raw_directory / "epoch_chinchilla" / name).read_text(encoding="utf-8").splitlines()
    change, told = REAL[damage]
    file = tmp_path / "raw" / "epoch_chinchilla" / name
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    (by_hash,) = build(["epoch_chinchilla"], raw=tmp_path / "raw", **places)
    assert "is not the file that was curated" in str(by_hash.error)
    (tmp_path / "hashes").mkdir()
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "hashes" / "epoch_chinchilla.txt").write_text(f"{name} {sha}\n", encoding="utf-8")
    monkeypatch.setattr(_raw, "HASHES", tmp_path / "hashes")
    (result,) = build(["epoch_chinchilla"], raw=tmp_path / "raw", **places)
    assert isinstance(result.error, RawFileError | DataError)
    assert told in result.error.fact
    assert {file: file.read_bytes() for file in (tmp_path / "tables").rglob("*.parquet")} == before
