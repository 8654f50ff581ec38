"""Chapter 9. Hyper-parameters as powers of N and D."""

from __future__ import annotations

from typing import Any

from scalingdb.law_library._core import exponent, law, positive


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
)
def step_law(n_params_non_embedding: Any, n_tokens: Any, *, c: Any, a: Any, b: Any) -> Any:
    """Optimal peak learning rate of the Step Law, ``c * N**-a * D**b``.

    N leaves embeddings out. It belongs to one optimiser and one schedule family (decay to a fixed
    small final rate). The optimum is a plateau: a factor 1.5 in the rate costs about a tenth of a
    percent of loss.
    """
    return c * n_params_non_embedding**-a * n_tokens**b


@law(
    "step_law_batch",
    cite="Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_tokens",),
    output="batch_size_tokens",
    params={"c": positive("scale"), "b": exponent("rise of the optimal batch with D")},
)
def step_law_batch(n_tokens: Any, *, c: Any, b: Any) -> Any:
    """Optimal batch size of the Step Law in tokens, ``c * D**b``; it does not depend on N."""
    return c * n_tokens**b
