"""The SQL section: worked queries with their results, and a dictionary of tables, views and macros."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalingdb.display import html_table
from scalingdb.published import default_path
from scalingdb.schema import COLUMNS, DERIVED, METRICS, TABLES, UNITS, Column
from scalingdb.site.gallery import library
from scalingdb.site.words import plain, with_code
from scalingdb.warehouse import Warehouse

__all__ = ["Query", "queries", "render_sql"]


@dataclass(frozen=True)
class Query:
    """A worked query.

    Attributes
    ----------
    chapter, title : str
    note : str
        A sentence on how it works; often empty.
    sql : str
    """

    chapter: str
    title: str
    note: str
    sql: str


def queries() -> list[Query]:
    """The worked queries, in the order of the page."""
    text = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")
    found = []
    chapter = ""
    for block in text.split(";\n"):
        notes = [line[3:] for line in block.splitlines() if line.startswith("-- ")]
        sql = "\n".join(line for line in block.splitlines() if not line.startswith("--")).strip()
        if not sql:
            continue
        chapter = next((note[2:] for note in notes if note.startswith("# ")), chapter)
        title = next(note[3:] for note in notes if note.startswith("## "))
        found.append(Query(chapter, title, " ".join(note for note in notes if not note.startswith("#")), sql))
    return found


def render_sql(db: Warehouse) -> Iterator[tuple[str, str]]:
    """Name and Markdown of each page of the section."""
    yield "sql", _front(db)
    yield "sql/queries", _worked(db)
    yield "sql/dictionary", _dictionary(db)
    yield "sql/views", _views(db)
    yield "sql/macros", _macros()


def _front(db: Warehouse) -> str:
    names = db.tables()
    return f"""# SQL

Everything is a table, a view or a macro, and DuckDB answers. The warehouse is read-only; results are Polars frames.

```python
import scalingdb as sdb

db = sdb.connect()
db.sql("select source_id, count(*) as n from runs group by all order by n desc")
```

In a notebook, `%load_ext scalingdb` brings `%%sql` cells; in a shell, `scalingdb sql "select ..."`;
`scalingdb export FILE.duckdb` writes one file for other SQL clients.

* [Worked queries](sql/queries.md): {len(queries())} questions, each with its query and the first rows of the answer.
* [Data dictionary](sql/dictionary.md): every column of the {len(TABLES)} tables, with unit and meaning.
* [Views](sql/views.md): what is derived, with the statement that derives it ({len(names) - len(TABLES)} of them).
* [Macros](sql/macros.md): every law as a function.

Flagged rows are there: write `where flag is null`. Losses may be compared where `unit`, `eval_set` and tokenizer agree.

