"""Information criteria of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from scalingdb.estimation.objectives import LossName
    from scalingdb.fits._result import Fit

__all__ = ["information"]

LIKELIHOODS: dict[LossName, str] = {
    "huber": "Huber's density",
    "squared": "normal",
    "absolute": "Laplace",
    "binomial": "binomial",
    "beta_binomial": "beta-binomial",
}


def information(fit: Fit) -> pl.DataFrame:
    """See :meth:`Fit.information`."""
    from scalingdb.estimation.likelihood import log_likelihood

    kind = fit._kind
    rows = fit.augment()
    y = rows[fit.recipe.output].cast(pl.Float64).to_numpy()
    n = int((fit._weights > 0).sum())
    # the scale of the residuals, or the dispersion of a beta-binomial, is estimated as well
    estimated = fit._estimate.n_free + (kind.name != "binomial")
    value = log_likelihood(kind, y, rows["prediction"].to_numpy(), fit._weights)
    left = n - estimated - 1
    is_known = bool(np.isfinite(value)) and not fit.recipe.priors
    name = LIKELIHOODS[kind.loss] + (" of log residuals" if kind.is_log else "")
    return pl.DataFrame(
        {
            "likelihood": [name],
            "log_likelihood": [value if is_known else None],
            "n_rows": [n],
            "n_estimated": [estimated],
            "aicc": [
                2 * (estimated - value) + 2 * estimated * (estimated + 1) / left if is_known and left > 0 else None
            ],
            "bic": [estimated * np.log(n) - 2 * value if is_known else None],
        },
        schema_overrides=dict.fromkeys(("log_likelihood", "aicc", "bic"), pl.Float64),
    )
