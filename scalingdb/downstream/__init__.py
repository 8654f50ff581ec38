"""Downstream scores: what makes them hard to predict, and the laws that predict them.

`chain` puts scores on other scales, `correlations` measures predictability, `task_laws` predicts
scores in two steps through a loss or in one, `observational` and `shared_skills` learn from
public models, `repeated_sampling` extrapolates pass@k, `transfer` carries losses from one data set to another,
`difficulty` looks at easy and hard questions apart, `clusters` predicts groups of like difficulty, `recipes` asks
which data win at scale, `sampling_estimates` holds pass rates by stopping, gaps, bounds and nested limits,
`forecasts` predicts many tasks and judges.
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.downstream.chain import CHAIN, TRANSFORMS, Transform, answer_chain, task_means, transform, with_std_error
from scalingdb.downstream.clusters import cluster_forecast, cluster_laws, difficulty_clusters, monotone_map
from scalingdb.downstream.correlations import ccdf, chain_cost, predictability, scores
from scalingdb.downstream.difficulty import difficulty_shapes, slice_and_sandwich
from scalingdb.downstream.forecasts import early_to_final, forecast, roles_by_compute, score_table
from scalingdb.downstream.links import LINKS, Link, fit_link
from scalingdb.downstream.observational import (
    Capabilities,
    ObservationalLaw,
    family_trends,
    observational_law,
    principal_capabilities,
)
from scalingdb.downstream.recipes import decision_accuracy
from scalingdb.downstream.repeated_sampling import (
    PassLaw,
    extrapolation_errors,
    pass_aggregate_law,
    pass_at_k,
    pass_curve,
    pass_mixture_law,
    thin,
)
from scalingdb.downstream.sampling_estimates import (
    alignment_score,
    monolingual_gap,
    nested_limit,
    stop_at_r,
    upper_bound,
)
from scalingdb.downstream.shared_skills import Sloth, sloth
from scalingdb.downstream.task_laws import OneStep, TwoStep, checkpoint_pairs, final_values, one_step, two_step
from scalingdb.downstream.transfer import LossToLoss, loss_to_loss, paired_losses, recompute_released_fits

__all__ = [
    "CHAIN",
    "LINKS",
    "TRANSFORMS",
    "Capabilities",
    "Link",
    "LossToLoss",
    "ObservationalLaw",
    "OneStep",
    "PassLaw",
    "Sloth",
    "Transform",
    "TwoStep",
    "alignment_score",
    "answer_chain",
    "ccdf",
    "chain_cost",
    "checkpoint_pairs",
    "cluster_forecast",
    "cluster_laws",
    "decision_accuracy",
    "difficulty_clusters",
    "difficulty_shapes",
    "early_to_final",
    "extrapolation_errors",
    "family_trends",
    "final_values",
    "fit_link",
    "forecast",
    "loss_to_loss",
    "monolingual_gap",
    "monotone_map",
    "nested_limit",
    "observational_law",
    "one_step",
    "paired_losses",
    "pass_aggregate_law",
    "pass_at_k",
    "pass_curve",
    "pass_mixture_law",
    "predictability",
    "principal_capabilities",
    "recompute_released_fits",
    "roles_by_compute",
    "score_table",
    "scores",
    "slice_and_sandwich",
    "sloth",
    "stop_at_r",
    "task_means",
    "thin",
    "transform",
    "two_step",
    "upper_bound",
    "with_std_error",
]

tell(globals())
