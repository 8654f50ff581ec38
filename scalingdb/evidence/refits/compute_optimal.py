"""Optimal sizes as powers of compute, fitted again from IsoFLOP curves."""

from __future__ import annotations

from scalingdb.evidence.refits._core import Refit

__all__ = ["REFITS"]

_ISOFLOP_VERTICES = """
    with points_of_curves as (
        select train_flops as c, ln(n_tokens) as x, loss as y
        from points where source_id = 'llama3_isoflop'
    ),
    centred as (
        select c, x - avg(x) over (partition by c) as x, avg(x) over (partition by c) as x_mean,
               y - avg(y) over (partition by c) as y
        from points_of_curves
    ),
    sums as (
        select c, any_value(x_mean) as x_mean, count(*) as n, sum(x**2) as sxx, sum(x**3) as sx3,
               sum(x**4) - sum(x**2)**2 / count(*) as sx4, sum(x * y) as sxy, sum(x**2 * y) as sx2y
        from centred group by c
    ),
    vertices as (
        select c, exp(x_mean - 0.5 * (sxy * sx4 - sx3 * sx2y) / (sxx * sx2y - sx3 * sxy)) as tokens from sums
    ),
    growth as (
        select exp(ln(c) - avg(ln(c)) over ()) as ratio, exp(ln(tokens) - avg(ln(tokens)) over ()) as tokens
        from vertices
    )
    select ratio as budget_ratio_params, 1.0 as budget_ratio_tokens, ratio / tokens as growth from growth
    union all
    select 1.0, ratio, tokens from growth
"""
"""Vertex of the parabola in ln D through each curve, as growth from the mean budget (so no factor is needed)."""

REFITS = [
    Refit(
        law="chinchilla_a2",
        variant="llama3",
        source_id="llama3_isoflop",
        rows=_ISOFLOP_VERTICES,
        options={"objective": "mse_log"},
        note=(
            "Parabolas through the ten IsoFLOP curves of the report's figure 2. N is C / (6 D), so a is 1 - b and "
            "brings nothing of its own."
        ),
    ),
    Refit(
        law="kaplan_chinchilla_map",
        variant="vocabulary_32k",
        source_id="pearce_reconcile",
        rows=(
            "select run_id, n_params, n_params_non_embedding from runs "
            "where source_id = 'pearce_reconcile' and n_params is not null and n_params_non_embedding is not null"
        ),
        options={"objective": "mse_log"},
        note=(
            "The paper derives g from a vocabulary and one aspect ratio and fits nothing. The fifty models of its "
            "script differ in shape and want factors of their own; the best single one is a tenth larger."
        ),
    ),
]
