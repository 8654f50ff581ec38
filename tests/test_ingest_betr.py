"""Sources of coefficients alone: the printed numbers are turned into the library's parameters."""

from __future__ import annotations

import math

import pytest

import scalingdb as sdb
from ingest import betr, hestness, tian_var, yao_time_series


def test_betr_loss_sets_are_exponentials() -> None:
    sets = {fit.variant: fit for fit in betr.SOURCE.published_fits if fit.law == "chinchilla"}
    assert len(sets) == 4 * 11
    easy = sets["betr_no_filter_arc_easy"]
    assert math.log(easy.params["A"]) == pytest.approx(4.092)
    assert easy.output_unit == "bits_per_byte"
    assert sets["betr_no_filter_val_loss"].output_unit == "nats_per_token"
    assert sets["betr_no_filter_sciq"].params["E"] < 1e-40  # on its bound


def test_betr_accuracy_is_the_printed_logistic_curve() -> None:
    """c1 / (1 + exp(-k (L - L0))) + c2 with the printed k = -3.749 of ARC-Easy, without a filter."""
    law = sdb.get_law("task_accuracy")
    for loss in (0.5, 0.8, 1.4):
        printed = 0.6722 / (1 + math.exp(3.749 * (loss - 0.8376))) + 0.3558
        assert law(loss, variant="betr_no_filter_arc_easy") == pytest.approx(printed, rel=1e-9)


def test_betr_optimum_has_ten_to_twelve_tokens_per_parameter() -> None:
    """Appendix D.1, from the validation loss at 1e20 FLOP."""
    p = next(f.params for f in betr.SOURCE.published_fits if f.variant == "betr_no_filter_val_loss")
    a, b = p["alpha"], p["beta"]
    size = (a * p["A"] / (b * p["B"])) ** (1 / (a + b)) * (1e20 / 6) ** (b / (a + b))
    assert 1e20 / 6 / size**2 == pytest.approx(11.1, abs=0.1)


def test_image_errors_are_near_nine_tenths() -> None:
    law = sdb.get_law("power")
    assert law(2e9, variant="var_error_last_n") == pytest.approx((4.9e2 * 2) ** -0.016)
    assert tian_var.SOURCE.published_fits[0].params["alpha"] == 0.23


def test_time_series_curves_cross_one_at_the_printed_scale() -> None:
    """(x0 / x)^alpha is one at x0."""
    law = sdb.get_law("power")
    assert law(3.7e16, variant="time_series_encoder_n_in") == pytest.approx(1.0)
    assert law(1.5e7 * yao_time_series.PF_DAY, variant="time_series_encoder_c_in") == pytest.approx(1.0)


def test_translation_curve_ends_at_the_drawn_points() -> None:
    """Read off figure 1: 0.685 at 2^20 tokens and 0.44 at 2^27 with the smaller model."""
    law = sdb.get_law("power_offset")
    assert law(2.0**20, variant="translation_hidden_208") == pytest.approx(0.685, abs=0.02)
    assert law(2.0**27, variant="translation_hidden_208") == pytest.approx(0.44, abs=0.01)
    assert {fit.evidence for fit in hestness.SOURCE.published_fits} == {"second_hand"}
