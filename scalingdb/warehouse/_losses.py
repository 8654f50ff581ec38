"""Losses of runs, and the list of sources: the questions that :class:`Warehouse` has methods for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from scalingdb._frames import PointsFrame, common_types
from scalingdb.errors import DataError, unknown_name
from scalingdb.notices import argument, notice
from scalingdb.schema import METRICS
from scalingdb.warehouse._session import Session

__all__ = ["SOURCES", "losses"]

SOURCES = """
select s.source_id, s.title, s.year, s.arxiv_id,
       coalesce(r.n_runs, 0)::bigint as n_runs, coalesce(e.n_evals, 0)::bigint as n_evals,
       coalesce(i.n_items, 0)::bigint as n_items, coalesce(e.n_flagged, 0)::bigint as n_flagged,
       coalesce(c.n_claims, 0)::bigint as n_claims,
       coalesce(t.n_claims_testable, 0)::bigint as n_claims_testable,
       s.headline_metric, s.headline_eval_set, s.n_definition, s.licence, s.is_shipped,
       s.repository, s.upstream_commit, s.notes
from sources s
left join (select source_id, count(*) as n_runs from runs group by all) r using (source_id)
left join (select source_id, count(*) as n_evals, count(flag) as n_flagged from evals group by all) e
    using (source_id)
left join (select source_id, count(*) as n_items from items group by all) i using (source_id)
left join (select source_id, count(*) as n_claims from claims group by all) c using (source_id)
left join (
    select source_id, count(*) as n_claims_testable
    from (select unnest(string_split(test_source, ';')) as source_id from claims)
    group by all
) t using (source_id)
order by n_runs = 0, s.source_id
"""
"""What :meth:`Warehouse.sources` asks."""


def losses(
    db: Session,
    view: str,
    source: str | Sequence[str],
    *,
    metric: str | None,
    eval_set: str | None,
    study: str | None,
    family: str | None,
    split: str | None,
    flagged: bool,
) -> pl.DataFrame:
    """Rows of ``points`` or ``curves`` for one or several sources."""
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise unknown_name("source", source, ())
    asked = [source] if isinstance(source, str) else source
    names = list(dict.fromkeys(name if isinstance(name, str) else repr(name) for name in asked))
    given = {"metric": metric, "eval_set": eval_set, "study": study, "family": family, "split": split}
    for option, value in given.items():
        if value is not None and not isinstance(value, str):
            raise DataError(f"{option} is {value!r}, not text", f"give one {option} as text.")
    if not isinstance(flagged, bool):
        raise DataError(f"flagged is {flagged!r}, neither True nor False")
    if not names:
        raise DataError("no source is given", "name at least one: db.sources() lists them.")
    known = {row["source_id"]: row for row in db.heads().iter_rows(named=True)}
    frames, n_flagged = [], 0
    for name in names:
        if name not in known:
            raise unknown_name("source", name, known)
        kind = metric or known[name]["headline_metric"]
        if kind is None:
            fits = db.rows("select 1 from published_fits where source_id = $source limit 1", {"source": name})
            held, table = ("findings", "claims") if fits.is_empty() else ("coefficients", "published_fits")
            raise DataError(
                f"source {name!r} holds no measurements, only published {held}",
                f'see db.sql("select * from {table}").',
            )
        if kind in METRICS and METRICS[kind].kind == "score":
            raise DataError(
                f"metric {kind!r} of source {name!r} is a downstream score, not a loss",
                f"use db.sql(\"select * from scores where source_id = '{name}'\").",
            )
        headline_set = known[name]["headline_eval_set"] if kind == known[name]["headline_metric"] else None
        wanted_set = eval_set or headline_set
        wanted = {
            "metric": kind,
            "eval_set": None if wanted_set == "*" else wanted_set,
            "study": study,
            "family": family,
            "split": split,
        }
        chosen = {column: value for column, value in wanted.items() if value is not None}
        where = " and ".join(f"{column} = ${column}" for column in chosen)
        schema = db.alone(name)
        frame = db.rows(
            f"select * from {schema}{view} where source_id = $source and {where} "
            "order by run_id, metric, eval_set, split, n_shots, n_tokens, n_examples, step",
            {"source": name, **chosen},
            of_tables=bool(schema),
        )
        if frame.is_empty():
            _explain_empty(db, view, name, chosen)
        if not flagged:
            n_flagged += frame["flag"].count()
            frame = frame.filter(pl.col("flag").is_null())
        frames.append(_with_own_columns(db, frame, name))
    result = pl.concat(common_types(frames), how="diagonal")  # knobs of two sources may be numbers and text
    if n_flagged:
        notice(
            f"{view}({', '.join(map(repr, names))}): {result.height} rows; {n_flagged} flagged rows left out "
            f"({argument(flagged=True)} keeps them, column 'flag_reason' says why)"
        )
    return PointsFrame(result)


def _with_own_columns(db: Session, frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """Whatever else the user mapped: columns of the run that the view leaves out, and knobs of their own."""
    for table in ("runs", "knobs"):
        rows = db.own_rows(table, source)
        if rows is not None:
            more = [name for name in rows.columns if name not in frame.columns and rows[name].count()]
            frame = frame.join(rows.select("run_id", *more), on="run_id", how="left", maintain_order="left")
    return frame


def _explain_empty(db: Session, view: str, source: str, chosen: dict[str, str]) -> None:
    """Name the first condition that no row of the source meets."""
    for column, value in chosen.items():
        choices = db.rows(
            f"select distinct {column} as value from {view} where source_id = $source and {column} is not null",
            {"source": source},
        )["value"].to_list()
        if value not in choices:
            raise unknown_name(column, value, choices, f"(of source {source!r})")
    conditions = ", ".join(f"{column}={value!r}" for column, value in chosen.items())
    raise DataError(
        f"source {source!r} has no rows with {conditions} together",
        f'see which go together: db.sql("select distinct metric, eval_set, study, family, split from {view} '
        f"where source_id = '{source}'\").",
    )
