"""Which of two laws is better on the rows that both predicted, and whether that is more than noise."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.comparison._tables import PAIR_SCHEMA
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.judging.resampling import FEWEST, Draws, resample
from scalingdb.judging.words import finding, pair_verdict, resampled_words

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Judged", "error_intervals", "pair_row", "pairs"]


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out rows of several laws, ready to be resampled.

    Attributes
    ----------
    rows : mapping of law to DataFrame
        Its held-out rows, in the order of the frame.
    refits : mapping of law to array (B, n)
        Absolute relative errors of its refits on B training resamples, in the same order.
    rng : int
        Seed.
    """

    rows: Mapping[str, pl.DataFrame]
    refits: Mapping[str, FloatArray]
    rng: int

    def common(self, laws: Sequence[str]) -> FloatArray:
        """Numbers of the rows that all of some laws predicted."""
        if any(name not in self.rows for name in laws):
            return np.empty(0)
        return functools.reduce(np.intersect1d, [self.rows[name]["row"].to_numpy() for name in laws])

    def draws(self, laws: Sequence[str], by: str | None = None) -> tuple[Draws, str]:
        """Mean errors of laws on the same resamples of the rows that all of them predicted, and what was drawn."""
        rows = self.common(laws)
        picked = [np.isin(self.rows[name]["row"].to_numpy(), rows) for name in laws]
        errors = np.array(
            [
                np.abs(self.rows[name]["relative_error"].to_numpy()[is_common])
                for name, is_common in zip(laws, picked, strict=True)
            ]
        )
        refits = None
        if all(name in self.refits for name in laws):
            refits = np.stack([self.refits[name][:, is_common] for name, is_common in zip(laws, picked, strict=True)])
        frame = self.rows[laws[0]].filter(picked[0])
        unit = by or _unit(frame)
        if unit is None:
            # numbered by what they hold, not by their place: the order of rows must not matter
            order = pl.Series(errors[0]).rank("ordinal").to_numpy().astype(np.int64) - 1
            return resample(errors, order, self.rng, refits), "rows"
        units = frame[unit].rank("dense").cast(pl.Int64).to_numpy() - 1
        words = {"run_id": "runs", "fold": "groups"}.get(unit, f"values of {unit}")
        return resample(errors, units, self.rng, refits), words


def _unit(frame: pl.DataFrame) -> str | None:
    """What is drawn unless told otherwise: groups where enough were left out in turn, else runs."""
    if frame["fold"].n_unique() >= FEWEST:
        return "fold"
    return "run_id" if "run_id" in frame.columns and frame["run_id"].null_count() == 0 else None


def error_intervals(judged: Judged, level: float) -> pl.DataFrame:
    """``law, error_low, error_high`` of the mean held-out error; null where too few runs were held out."""
    rows = []
    for name in judged.rows:
        draws, _ = judged.draws([name])
        low, high = draws.interval(lambda values: values[0], level) if draws.draws_units else (None, None)
        rows.append({"law": name, "error_low": low, "error_high": high})
    schema = {"law": pl.String, "error_low": pl.Float64, "error_high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def pair_row(draws: Draws, unit: str, better: str, other: str, level: float = DEFAULT_LEVEL) -> dict[str, Any]:
    """A row of :meth:`Comparison.pairwise`, from what :meth:`Judged.draws` returns for two laws."""
    error_a, error_b = draws.estimate
    row: dict[str, Any] = {
        "law_a": better,
        "law_b": other,
        "error_a": float(error_a),
        "error_b": float(error_b),
        "difference": float(error_b - error_a),
        "ratio": float(error_b / max(error_a, 1e-300)),
        "n_runs": draws.n_units,
        "resampled": resampled_words(draws, unit),
    }
    if draws.values.size:
        a, b = draws.values
        row["low"], row["high"] = draws.interval(lambda values: values[1] - values[0], level)
        row["ratio_low"], row["ratio_high"] = draws.interval(
            lambda values: values[1] / np.maximum(values[0], 1e-300), level
        )
        row["share_a_better"] = float((a < b).mean())
    if draws.draws_units:
        found = finding(row["low"], row["high"])
        # resamples that all lie beside the estimate do not say how far it can be trusted
        is_beside = row["difference"] in (row["low"], row["high"])
        row["is_noise"] = None if found == "unknown" else found == "noise" or is_beside
    row["verdict"] = pair_verdict(draws, better, row.get("is_noise"), row.get("share_a_better"))
    return {**dict.fromkeys(PAIR_SCHEMA), **row}


def pairs(judged: Judged, laws: Sequence[str], level: float, by: str | None) -> pl.DataFrame:
    """Every two of some laws that predicted rows in common, the better one first."""
    rows = [
        pair_row(*judged.draws([better, other], by), better, other, level)
        for position, better in enumerate(laws)
        for other in laws[position + 1 :]
        if judged.common([better, other]).size
    ]
    return pl.DataFrame(rows, schema=PAIR_SCHEMA, orient="row")