```{{toctree}}
:hidden:

sql/queries
sql/dictionary
sql/views
sql/macros
```
"""


def _worked(db: Warehouse) -> str:
    parts = ["# Worked queries", "", "The first rows of each answer are those of the warehouse that built this site."]
    chapter = ""
    for query in queries():
        if query.chapter != chapter:
            chapter = query.chapter
            parts += ["", f"## {chapter}"]
        parts += ["", f"### {plain(query.title)}", ""]
        if query.note:
            parts += [with_code(query.note), ""]
        parts += ["```sql", query.sql, "```", "", _rows(db.sql(query.sql))]
    return "\n".join(parts) + "\n"


SHOWN = 8
"""Rows of an answer that the page shows."""


def _rows(frame: pl.DataFrame) -> str:
    cells = [[_short(value) for value in row] for row in frame.head(SHOWN).iter_rows()]
    numeric = itertools.cycle(dtype.is_numeric() for dtype in frame.dtypes)  # head and rows have the same columns
    table = re.sub(
        "<(t[dh])>",
        lambda cell: f'<{cell[1]} class="num">' if next(numeric) else cell[0],
        html_table(frame.columns, cells),
    )
    rest = f"<small>{frame.height - SHOWN} more rows</small>" if frame.height > SHOWN else ""
    return f'<div class="sdb-table">{table}{rest}</div>'.replace("\n", " ")


def _short(value: object) -> object:
    return f"{value[:117]}..." if isinstance(value, str) and len(value) > 120 else value


def _dictionary(db: Warehouse) -> str:
    parts = ["# Data dictionary", "", "What a source does not report is null. `source_id` names a paper or release and"]
    parts += ["`run_id` one training run; everything joins on them.", ""]
    for table in TABLES.values():
        rows = db.sql(f'select count(*) from "{table.name}"').item()
        parts += [f"## {table.name}", "", f"One row is {with_code(table.meaning)}. {rows:,} rows. Key: "]
        parts += [", ".join(f"`{name}`" for name in table.key) + ".", "", _columns(table.columns, COLUMNS), ""]
    parts += ["## Units", ""]
    units = [[name, unit.meaning, _factor(unit.nats_factor)] for name, unit in UNITS.items()]
    parts += [f'<div class="sdb-table">{html_table(["unit", "meaning", "nats per token in one"], units)}</div>', ""]
    parts += ["## Metrics", ""]
    metrics = [
        [name, metric.kind, ", ".join(metric.units), metric.meaning, "yes" if metric.higher_is_better else "no"]
        for name, metric in METRICS.items()
    ]
    head = ["metric", "kind", "units", "meaning", "higher is better"]
    parts += [f'<div class="sdb-table">{html_table(head, metrics).replace("<table>", _SEARCH)}</div>', ""]
    return "\n".join(parts)


_SEARCH = '<table class="sdb-search">'


def _factor(value: float | None) -> float | str:
    return "" if value is None else value


def _columns(names: tuple[str, ...], columns: Mapping[str, Column]) -> str:
    rows = []
    for name in names:
        column = columns[name]
        choices = "one of " + ", ".join(column.choices) if column.choices else ""
        rows.append([name, str(column.dtype), column.unit, column.meaning, choices])
    return f'<div class="sdb-table">{html_table(["column", "type", "unit", "meaning", "values"], rows)}</div>'


def _views(db: Warehouse) -> str:
    parts = [
        "# Views",
        "",
        "Nothing derived is stored beside reported values: a view computes it when it is asked.",
        "",
    ]
    for file in sorted((default_path() / "views").glob("*.sql")):
        text = file.read_text(encoding="utf-8").strip()
        comment = " ".join(line[3:] for line in text.splitlines() if line.startswith("-- "))
        statement = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
        names = db.sql(f'describe "{file.stem}"').select("column_name", "column_type").rows()
        meaning = {**COLUMNS, **DERIVED}
        rows = [[name, kind.lower(), meaning[name].meaning if name in meaning else ""] for name, kind in names]
        parts += [f"## {file.stem}", "", with_code(comment.partition(" create ")[0]), ""]
        parts += [f'<div class="sdb-table">{html_table(["column", "type", "meaning"], rows)}</div>', ""]
        statement = re.sub(r"\n\s*\n", "\n", statement)
        parts += ["```sql", statement, "```", ""]
    return "\n".join(parts)


def _macros() -> str:
    rows = "".join(
        f'<tr><td><a href="../laws/{law.name}.html">law_{law.name}</a></td>'
        f"<td><code>law_{law.name}({', '.join(law.inputs)})</code></td><td>{law.output}</td></tr>"
        for law in library()
        if law.published
    )
    return f"""# Macros

`law_NAME(inputs)` evaluates a law with the published coefficients that are its default; another published set is
`law_NAME_VARIANT(inputs)`. Inputs may be columns, and coefficients may be given by name:

```sql
select law_chinchilla(7e9, 1.4e12) as epoch, law_chinchilla_hoffmann(7e9, 1.4e12) as hoffmann,
       law_chinchilla(7e9, 1.4e12, "E" := 1.7) as lower_floor
```

<div class="sdb-table"><table class="sdb-search">
<thead><tr><th>Macro</th><th>Call</th><th data-filter>Output</th></tr></thead>
<tbody>{rows}</tbody></table></div>
"""
