"""Polars frames that show in a notebook what matters: losses among fifty columns, a split with units and intervals."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from scalingdb.display import Markup, html_table, magnitude, number
from scalingdb.schema import N_DEFINITIONS

__all__ = ["SPLIT", "OptimumFrame", "PointsFrame", "common_types", "with_unit"]

SHOWN = 10
"""Rows of a longer frame that are shown: half from its start, half from its end."""

SPLIT: Mapping[str, tuple[str, str, Callable[[float | None], str]]] = {
    "train_flops": ("compute C", "FLOP", lambda value: number(value, 4)),
    "n_params": ("N", "parameters", magnitude),
    "n_tokens": ("D", "tokens", magnitude),
    "tokens_per_param": ("D/N", "tokens per parameter", lambda value: number(value, 3)),
    "loss": ("loss", "as fitted", lambda value: number(value, 4)),
}
"""Heading, unit and formatter of each column of a best split."""


def with_unit(name: str, unit: str) -> Markup:
    """A heading with its unit below."""
    return Markup(f"{html.escape(name)}<br><small>{html.escape(unit)}</small>" if unit else html.escape(name))


class OptimumFrame(pl.DataFrame):
    """Best splits of budgets: a Polars frame in all but its look in a notebook."""

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        if not set(SPLIT) <= set(self.columns):
            return str(super()._repr_html_())
        head = [with_unit(name, unit) for name, unit, _ in SPLIT.values()]
        rows = []
        for row in self.iter_rows(named=True):
            cells = []
            for name, (_, _, say) in SPLIT.items():
                low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
                ends = "" if low is None or high is None else f"<br><small>{say(low)} to {say(high)}</small>"
                cells.append(Markup(f"<b>{say(row[name])}</b>{ends}"))
            rows.append(cells)
        has_ends = "loss_low" in self.columns
        note = "<p><small>Below each value its interval; <code>*_low</code> and <code>*_high</code>.</small></p>"
        return f'<div class="scalingdb-optimum">{html_table(head, rows)}{note if has_ends else ""}</div>'


class PointsFrame(pl.DataFrame):
    """Losses of runs: a Polars frame in all but its look in a notebook."""

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        if not {"run_id", "loss", "unit"} <= set(self.columns):
            return str(super()._repr_html_())
        counted = [name for name in _values(self, "n_definition") if name in self.columns]
        size = counted[0] if len(counted) == 1 else "n_params"
        columns: list[tuple[str, Markup]] = [("run_id", with_unit("run", ""))]
        told_apart = [name for name in ("source_id", "family", "eval_set") if len(_values(self, name)) > 1]
        columns += [(name, with_unit(name.removesuffix("_id").replace("_", " "), "")) for name in told_apart]
        kind = size.removeprefix("n_params").replace("_", " ").strip()
        columns += [
            (size, with_unit("N", f"parameters, {kind}" if kind else "parameters")),
            ("n_tokens", with_unit("D", "tokens")),
        ]
        flops = "train_flops" if self._has("train_flops") else "train_flops_6nd"
        columns += [(flops, with_unit("C", "FLOP" if flops == "train_flops" else "6ND, FLOP"))]
        columns += [("step", with_unit("step", ""))] if len(_values(self, "run_id")) < self.height else []
        columns += [("loss", with_unit("loss", ", ".join(_values(self, "unit")).replace("_", " ")))]
        columns = [(name, head) for name, head in columns if self._has(name)]
        rows = [[_said(name, row[name]) for name, _ in columns] for row in _ends(self)]
        if self.height > SHOWN:
            rows.insert(SHOWN // 2, ["…"] * len(columns))
        more = f"{self.height} rows and {self.width} columns; {len(columns)} are shown"
        sets = [name for name in _values(self, "eval_set") if name != "unstated"]
        where = f"evaluated on {', '.join(sets[:3])}" if sets else "the evaluation set is not stated"
        kinds = f"; metric {', '.join(_values(self, 'metric'))}; {where}"
        note = f"<p><small>{html.escape(more + kinds)}.</small></p>"
        return f'<div class="scalingdb-points">{html_table([head for _, head in columns], rows)}{note}</div>'

    def _has(self, name: str) -> bool:
        return name in self.columns and self[name].null_count() < self.height


def _values(frame: pl.DataFrame, name: str) -> list[str]:
    return frame[name].drop_nulls().unique().sort().to_list() if name in frame.columns else []


def _ends(frame: pl.DataFrame) -> Iterable[dict[str, Any]]:
    if frame.height <= SHOWN:
        return frame.iter_rows(named=True)
    return pl.concat([frame.lazy().head(SHOWN // 2), frame.lazy().tail(SHOWN // 2)]).collect().iter_rows(named=True)


def _said(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if name in N_DEFINITIONS or name == "n_tokens":
        return magnitude(float(value))
    if name.startswith("train_flops"):
        return number(float(value), 3)
    return Markup(f"<b>{number(float(value), 5)}</b>") if name == "loss" else number(float(value))


def common_types(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The frames with one type for each column, which holds the values of all exactly: numbers, else text."""
    types: dict[str, list[pl.Series]] = {}
    for frame in frames:
        for column in frame.iter_columns():
            types.setdefault(column.name, []).append(column)
    casts = {name: _common_type(columns) for name, columns in types.items() if len({c.dtype for c in columns}) > 1}
    return [
        frame.with_columns(_as(frame[name], dtype) for name, dtype in casts.items() if name in frame.columns and dtype)
        for frame in frames
    ]


def _as(column: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """The column as another type; whole numbers as text without a point, as a file would have them."""
    if dtype == pl.String and column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        return whole.cast(pl.String).zip_with((whole == column).fill_null(False), column.cast(pl.String))
    return column.cast(dtype)


def _common_type(columns: Sequence[pl.Series]) -> pl.DataType | type[pl.DataType] | None:
    """What holds every value of some columns exactly; nothing where they are nested."""
    known = [column for column in columns if column.dtype != pl.Null]
    dtypes = {column.dtype for column in known}
    if len(dtypes) < 2:
        return known[0].dtype if known else None
    if any(dtype.is_nested() for dtype in dtypes):
        return None
    if not all(dtype.is_numeric() for dtype in dtypes):
        return pl.String
    if all(dtype.is_integer() for dtype in dtypes):
        return pl.Int64
    whole = [column.cast(pl.Int64, strict=False) for column in known]
    if all((part.abs() <= 2**53).all() for part, column in zip(whole, known, strict=True) if column.dtype.is_integer()):
        return pl.Float64
    is_whole = all((part == column).all() for part, column in zip(whole, known, strict=True))
    return pl.Int64 if is_whole else pl.String
