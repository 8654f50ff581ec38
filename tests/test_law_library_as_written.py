"""Laws as people write them: any formula is traced right, or fitted with numerical derivatives and a reason."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scalingdb as sdb
from scalingdb.errors import ScalingDBError
from scalingdb.fits._form import compiled

pytestmark = [
    pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning"),
    pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero):RuntimeWarning"),
]

NUMBERS = st.sampled_from(["1e4", "3e5", "0.5", "2", "7.3e3", "-1.5"])
UNITS = st.sampled_from(["1e4", "3e5", "7.3e3", "2"])


@st.composite
def quantities(draw: Any) -> str:
    """A positive quantity of the input, as people make it dimensionless."""
    unit = draw(UNITS)
    return str(
        draw(st.sampled_from(["v", f"(v / {unit})", f"({unit} / v)", f"(1 / {unit} * v)", f"(v / {unit} + 1.5)"]))
    )


@st.composite
def terms(draw: Any) -> str:
    """One term of a formula in the parameters C and g."""
    q, other, number = draw(quantities()), draw(quantities()), draw(NUMBERS)
    shapes = (
        f"C * {q}**-g",
        f"C * {q}**g",
        f"C * {q}**(g / 3) * {other}**-g",
        f"C / (1 + {q}**g)",
        f"C * np.log({q})",
        f"C * np.log10({q}) * g",
        f"C * np.exp(-g * np.log({q})**2)",
        f"C * np.exp(-(({q} - 1.2) / 3e3)**2) + g",
        f"np.where(v > 1e4, C * {q}**-g, C * 1.1)",
        f"C * np.maximum({q}, 0.7)**-g",
        f"C * np.abs(g - 0.4) + {number}",
        f"C * np.sqrt({q}) / {other}",
        f"C * {other} * 2.5**-g",
        f"C * np.sinh(g) + {q} * 0",
    )
    return str(draw(st.sampled_from(shapes)))


formulas = st.builds(
    lambda a, b, joint: f"E + {a}{joint}{b}", terms(), terms(), st.sampled_from([" + ", " - ", " + 0.3 * "])
)


def law_of(formula: str) -> sdb.Law:
    function = eval(f"lambda v, *, E, C, g: {formula}", {"np": np})
    params = {"E": sdb.real, "C": sdb.real, "g": sdb.real(low=0.05, high=2.0, start=(0.1, 1.0))}
    return sdb.law("as_written", cite="a notebook", inputs=("v",), output="loss", params=params)(function)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(formula=formulas)
def test_values_and_derivatives_are_those_of_the_formula(formula: str) -> None:
    law = law_of(formula)
    v = np.geomspace(2e3, 4e5, 7)
    theta = np.array([[1.7, 0.8, 0.31]])
    model = compiled(law)
    inputs = model.prepare([v])
    u = model.to_internal(theta, inputs)

    def plain(point: np.ndarray) -> np.ndarray:
        natural = dict(zip(law.params, model.to_natural(point[None], inputs)[0], strict=True))
        return np.broadcast_to(np.asarray(law.function(v, **natural), dtype=float), v.shape)

    found = model.evaluate(u, inputs, 1)
    assert found.gradient is not None
    expected = plain(u[0])
    size = np.abs(expected).max()
    assert found.value[0] == pytest.approx(expected, rel=1e-9, abs=1e-10 * size)
    for i in range(3):
        step = 1e-5 * max(1.0, abs(u[0, i])) * np.eye(3)[i]
        slope = (plain(u[0] + step) - plain(u[0] - step)) / (2 * step[i])
        assert found.gradient[0, i] == pytest.approx(slope, rel=2e-5, abs=1e-7 * size), law.params


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(formula=formulas)
def test_no_error_is_anothers(formula: str) -> None:
    law = law_of(formula)
    v = np.geomspace(2e3, 4e5, 12)
    y = 2.0 + (v / 1e4) ** -0.3 + 0.01 * np.sin(np.arange(12))
    rows = pl.DataFrame({"v": v, "loss": y, "part": ["a", "b"] * 6})
    with contextlib.suppress(ScalingDBError):
        sdb.fit(rows, law, n_starts=4)
    fits = sdb.fit_by(rows, law, by="part", on_error="record", n_starts=2)
    assert len(fits.fits) + len(fits.errors) == 2


def test_a_power_of_a_quotient_is_traced() -> None:
    law = law_of("E + C * (v / 1e4)**g")
    assert law.is_traceable
    assert compiled(law).is_exact
    v = np.geomspace(1e3, 1e6, 20)
    fit = sdb.fit(pl.DataFrame({"v": v, "loss": 1.7 + 0.8 * (v / 1e4) ** 0.31}), law)
    assert dict(fit.params) == pytest.approx({"E": 1.7, "C": 0.8, "g": 0.31}, rel=1e-7)
