"""Chapter 1. Laws in one variable: a power, and a power above a floor."""

from __future__ import annotations

from typing import Any

from scalingdb.law_library._core import exponent, law, positive


@law(
    "power",
    cite="definition; used as is in Hestness et al., arXiv:1712.00409, eq. 1",
    inputs=("n_tokens",),
    params={"A": positive("scale: the value at one unit of the input"), "alpha": exponent("slope in log-log")},
)
def power(n_tokens: Any, *, A: Any, alpha: Any) -> Any:
    """Pure power law, ``A * x**-alpha``.

    A straight line in log-log. Fitted to data that level off at a floor it gives an exponent that
    is too small and drifts with the range; compare it with ``power_offset`` before believing it.
    For another input than tokens give ``inputs={"n_tokens": "<column>"}`` to the fit.
    """
    return A * n_tokens**-alpha


@law(
    "power_offset",
    cite="Hestness et al., arXiv:1712.00409; Henighan et al., arXiv:2010.14701, eq. 1.1",
    inputs=("n_tokens",),
    params={
        "E": positive("floor: the value that no amount of the input gets below"),
        "A": positive("scale of the reducible part at one unit of the input"),
        "alpha": exponent("slope of the reducible part in log-log"),
    },
)
def power_offset(n_tokens: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """Power law with a floor, ``E + A * x**-alpha``.

    E and alpha trade off: with less than about 1.5 decades of the input the floor is not
    identified, and the fit's verdict says so. For another input than tokens give
    ``inputs={"n_tokens": "<column>"}`` to the fit.
    """
    return E + A * n_tokens**-alpha
