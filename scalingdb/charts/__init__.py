"""Every Altair chart of scalingdb, and the one theme they share.

A chart is a value: functions take frames and return charts. Charts hold at most a few thousand
rows; aggregate in SQL first.
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.charts import _load  # noqa: F401 - before any module that imports Altair
from scalingdb.charts._theme import BAD, DARK, PALETTE, SPEC_MIME, headed, headed_by_sentence
from scalingdb.charts.arena import arena_distance, arena_map, interval_coverage, win_rates
from scalingdb.charts.comparison import (
    coverage,
    error_map,
    fit_chart,
    held_out_errors,
    loss_curves,
    parameter_intervals,
    residuals,
)
from scalingdb.charts.downstream import (
    capability_trends,
    correlation_ccdf,
    decision_chart,
    error_parts,
    pass_curves,
    predicted_actual,
    score_panels,
    task_intervals,
)
from scalingdb.charts.extrapolation import calibration, error_by_distance, held_out_predictions, law_errors
from scalingdb.charts.fits import estimate_paths, objective_map, profile, verdicts
from scalingdb.charts.forecasts import forecast_chart
from scalingdb.charts.gallery import frontier_chart
from scalingdb.charts.operators import optimum_chart, solution_chart
from scalingdb.charts.planning import (
    allocation_chart,
    allocation_exponents,
    crossover_chart,
    multiplier_chart,
    next_run_map,
    next_runs_chart,
    plan_chart,
    plan_iso_loss,
    plan_isoflop,
    repetition_chart,
    replay_chart,
)
from scalingdb.charts.practices import answer_shift, practice_arms, subset_errors, sweep_map
from scalingdb.charts.replication import VERDICT_COLORS, stated_distances, verdict_shares
from scalingdb.charts.trends import LABEL_COLORS, label_matrix, trend_gallery, trend_scan, trend_surface, unseen_turn

__all__ = [
    "BAD",
    "DARK",
    "LABEL_COLORS",
    "PALETTE",
    "SPEC_MIME",
    "VERDICT_COLORS",
    "allocation_chart",
    "allocation_exponents",
    "answer_shift",
    "arena_distance",
    "arena_map",
    "calibration",
    "capability_trends",
    "correlation_ccdf",
    "coverage",
    "crossover_chart",
    "decision_chart",
    "error_by_distance",
    "error_map",
    "error_parts",
    "estimate_paths",
    "fit_chart",
    "forecast_chart",
    "frontier_chart",
    "headed",
    "headed_by_sentence",
    "held_out_errors",
    "held_out_predictions",
    "interval_coverage",
    "label_matrix",
    "law_errors",
    "loss_curves",
    "multiplier_chart",
    "next_run_map",
    "next_runs_chart",
    "objective_map",
    "optimum_chart",
    "parameter_intervals",
    "pass_curves",
    "plan_chart",
    "plan_iso_loss",
    "plan_isoflop",
    "practice_arms",
    "predicted_actual",
    "profile",
    "repetition_chart",
    "replay_chart",
    "residuals",
    "score_panels",
    "solution_chart",
    "stated_distances",
    "subset_errors",
    "sweep_map",
    "task_intervals",
    "trend_gallery",
    "trend_scan",
    "trend_surface",
    "unseen_turn",
    "verdict_shares",
    "verdicts",
    "win_rates",
]

tell(globals())
