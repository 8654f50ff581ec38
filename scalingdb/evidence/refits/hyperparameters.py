"""Hyper-parameters as powers of N and D, fitted again."""

from __future__ import annotations

from scalingdb.evidence.refits._core import Refit

__all__ = ["REFITS"]

_NEAR_BEST = """
    with trained as (
        select run_id, n_params_non_embedding, n_tokens, learning_rate, batch_size_tokens, loss
        from points
        where source_id = 'steplaw' and study = 'dense' and metric = 'train_loss_smoothed' and flag is null
    )
    select * from trained
    qualify loss <= 1.0025 * min(loss) over (partition by n_params_non_embedding, n_tokens)
"""
"""Every run within 0.25 % of the best of its cell, as the authors select them."""

_NOTE = (
    "Ordinary least squares of the logarithms on the authors' selection. The released runs are a part of the paper's "
    "(2,619 of 3,700), and the published exponents cannot be recomputed from them."
)

REFITS = [
    *(
        Refit(
            law="step_law",
            variant=variant,
            source_id="steplaw",
            rows=_NEAR_BEST,
            options={"objective": "mse_log"},
            note=_NOTE,
        )
        for variant in ("published", "bootstrap_mean")
    ),
    *(
        Refit(
            law="step_law_batch",
            variant=variant,
            source_id="steplaw",
            rows=_NEAR_BEST,
            options={"objective": "mse_log"},
            note=_NOTE,
        )
        for variant in ("published", "bootstrap_mean")
    ),
]
