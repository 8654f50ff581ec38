"""Print the data dictionary: ``warehouse/README.md``, from the schema, the tables and the views.

Nothing in it is written by hand twice: columns, units and metrics come from
``scalingdb/schema.py``, row counts and flags from the shipped Parquet files, the description of a
view from the comment at the head of its SQL file, its columns from DuckDB.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from ingest._build import load_source, source_ids
from ingest.literature import NO_DATA
from scalingdb import connect
from scalingdb._store import replace_durably, scratch_folder
from scalingdb.schema import COLUMNS, DERIVED, METRICS, TABLES, UNITS, Column, Table

__all__ = ["dictionary", "shipped_rows", "write_dictionary", "write_text"]

SQL_TYPES = {pl.String: "varchar", pl.Float64: "double", pl.Int64: "bigint", pl.Boolean: "boolean", pl.Date: "date"}
MAX_REASONS = 3
"""Reasons printed in full for one flag of one source; the rest is counted."""

INTRODUCTION = """\
# Data dictionary

*Printed by `scalingdb build` from the schema, the tables and the views. Edits made here are lost: change
[`scalingdb/schema.py`](../scalingdb/schema.py), the source in [`ingest/`](../ingest) or the view in [`views/`](views).*

This folder is the warehouse: what published studies of scaling report, in one schema, with unit, provenance and
licence on every row. The tables lie in `tables/<table>/<source_id>.parquet`, one file per source, and come with the
package. Sources that may not be redistributed build into `local/`, beside them.

