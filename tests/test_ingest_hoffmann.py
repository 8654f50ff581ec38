"""Sources of published coefficients without runs."""

from __future__ import annotations

import pytest

from ingest._build import load_source, source_tables


def _fit(source_id: str, law: str, variant: str) -> dict[str, float]:
    """Declared coefficients."""
    source, _ = load_source(source_id)
    (fit,) = (f for f in source.published_fits if (f.law, f.variant) == (law, variant))
    return dict(fit.params)


@pytest.mark.parametrize(("source_id", "rows"), [("kaplan", 16), ("hoffmann", 14)])
def test_literature_sources_build_without_raw_files(source_id: str, rows: int) -> None:
    tables = source_tables(source_id, None)
    assert set(tables) == {"sources", "published_fits"}
    assert tables["published_fits"].height == rows


def test_kaplan_coefficients_imply_the_papers_overfitting_bound() -> None:
    p = _fit("kaplan", "kaplan_lnd", "kaplan")
    exponent = p["alpha_N"] / p["alpha_D"]
    # L(N, D) / L(N, infinity) - 1 = 0.02 solved for D: eq. 4.4 prints 5e3 N^0.74
    factor = p["D_c"] * p["N_c"] ** -exponent / (1.02 ** (1 / p["alpha_D"]) - 1)
    assert exponent == pytest.approx(0.74, abs=5e-3)
    assert 4.5e3 < factor < 5.6e3  # printed to one digit


@pytest.mark.parametrize(
    ("variant", "tokens_per_parameter"),
    # optimum at 5.76e23 FLOP; rounding the exponents to two digits moves it by half
    [("hoffmann", 92.6), ("hoffmann_tex", 58.9)],
)
def test_hoffmann_digits_matter(variant: str, tokens_per_parameter: float) -> None:
    p = _fit("hoffmann", "chinchilla", variant)
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    n = scale * (5.76e23 / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    assert 5.76e23 / (6 * n) / n == pytest.approx(tokens_per_parameter, abs=0.05)
    # the printed digits are the full ones, rounded
    full = _fit("hoffmann", "chinchilla", "hoffmann_tex")
    assert (round(full["E"], 2), round(full["A"], 1), round(full["B"], 1)) == (1.69, 406.4, 410.7)
    assert (round(full["alpha"], 2), round(full["beta"], 2)) == (0.34, 0.28)
