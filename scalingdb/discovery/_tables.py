"""Tables of a search, and the sentences in them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.discovery._candidates import Candidate, Judged, score_of
from scalingdb.discovery._grammar import readable, write
from scalingdb.discovery._intervals import coverage_of
from scalingdb.discovery._predict import scatter_of, unseen_error
from scalingdb.discovery._ranking import LISTED, held_out_by_distance
from scalingdb.discovery._solve import natural, normal_matrix
from scalingdb.display import DEFAULT_LEVEL, Markup, html_table, number, percent

if TYPE_CHECKING:
    from scalingdb.discovery._result import Discovery

__all__ = ["as_html", "glance", "inner", "params", "ranked", "remarks"]

LEAST_SEPARATION = 1e-12
"""Smallest eigenvalue of the scaled normal matrix, over the largest, at which parameters count as determined."""


def ranked(found: Discovery) -> pl.DataFrame:
    """See :attr:`Discovery.table`."""
    rows = [_row(found, place) for place in range(min(LISTED, len(found.ranking.order)))]
    schema = {"test_error": pl.Float64, "error_x2": pl.Float64, "error_x8": pl.Float64, "error_beyond": pl.Float64}
    table = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    return table.with_columns(pl.col(*schema).fill_nan(None))


def _row(found: Discovery, place: int) -> dict[str, Any]:
    one = found.ranking.order[place]
    scatter = scatter_of(one.residual, one.n_params)
    far = held_out_by_distance(one, found._cuts)
    test = unseen_error(found, place) if found._tested is not None else None
    plain = one.score if one.n_params == 0 else score_of(one.error, found._cuts, 0)
    return {
        "rank": place + 1,
        "law": found.laws[place].name,
        "formula": _formula(found, one.candidate),
        "origin": "library" if one.is_library else "found",
        "groups": one.candidate.mode,
        "n_params": one.n_params,
        "held_out_error": plain,
        "score": one.score,
        "error_x2": far["x2"],
        "error_x8": far["x8"],
        "error_beyond": far["beyond"],
        "error_fitted": float(np.sqrt(np.mean(one.residual**2))),
        "coverage": coverage_of(one.error, found._cuts, scatter, one.n_params, len(found._table.inputs), DEFAULT_LEVEL),
        "p_leads": found.ranking.better[place],
        "verdict": _verdict(found, one),
        "test_error": test,
        "sentence": _sentence(found, place),
    }


def _formula(found: Discovery, candidate: Candidate) -> str:
    if candidate.form is not None:
        return readable(write(candidate.form, found._table), found._table.inputs)
    return candidate.text


def _verdict(found: Discovery, one: Judged) -> str:
    candidate = one.candidate
    layout = candidate.layout(len(found._table.groups))
    matrix = normal_matrix(candidate.function, candidate.specs, layout, one.u, found._searched.rows)
    size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / size[:, None] / size[None, :]
    values = np.linalg.eigvalsh(scaled) if np.isfinite(scaled).all() else np.array([0.0, 1.0])
    if (np.diag(matrix) <= 1e-300).any() or values[0] < LEAST_SEPARATION * values[-1]:
        return "not identified: the rows do not determine every parameter"
    return "identified"


def _sentence(found: Discovery, place: int) -> str:
    order = found.ranking.order
    one, first = order[place], order[0]
    if place == 0:
        if len(order) == 1:
            return "the only law that could be fitted to these rows and their hold-outs"
        others = next((k for k, other in enumerate(order) if other.is_library and k), None)
        if one.is_library:
            rival = next((k for k, other in enumerate(order) if not other.is_library), None)
            if rival is None:
                return "the law of the library with the smallest held-out error"
            if order[rival].score < one.score:
                return "of the library, and no form that was found is better by more than the held-out rows can tell"
            return "the smallest held-out error of all, and of the library"
        if others is None:
            return "the smallest held-out error of all; no law of the library takes these inputs"
        return (
            f"better than {found.laws[others].name if others < LISTED else 'the best law of the library'} in "
            f"{100 * found.ranking.better[others]:.0f} % of the resamples of held-out rows"
        )
    if place < found.ranking.n_alike:
        return (
            f"cannot be told apart from the first: that has the smaller error in "
            f"{100 * found.ranking.better[place]:.0f} % of the resamples"
        )
    if one.score < first.score:
        return "smaller held-out error, but not surely: the law of the library comes first"
    ratio = one.score / max(first.score, 1e-12)
    return (
        f"{ratio:.3g} times the first one's score; that has the smaller error in "
        f"{100 * found.ranking.better[place]:.0f} % of the resamples"
    )


def params(found: Discovery, place: int) -> pl.DataFrame:
    """See :meth:`Discovery.params`."""
    candidate = found.ranking.order[place].candidate
    theta = natural(candidate.specs, found._ends[place][candidate.layout(len(found._table.groups)).table])
    rows = [
        {**dict(zip(found._table.by, key, strict=True)), "param": spec.name, "value": value, "meaning": spec.meaning}
        for key, values in zip(found._table.groups, theta, strict=True)
        for spec, value in zip(candidate.specs, values, strict=True)
    ]
    return pl.DataFrame(rows)


def glance(found: Discovery) -> pl.DataFrame:
    """See :meth:`Discovery.glance`."""
    gains, size = found.ranking.gains, len(found.ranking.members)
    first = found.ranking.order[0]
    return pl.DataFrame(
        {
            "law": [found.laws[0].name],
            "origin": ["library" if first.is_library else "found"],
            "n_rows": [found._whole.y.size],
            "n_params": [first.n_params],
            "score": [first.score],
            "n_alike": [found.ranking.n_alike],
            "n_averaged": [size],
            "optimism": [found.ranking.optimism],
            "n_nested": [found.ranking.n_nested],
            "nested_error_alone": [gains.get(1)],
            "nested_error_averaged": [gains.get(found.ranking.size)],
            "n_inner": [len(found._cuts)],
            "n_judged": [len(found._searched.judged)],
            "n_screened": [found._searched.n_screened],
            "evaluations": [found._searched.budget.used],
            "is_complete": [not found._searched.budget.is_late],
            "test_error": [unseen_error(found, None) if found._tested is not None else None],
        },
        schema_overrides=dict.fromkeys(("nested_error_alone", "nested_error_averaged", "test_error"), pl.Float64),
    )


def inner(found: Discovery) -> pl.DataFrame:
    """See :meth:`Discovery.inner`."""
    parts = []
    for place, law in enumerate(found.laws):
        one = found.ranking.order[place]
        for place_of_cut, cut in enumerate(found._cuts):
            error = one.error[place_of_cut, cut.test]
            parts.append(
                pl.DataFrame(
                    {
                        "distance": np.exp(cut.log_distance[cut.test]),
                        "relative_error": np.expm1(error) if found._table.is_log else error,
                    }
                ).select(
                    pl.lit(law.name).alias("law"),
                    pl.lit(place + 1).alias("rank"),
                    pl.lit(cut.axis).alias("axis"),
                    pl.lit(place_of_cut + 1).alias("holdout"),
                    pl.all(),
                )
            )
    return pl.concat(parts)


def remarks(found: Discovery) -> list[str]:
    """Parts of the sentence about the result, the finding first."""
    first = found.ranking.order[0]
    what = "of the library" if first.is_library else "found"
    unit = "" if found._table.is_log else " of a typical output"
    lead = f"{found.laws[0].name} ({what}, {first.n_params} parameters) leads {len(found._searched.judged)} laws: "
    lead += f"held-out error {percent(score_of(first.error, found._cuts, 0))}{unit} over 0.5 + ln(distance)"
    parts = [lead]
    if found.ranking.n_alike > 1:
        parts.append(f"the first {found.ranking.n_alike} cannot be told apart: not enough data to choose between them")
    if found.ranking.n_nested:
        parts.append(f"beyond its hold-outs a winner missed {found.ranking.optimism:.2g} times what it missed on them")
    if len(found.ranking.members) > 1:
        parts.append(f"the median of {len(found.ranking.members)} laws predicts")
    if found._searched.budget.is_late:
        parts.append("the clock ran out before the search was done")
    return parts


def as_html(found: Discovery) -> str:
    """The sentence and the table of laws."""
    head = [
        "",
        "law",
        "formula",
        "parameters",
        "held-out error",
        "up to x2",
        "up to x8",
        "beyond",
        "coverage",
        "why",
    ]
    rows = [
        (
            row["rank"],
            row["law"],
            Markup(f"<code>{html.escape(row['formula'])}</code>"),
            row["n_params"],
            percent(row["held_out_error"]),
            percent(row["error_x2"]),
            percent(row["error_x8"]),
            percent(row["error_beyond"]),
            number(row["coverage"], 2),
            row["sentence"],
        )
        for row in found.table.iter_rows(named=True)
    ]
    return f'<div class="scalingdb-discovery"><p>{html.escape(found.sentence)}.</p>{html_table(head, rows)}</div>'
