"""The result of an approach: two power laws, how certain they are, and the optima behind them."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import html_table, interval
from scalingdb.errors import DataError
from scalingdb.judging.resampling import percentile_interval
from scalingdb.planning._surface import FloatArray
from scalingdb.planning._words import between, three

if TYPE_CHECKING:
    import altair as alt

__all__ = ["WORDS", "Allocation"]

WORDS = {
    1: "approach 1, the envelope of training curves",
    2: "approach 2, parabolas through IsoFLOP curves",
    3: "approach 3, Chinchilla's surface",
}


@told
@dataclass(frozen=True, eq=False)
class Allocation:
    """How optimal N and D grow with compute, by one of the three approaches.

    Attributes
    ----------
    approach : {1, 2, 3}
    level : float
        Coverage of the intervals.
    interval : str
        How they are made.
    notes : tuple of str
        Budgets that were left out and why.
    """

    approach: int
    level: float
    interval: str
    notes: tuple[str, ...]
    _lines: dict[str, tuple[float, float]] = field(repr=False)
    _draws: dict[str, FloatArray] = field(repr=False)
    _optima: pl.DataFrame = field(repr=False)
    _points: pl.DataFrame = field(repr=False)
    _bias: Callable[[], pl.DataFrame] | None = field(repr=False, default=None)

    def tidy(self) -> pl.DataFrame:
        """One row per size: ``quantity, factor, exponent, exponent_low, exponent_high``.

        The power law is ``quantity = factor * train_flops**exponent``.
        """
        rows = []
        for name, (log_factor, power) in self._lines.items():
            low, high = self._ends(self._draws[name][:, 1])
            rows.append((name, float(np.exp(log_factor)), power, low, high))
        columns = ["quantity", "factor", "exponent", "exponent_low", "exponent_high"]
        return pl.DataFrame(rows, schema=columns, orient="row")

    def optima(self) -> pl.DataFrame:
        """Optimal sizes of each budget, before the line through them: ``train_flops, n_params, n_tokens, loss``."""
        return self._optima

    def runs(self) -> pl.DataFrame:
        """The rows behind the result: ``train_flops, n_params, n_tokens, loss``.

        Of approach 2 also the ``prediction`` of the parabola, whether the run was ``used``, and why not (``left_out``).
        """
        return self._points

    def augment(self) -> pl.DataFrame:
        """The same as :meth:`runs`."""
        return self._points

    def glance(self) -> pl.DataFrame:
        """One row: ``approach, n_runs, n_budgets`` (with an optimum), ``level, interval, notes``."""
        used = self._points.filter("used").height if "used" in self._points.columns else self._points.height
        budgets = self._optima.filter("used").height if "used" in self._optima.columns else self._optima.height
        return pl.DataFrame(
            {
                "approach": [self.approach],
                "n_runs": [used],
                "n_budgets": [budgets],
                "level": [self.level],
                "interval": [self.interval],
                "notes": ["; ".join(self.notes)],
            }
        )

    def bias(self) -> pl.DataFrame:
        """What may bias a parabola, one row per budget (approach 2 only).

        Returns
        -------
        DataFrame
            ``train_flops, n_points``; ``half_width``, the factor from the middle of the sampled sizes to
            their ends; ``offset``, the middle of the sampled sizes over the vertex; ``curvature`` of the
            loss against ln N; ``asymmetry``, the estimated ``beta - alpha`` from a cubic, and its
            standard error; ``vertex_bias_params`` and ``vertex_bias_tokens``, what a parabola through noise-free
            losses of a fitted Chinchilla surface at the same sizes gives, over that surface's optimum.

        Raises
        ------
        DataError
            For another approach.
        """
        if self._bias is None:
            raise DataError(f"{WORDS[self.approach]} has no bias report", "approach_2(points).bias()")
        return self._bias()

    def at(self, train_flops: Any) -> pl.DataFrame:
        """Optimal sizes for budgets, with intervals.

        Returns
        -------
        DataFrame
            ``train_flops``, and ``n_params, n_tokens, tokens_per_param`` with ``_low`` and ``_high``.
        """
        log_c = np.log(np.atleast_1d(np.asarray(train_flops, dtype=float)))
        out: dict[str, Any] = {"train_flops": np.exp(log_c)}
        values = {name: np.exp(line[0] + line[1] * log_c) for name, line in self._lines.items()}
        draws = {name: np.exp(d[:, :1] + d[:, 1:] * log_c) for name, d in self._draws.items()}
        values["tokens_per_param"] = values["n_tokens"] / values["n_params"]
        draws["tokens_per_param"] = draws["n_tokens"] / draws["n_params"]
        for name, value in values.items():
            ends = [self._ends(column) for column in draws[name].T]
            out[name] = value
            out[f"{name}_low"], out[f"{name}_high"] = [e[0] for e in ends], [e[1] for e in ends]
        return pl.DataFrame(out)

    def _span(self) -> tuple[float, float]:
        flops = self._points["train_flops"]
        return float(flops.min()), float(flops.max())  # type: ignore[arg-type]

    def _parabolas(self) -> pl.DataFrame | None:
        """Points on the parabola of each budget (approach 2)."""
        if self.approach != 2:
            return None
        parts = []
        for (c,), runs in self._points.filter("used").group_by("train_flops", maintain_order=True):
            x = np.log(runs["n_params"].to_numpy())
            fine = np.linspace(x.min(), x.max(), 30)
            loss = np.polyval(np.polyfit(x - x.mean(), runs["loss"].to_numpy(), 2), fine - x.mean())
            parts.append(pl.DataFrame({"train_flops": np.full(30, c), "n_params": np.exp(fine), "loss": loss}))
        return pl.concat(parts)

    def _ends(self, samples: FloatArray) -> tuple[float | None, float | None]:
        good = samples[np.isfinite(samples)]
        if good.size < 20:
            return None, None
        low, high = percentile_interval(good, self.level)
        return float(low), float(high)

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        notes = "; ".join(self.notes)
        return f"By {WORDS[self.approach]}, {self._growth()}." + (f" {notes[0].upper()}{notes[1:]}." if notes else "")

    def _growth(self) -> str:
        rows = {row["quantity"]: row for row in self.tidy().iter_rows(named=True)}
        parts = [
            f"optimal {word} grow as C^{three(rows[name]['exponent'])}"
            + between(three(rows[name]["exponent_low"]), three(rows[name]["exponent_high"]), self.level)
            for name, word in (("n_params", "parameters"), ("n_tokens", "tokens"))
        ]
        return " and ".join(parts)

    def chart(self) -> alt.Chart:
        """The runs of each budget with the optimum found, and the line through the optima (Altair)."""
        from scalingdb import charts

        drawn = charts.allocation_chart(
            self.runs(), self.optima(), self.at(np.geomspace(*self._span(), 30)), self._parabolas()
        )
        return charts.headed(drawn, f"O{self._growth()[1:]}", f"By {WORDS[self.approach]}.")

    def __repr__(self) -> str:
        return f"<Allocation: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = ["optimal", "power law", f"{100 * self.level:g} % interval of the exponent"]
        rows = [
            [
                row["quantity"],
                f"{row['factor']:.4g} * C^{row['exponent']:.4f}",
                interval(row["exponent_low"], row["exponent_high"], 3),
            ]
            for row in self.tidy().iter_rows(named=True)
        ]
        return (
            f"<p>{html.escape(self.sentence)}</p>{html_table(head, rows)}"
            f"<p>Intervals: {html.escape(self.interval)}.</p>"
        )