**Three piles, never mixed.** *What a source said*: raw files, checked against a recorded hash and never part of the
package; each measured number names the file and record that it stands in. *What we added*: ids, units, flags and
corrections, declared in code with a reason. *What we derive*: the [views](#views); nothing derived is stored beside
reported values. What a source does not report is null.

**Keys.** `source_id` names a paper or release, `run_id` one training run (`<source_id>/<name within the source>`),
and a checkpoint is a `run_id` with a `step`. `evals` and `items` join `runs` on `run_id`, everything joins `sources`
on `source_id`. A null in a key counts as a value.

**Flags.** No row is dropped in silence. Where the authors or we set a number aside, `flag` holds a short reason and
`flag_reason` the sentence. `db.points()` and `db.curves()` leave flagged rows out and say how many; `flagged=True`
keeps them. In SQL all rows are there: write `where flag is null`.

**The same evidence in several sources.** A model or run that several sources hold has one `model_id` in all of them
([`ingest/_model_ids.py`](../ingest/_model_ids.py) states the rules). [`points_unique`](#points_unique) and
[`scores_unique`](#scores_unique) count each measurement once; [`repeated_points`](#repeated_points) and
[`repeated_scores`](#repeated_scores) say what they leave out and what that repeats.

**What may be compared.** Two losses are comparable when `unit`, `eval_set` and tokenizer agree. `loss_nats` is null
where the unit has no conversion.

## How to query

In Python; results are Polars frames:

```python
import scalingdb as sdb

db = sdb.connect()
db.sources()  # one row per source: size, licence, what to know
db.points("farseer")  # final loss of every run, in the source's headline metric
db.table("published_fits")  # a whole table or view
db.sql("select family, count(*) as n from runs where source_id = $source group by all", source="steplaw")
```

In SQL (`db.sql`, a `%%sql` cell, or any DuckDB client on the file that `scalingdb export FILE.duckdb` writes):

```sql
-- what a published law says about the runs of another study
select p.run_id, p.n_params, p.n_tokens, p.loss, law_chinchilla(p.n_params, p.n_tokens) as predicted
from points p
where p.source_id = 'gadre_overtraining' and p.metric = 'loss' and p.eval_set = 'c4_val' and p.flag is null
order by p.run_id
limit 5
```

`datapackage.json`, beside this page, says the same to software that reads Frictionless Data Packages.

How to cite a source: `db.sql("select bibtex from sources where source_id = 'farseer'").item()`.
"""


def write_dictionary(warehouse: Path) -> bool:
    """Write ``README.md`` into a warehouse folder; return whether it changed.

    Raises
    ------
    WarehouseError
        If the warehouse cannot be read.
    OSError
        If the file cannot be written.
    """
    return write_text(warehouse / "README.md", dictionary(warehouse))


def write_text(target: Path, text: str) -> bool:
    """Replace a generated file in one step; return whether its bytes changed.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if target.exists() and target.read_bytes() == text.encode():
        return False
    with scratch_folder(target.parent, ".printing-") as folder:
        scratch = folder / target.name
        scratch.write_bytes(text.encode())
        replace_durably(scratch, target)
    return True


def dictionary(warehouse: str | os.PathLike[str]) -> str:
    """The data dictionary of a warehouse folder, as Markdown.

    Only shipped tables are counted, so that it does not depend on what was built locally.

    Raises
    ------
    WarehouseError
        If the warehouse cannot be read.
    """
    folder = Path(warehouse)
    shipped = {name: shipped_rows(folder, table) for name, table in TABLES.items()}
    with connect(folder) as db:
        views = {
            name: (_comment(file), db.sql(f'describe "{name}"').select("column_name", "column_type").rows())
            for name, file in sorted((f.stem, f) for f in (folder / "views").glob("*.sql"))
        }
    parts = [
        INTRODUCTION,
        "## Contents\n",
        *_contents(shipped, list(views)),
        "\n## Tables\n",
        *(line for name, table in TABLES.items() for line in _table(table, shipped[name])),
        "## Views\n",
        *_views(views),
        *_units(),
        *_metrics(shipped["evals"]),
        *_ledger(shipped["raw_files"]),
        *_sources(shipped),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def shipped_rows(folder: Path, table: Table) -> pl.DataFrame:
    """All shipped rows of one table of a warehouse folder."""
    files = sorted((folder / "tables" / table.name).glob("*.parquet"))
    parts = [pl.read_parquet(file, glob=False) for file in files]
    return pl.concat(parts) if parts else pl.DataFrame(schema=table.polars_schema)


def _comment(file: Path) -> str:
    """The comment lines at the head of a SQL file, as one paragraph."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


# ---- sections ------------------------------------------------------------------------------------


def _contents(shipped: dict[str, pl.DataFrame], views: list[str]) -> Iterator[str]:
    yield from _rows(
        ("table", "one row is", "rows shipped"),
        ((f"[`{name}`](#{name})", _text(TABLES[name].meaning), f"{frame.height:,}") for name, frame in shipped.items()),
    )
    links = ", ".join(f"[`{name}`](#{name})" for name in views)
    yield (
        f"\nViews: {links}. Reference: [units](#units), [metrics](#metrics), [ledger](#ledger), "
        "[sources](#sources-in-detail), [literature](#literature)."
    )


def _table(table: Table, frame: pl.DataFrame) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"One row is {_text(table.meaning)}. Key: {', '.join(f'`{name}`' for name in table.key)}.\n"
    yield f"{_count_by_source(frame)}\n"
    yield from _rows(
        ("column", "type", "unit", "may be null", "meaning", "values"),
        (
            (
                f"`{name}`",
                SQL_TYPES[COLUMNS[name].dtype],  # type: ignore[index]
                _unit(COLUMNS[name]),
                "no" if name in table.required or name == table.key[0] else "yes",
                _text(COLUMNS[name].meaning),
                _values(table.name, COLUMNS[name]),
            )
            for name in table.columns
        ),
    )
    yield ""


def _count_by_source(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return "No rows are shipped yet."
    counts = frame.group_by("source_id").len().sort("source_id").rows()
    if len(counts) == frame.height:
        return f"{frame.height:,} rows, one per source."
    return f"{frame.height:,} rows: " + ", ".join(f"{source} {n:,}" for source, n in counts) + "."


def _views(views: dict[str, tuple[str, list[tuple[str, str]]]]) -> Iterator[str]:
    listed: dict[tuple[tuple[str, str], ...], str] = {}
    for name, (comment, columns) in views.items():
        yield f"### {name}\n"
        yield f"{_text(comment)}\n"
        if tuple(columns) in listed:
            twin = listed[tuple(columns)]
            yield f"The columns are those of [`{twin}`](#{twin}).\n"
        else:
            listed[tuple(columns)] = name
            yield from _view(columns)


def _view(columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    derived = [column for column, _ in columns if column not in COLUMNS]
    if derived:
        yield f"Computed here, stored nowhere: {', '.join(f'`{column}`' for column in derived)}.\n"
    yield from _rows(
        ("column", "type", "unit", "meaning"),
        (
            (f"`{column}`", dtype.lower(), _unit(_known(column)), _text(_known(column).meaning))
            for column, dtype in columns
        ),
    )
    yield ""


def _known(column: str) -> Column:
    return COLUMNS[column] if column in COLUMNS else DERIVED[column]


def _units() -> Iterator[str]:
    yield "## Units\n"
    yield "Also in SQL, as `units` (`unit`, `meaning`, `nats_factor`).\n"
    yield from _rows(
        ("unit", "meaning", "to nats per token", "values"),
        ((f"`{u.name}`", _text(u.meaning), _to_nats(u.name), _bounds(u.minimum, u.maximum)) for u in UNITS.values()),
    )
    yield ""


def _to_nats(unit: str) -> str:
    if unit == "perplexity":
        return "ln(value), in the views"
    factor = UNITS[unit].nats_factor
    return "no conversion" if factor is None else "the value itself" if factor == 1 else f"{factor:.6g} times the value"


def _metrics(evals: pl.DataFrame) -> Iterator[str]:
    counts = dict(evals.group_by("metric").len().rows())
    yield "## Metrics\n"
    yield (
        "Losses are in the views `points` and `curves`, scores in `scores`. "
        "Also in SQL, as `metrics` (`metric`, `kind`, `meaning`, `higher_is_better`).\n"
    )
    yield from _rows(
        ("metric", "kind", "units", "meaning", "higher is better", "rows shipped"),
        (
            (
                f"`{m.name}`",
                m.kind,
                ", ".join(f"`{unit}`" for unit in m.units),
                _text(m.meaning),
                "yes" if m.higher_is_better else "no",
                f"{counts.get(m.name, 0):,}",
            )
            for m in METRICS.values()
        ),
    )
    yield ""


def _ledger(raw_files: pl.DataFrame) -> Iterator[str]:
    """Records of the raw files by source: in, landed, set aside."""
    yield "## Ledger\n"
    yield (
        "Every record of a raw file lands in a table or is set aside: rows in = rows landed + rows set aside, file by "
        "file in [`raw_files`](#raw_files), with the reason. A record lands when a row of `evals`, `items`, "
        "`schedules` or `mixtures` names it, flagged or not. Set aside are copies of records that land, empty records, "
        "and tables that were read into `runs`, `claims` or `published_fits`, which name no records.\n"
    )
    counts = [pl.len(), *(pl.col(name).sum() for name in ("n_rows_in", "n_rows_landed", "n_rows_set_aside"))]
    by_source = raw_files.group_by("source_id").agg(counts).sort("source_id").rows()
    total = raw_files.select(pl.lit("all"), *counts).row(0)
    yield from _rows(
        ("source", "files", "rows in", "rows landed", "rows set aside"),
        (
            (f"`{source}`" if source != "all" else "all", *(f"{n:,.0f}" for n in numbers))
            for source, *numbers in [*by_source, total]
        ),
    )
    yield ""


def _sources(shipped: dict[str, pl.DataFrame]) -> Iterator[str]:
    rows = list(shipped["sources"].filter(pl.col("licence") != NO_DATA).sort("source_id").iter_rows(named=True))
    here = {row["source_id"] for row in rows}
    elsewhere = [
        source.row(0, None).row(0, named=True)
        for source in (load_source(name)[0] for name in source_ids() if name not in here)
        if not source.is_shipped
    ]
    n_runs = dict(shipped["runs"].group_by("source_id").len().rows())
    n_evals = dict(shipped["evals"].group_by("source_id").len().rows())
    flags = _flags(shipped["evals"])
    yield "## Sources in detail\n"
    yield from _rows(
        ("source", "year", "title", "ships", "runs", "numbers", "set aside"),
        (
            (
                f"[`{row['source_id']}`](#{row['source_id']})",
                str(row["year"]),
                _text(row["title"]),
                "yes" if row["is_shipped"] else "no: build it locally",
                f"{n_runs.get(row['source_id'], 0):,}",
                f"{n_evals.get(row['source_id'], 0):,}",
                ", ".join(f"{flag} {n:,}" for flag, n, _ in flags.get(row["source_id"], ())) or "none",
            )
            for row in sorted([*rows, *elsewhere], key=lambda row: str(row["source_id"]))
        ),
    )
    yield ""
    for row in sorted([*rows, *elsewhere], key=lambda row: str(row["source_id"])):
        yield from _source(row, flags.get(row["source_id"], []))
    yield from _literature(shipped)


def _literature(shipped: dict[str, pl.DataFrame]) -> Iterator[str]:
    """Papers that stand in `sources` for their findings only."""
    rows = shipped["sources"].filter(pl.col("licence") == NO_DATA).sort("year", "arxiv_id")
    if rows.is_empty():
        return
    n_claims = dict(shipped["claims"].group_by("source_id").len().rows())
    yield "## Literature\n"
    yield (
        "Papers of which no data is held. Their findings are rows of [`claims`](#claims), in our own words and with "
        "their place; authors are not recorded here, arXiv has them.\n"
    )
    yield from _rows(
        ("source", "year", "title", "findings", "about"),
        (
            (
                f"`{row['source_id']}`",
                str(row["year"]),
                f"[{_text(row['title'])}](https://arxiv.org/abs/{row['arxiv_id']})",
                f"{n_claims.get(row['source_id'], 0):,}",
                _text(row["notes"]),
            )
            for row in rows.iter_rows(named=True)
        ),
    )
    yield ""


def _flags(evals: pl.DataFrame) -> dict[str, list[tuple[str, int, list[str]]]]:
    """Flag codes of every source: code, rows, and its reasons (the most frequent first)."""
    counted = (
        evals.filter(pl.col("flag").is_not_null())
        .group_by("source_id", "flag", "flag_reason")
        .len()
        .sort("source_id", "flag", "len", "flag_reason", descending=[False, False, True, False])
    )
    flags: dict[str, list[tuple[str, int, list[str]]]] = {}
    for (source, flag), group in counted.group_by("source_id", "flag", maintain_order=True):
        flags.setdefault(str(source), []).append((str(flag), int(group["len"].sum()), group["flag_reason"].to_list()))
    return flags


def _source(row: dict[str, object], flags: list[tuple[str, int, list[str]]]) -> Iterator[str]:
    yield f"### {row['source_id']}\n"
    arxiv = f" [arXiv {row['arxiv_id']}](https://arxiv.org/abs/{row['arxiv_id']})." if row["arxiv_id"] else ""
    yield f"{_text(str(row['authors']))} ({row['year']}). *{_text(str(row['title']))}.*{arxiv}\n"
    if row["repository"]:
        commit = f" at commit `{str(row['upstream_commit'])[:10]}`" if row["upstream_commit"] else ""
        yield f"- Raw files: [{row['repository']}](https://github.com/{row['repository']}){commit}"
    yield f"- Licence: {_text(str(row['licence']))}"
    yield f"- Redistribution: {_text(str(row['redistribution']))}"
    if row["headline_metric"]:
        where = f", evaluation set `{row['headline_eval_set']}`" if row["headline_eval_set"] else ""
        yield f"- Headline metric: `{row['headline_metric']}`{where}"
    if row["n_definition"]:
        yield f"- N of its analysis: `{row['n_definition']}`"
    if row["notes"]:
        yield f"- To know: {_text(str(row['notes']))}"
    yield ""
    if flags:
        yield from _rows(
            ("flag", "rows", "reason"),
            ((f"`{flag}`", f"{n:,}", _reasons(reasons)) for flag, n, reasons in flags),
        )
        yield ""


def _reasons(reasons: Sequence[str]) -> str:
    more = len(reasons) - MAX_REASONS
    shown = [_text(reason) for reason in reasons[:MAX_REASONS]]
    return "<br>".join([*shown, f"and {more} more"] if more > 0 else shown)


# ---- Markdown ------------------------------------------------------------------------------------


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join(' --- ' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _text(prose: str) -> str:
    """Prose that Markdown shows as it is written; what stands between backticks stays code."""
    parts = " ".join(prose.split()).replace("|", "\\|").split("`")
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for character in "*~$":
            parts[i] = parts[i].replace(character, f"\\{character}")
    return "`".join(parts)


def _unit(column: Column) -> str:
    return f"[`{column.unit}`](#units)" if column.unit in UNITS else _text(column.unit)


def _values(table: str, column: Column) -> str:
    """Allowed values of a column, or the bounds of a number."""
    if column.name == "metric":
        return "a [metric](#metrics)"
    if column.name == "unit":
        return "free text" if table == "claims" else "a [unit](#units)"
    if column.choices is not None:
        return ", ".join(f"`{choice}`" for choice in column.choices)
    return _bounds(column.minimum, column.maximum)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"≥ {low:g}" if low is not None else f"≤ {high:g}" if high is not None else ""
