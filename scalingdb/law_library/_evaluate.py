"""Values of a law: the arguments of a call, coefficients by variant, the range that these were fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError, DomainWarning, unknown_name

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.law_library._core import FloatArray, Law

__all__ = ["bound", "coefficients", "predict", "warn_outside"]


def coefficients(law: Law, variant: str | None) -> dict[str, float]:
    """See :meth:`Law.coefficients`."""
    if not law.published:
        raise unknown_name("variant", variant or "default", (), f"law {law.name!r} has no published coefficients.")
    chosen = law.default_set if variant is None else law.published.get(variant)
    if chosen is None and variant is None and law.default_variant is None:
        first = ", ".join(list(law.published)[:3])
        raise DataError(
            f"law {law.name!r} is a general form: none of its {len(law.published)} published sets is the default",
            f"name one (variant=...: {first} ...), or give the parameters {', '.join(law.params)}.",
        )
    if chosen is None:
        raise unknown_name("variant", variant or law.default_variant or "", law.published, f"(of law {law.name!r})")
    return dict(chosen.params)


def bound(law: Law, inputs: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Values of the inputs in order, and the parameters, from the arguments of a call."""
    takes = f"it takes {', '.join(law.inputs)}, in this order."
    for name in named:
        if name not in law.params and name not in law.inputs:
            raise unknown_name("parameter", name, (*law.params, *law.inputs), f"(of law {law.name!r})")
    if len(inputs) > len(law.inputs):
        raise DataError(f"law {law.name!r} takes {len(law.inputs)} input(s), {len(inputs)} given", takes)
    values = dict(zip(law.inputs, inputs, strict=False))
    if twice := [name for name in values if name in named]:
        raise DataError(f"law {law.name!r}: input {twice[0]!r} is given twice", takes)
    values |= {name: named[name] for name in law.inputs if name in named}
    if missing := [name for name in law.inputs if name not in values]:
        raise DataError(
            f"law {law.name!r} takes {len(law.inputs)} input(s), {len(values)} given: "
            f"{', '.join(map(repr, missing))} is missing",
            takes,
        )
    return [values[name] for name in law.inputs], {k: v for k, v in named.items() if k in law.params}


def warn_outside(law: Law, arrays: Sequence[FloatArray]) -> None:
    """Warn where an input leaves the domain; a rounding beyond its end does not count."""
    said = []
    for name, values in zip(law.inputs, arrays, strict=True):
        if name not in law.domain or not values.size:
            continue
        low, high = law.domain[name]
        slack = 1e-9 * max(abs(low), abs(high if np.isfinite(high) else low))
        outside = values[(values < low - slack) | (values > high + slack)]
        if outside.size:
            worst = sorted({f"{outside.min():.4g}", f"{outside.max():.4g}"}, key=float)
            many = "" if values.size == 1 else f" ({outside.size} of {values.size} values)"
            said.append(f"{name} = {' to '.join(worst)}{many} lies outside {low:.4g} to {high:.4g}")
    if said:
        warnings.warn(
            f"law {law.name!r} extrapolates: {'; '.join(said)}, the range that its coefficients were fitted on",
            DomainWarning,
            stacklevel=3,
        )


def predict(
    law: Law, frame: pl.DataFrame, variant: str | None, inputs: Mapping[str, str] | None, params: Mapping[str, float]
) -> pl.DataFrame:
    """See :meth:`Law.predict`."""
    import polars as pl

    renamed = dict(inputs or {})
    if not isinstance(frame, pl.DataFrame):
        raise DataError(f"a Polars frame is needed, not {type(frame).__name__}", "polars.DataFrame makes one.")
    for name in renamed:
        if name not in law.inputs:
            raise unknown_name("input", name, law.inputs, f"(of law {law.name!r})")
    columns = [renamed.get(name, name) for name in law.inputs]
    for name, column in zip(law.inputs, columns, strict=True):
        if column not in frame.columns:
            raise DataError(
                f"the frame has no column {column!r}, which law {law.name!r} takes "
                f"(its inputs: {', '.join(law.inputs)})",
                f'add it, or say which column to use: inputs={{"{name}": "<column>"}}.',
            )
        if frame[column].null_count():
            raise DataError(
                f"column {column!r} is null in {frame[column].null_count()} of {frame.height} rows",
                "filter the frame first: a law has no prediction without its inputs.",
            )
    values = law(*(frame[column].cast(pl.Float64).to_numpy() for column in columns), variant=variant, **params)
    return frame.with_columns(prediction=pl.Series(np.broadcast_to(values, frame.height), dtype=pl.Float64))
