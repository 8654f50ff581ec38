"""Chapter 9. Hyper-parameters as powers of N and D."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalingdb.law_library._core import exponent, law, positive

_GRID = {"n_params_non_embedding": (6e7, 1.08e9), "n_tokens": (2e9, 1e11)}
_STEP_LAW_FIT = (
    "every run within 0.25 % of the best loss of its cell of N and D; least squares of the logarithms, 1,000 bootstraps"
)


@law(
    "step_law",
    cite="Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_params_non_embedding", "n_tokens"),
    output="learning_rate",
    params={
        "c": positive("scale"),
        "a": exponent("fall of the optimal learning rate with N"),
        "b": exponent("its rise with D"),
    },
    domain=_GRID,
    authors_fit=_STEP_LAW_FIT,
    evidence="README of the authors' repository and its 1,000 bootstrap rows",
)
def step_law(n_params_non_embedding: Any, n_tokens: Any, *, c: Any, a: Any, b: Any) -> Any:
    """Optimal peak learning rate of the Step Law, ``c * N**-a * D**b``.

    N leaves embeddings out. It belongs to one optimiser and one schedule family (decay to a fixed
    small final rate). The optimum is a plateau: a factor 1.5 in the rate costs about a tenth of a
    percent of loss.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('step_law')(7e9, 1.4e12):.1e}")
    9.2e-04
    """
    return c * n_params_non_embedding**-a * n_tokens**b


@law(
    "step_law_batch",
    cite="Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_tokens",),
    output="batch_size_tokens",
    params={"c": positive("scale"), "b": exponent("rise of the optimal batch with D")},
    domain={"n_tokens": _GRID["n_tokens"]},
    authors_fit=_STEP_LAW_FIT,
    evidence="README of the authors' repository and its 1,000 bootstrap rows",
)
def step_law_batch(n_tokens: Any, *, c: Any, b: Any) -> Any:
    """Optimal batch size of the Step Law in tokens, ``c * D**b``; it does not depend on N.

    The law belongs to the recipe of ``step_law``. The optimum is flatter still than that of the
    learning rate, and the two are coupled: use them together.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('step_law_batch')(1.4e12):.1e}")
    5.0e+06
    """
    return c * n_tokens**b


_LAYERWISE_EVIDENCE = "the abstract; the constants belong to the width at which they were tuned"


@law(
    "layerwise_learning_rate",
    cite="arXiv:2510.15262, rule for matrix parameters under AdamW",
    inputs=("d_model",),
    output="learning_rate",
    params={"c": positive("learning rate times width, from a tuned width", start=(1e-2, 1e2))},
    evidence=_LAYERWISE_EVIDENCE,
)
def layerwise_learning_rate(d_model: Any, *, c: Any) -> Any:
    """Learning rate of matrix parameters that carries over from a tuned width, ``c / d``.

    Vector parameters keep their learning rate and have no weight decay. It goes together with
    ``layerwise_weight_decay``: the singular values of a matrix settle near ``sqrt(eta/lambda) * d**0.75``, and only the
    two rules together keep them alike in every width.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rule = sdb.get_law("layerwise_learning_rate")
    >>> round(rule(2048, c=256 * 4e-3) / rule(256, c=256 * 4e-3), 4)  # eight times the width
    0.125
    """
    return c / d_model


@law(
    "layerwise_weight_decay",
    cite="arXiv:2510.15262, rule for matrix parameters under AdamW",
    inputs=("d_model",),
    output="weight_decay",
    params={"c": positive("weight decay over the root of the width, from a tuned width", start=(1e-4, 1.0))},
    evidence=_LAYERWISE_EVIDENCE,
)
def layerwise_weight_decay(d_model: Any, *, c: Any) -> Any:
    """Weight decay of matrix parameters that carries over from a tuned width, ``c * sqrt(d)``.

    See ``layerwise_learning_rate``, which it belongs to.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rule = sdb.get_law("layerwise_weight_decay")
    >>> rule(1024, c=0.1 / 16) / rule(256, c=0.1 / 16)
    2.0
    """
    return c * np.sqrt(d_model)
