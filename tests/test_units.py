"""Conversions: worked numbers, round trips, and the conventions of released data."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scalingdb as sdb
from scalingdb import units
from scalingdb.errors import DataError

losses = st.floats(0.1, 20.0)
counts = st.floats(1e3, 1e14)


@given(losses, st.floats(0.5, 10.0))
def test_losses_convert_back(loss: float, length: float) -> None:
    assert units.nats_from_bits(units.bits_per_token(loss)) == pytest.approx(loss, rel=1e-14)
    bpb = units.bits_per_byte(loss, bytes_per_token=length)
    assert units.nats_from_bits_per_byte(bpb, bytes_per_token=length) == pytest.approx(loss, rel=1e-14)
    assert units.nats_from_perplexity(units.perplexity(loss)) == pytest.approx(loss, rel=1e-12)


def test_worked_losses() -> None:
    assert units.bits_per_token(math.log(2)) == pytest.approx(1.0, rel=1e-15)
    # a uniform guess among the 256 bytes is 8 bits per byte, whatever the tokenizer
    assert units.bits_per_byte(math.log(256), bytes_per_token=1) == pytest.approx(8.0, rel=1e-15)
    assert units.bits_per_character(4 * math.log(2), characters_per_token=4) == pytest.approx(1.0, rel=1e-15)
    assert units.perplexity(math.log(50257)) == pytest.approx(50257, rel=1e-12)


@given(counts)
def test_parameter_counts_convert_back(n: float) -> None:
    body = units.n_params_non_embedding(n)
    assert 0 < body < n
    assert units.n_params_total(body) == pytest.approx(n, rel=1e-12)


def test_worked_parameter_counts() -> None:
    # 1e9 + 47491 * 1e3, by hand
    assert units.n_params_total(1e9) == pytest.approx(1.047491e9, rel=1e-12)
    assert units.omega(32_000, 39.2) == pytest.approx(
        units.OMEGA, rel=5e-4
    )  # the aspect ratio is given with three digits
    # GPT-2 XL: 48 layers of width 1600, "1.5B" in the paper of Kaplan et al.
    assert units.n_params_body(48, 1600) == 12 * 48 * 1600**2
    assert units.n_params_body(2, 8, d_ff=16, d_attn=4) == 2 * 8 * 2 * (2 * 4 + 16)


def test_total_parameters_are_body_and_embedding_of_the_shape() -> None:
    layers = 30
    width = 39.2 * layers
    body = units.n_params_body(layers, width)
    assert units.n_params_total(body, omega=units.omega(32_000, 39.2)) == pytest.approx(
        body + 32_000 * width, rel=1e-12
    )


TABLE_A4 = [  # Hoffmann et al.: layers, width, feed-forward, heads, head size, printed ratio; N in millions (table A9)
    (10, 640, 2560, 10, 64, 1.03, 74),
    (20, 1024, 4096, 16, 64, 1.10, 306),
    (24, 1280, 5120, 10, 128, 1.08, 552),
    (26, 1792, 7168, 14, 128, 1.04, 1143),
    (28, 2048, 8192, 16, 128, 1.03, 1593),
    (40, 3584, 14336, 28, 128, 0.99, 6796),
]


@pytest.mark.parametrize(("layers", "width", "d_ff", "heads", "d_head", "ratio", "millions"), TABLE_A4)
def test_hoffmanns_printed_ratios(
    layers: int, width: int, d_ff: int, heads: int, d_head: int, ratio: float, millions: int
) -> None:
    shape = {"n_layers": layers, "d_model": width, "d_ff": d_ff, "n_heads": heads, "d_head": d_head, "n_ctx": 2048}
    counted = units.flops_hoffmann(1e9, **shape, vocab_size=0)
    assert counted / units.flops_6nd(millions * 1e6, 1e9) == pytest.approx(ratio, abs=0.01)  # two decimals are printed
    # embedding and head are two products with the vocabulary, thrice for forward and backward
    assert units.flops_hoffmann(1e9, **shape, vocab_size=32_000) - counted == pytest.approx(12 * 32_000 * width * 1e9)


def test_farseers_released_compute(db: sdb.Warehouse) -> None:
    rows = db.sql("select n_params_non_embedding as n, * from runs where source_id = 'farseer'")
    counted = units.flops_farseer(
        rows["n"], 1.0, n_layers=rows["n_layers"], d_model=rows["d_model"], n_ctx=rows["context_length"]
    )
    more = (rows["flops_per_token"] - counted) / (rows["n_layers"] * rows["d_model"])
    assert dict(more.value_counts().iter_rows()) == {0.0: 404, 333.0: 7}  # the runs of the fit, and of the validation


def test_step_laws_released_compute(db: sdb.Warehouse) -> None:
    rows = db.sql(
        "select distinct n_params_active as n, n_layers, d_model, context_length, flops_per_token from runs "
        "where source_id = 'steplaw' and study = 'moe'"
    )
    assert rows.height == 4
    counted = units.flops_step_law(
        rows["n"], 1.0, n_layers=rows["n_layers"], d_model=rows["d_model"], n_ctx=rows["context_length"]
    )
    assert counted.to_list() == rows["flops_per_token"].to_list()


def test_porians_three_counts() -> None:
    shape = {"n_layers": 8, "d_model": 512}
    d_ff = 1536  # 8/3 of 512 is 1365, rounded up to a multiple of 256
    body = (4 * 512 + 3 * d_ff) * 512 * 8
    assert units.n_params_open_lm(8, 512, vocab_size=0) == body
    assert units.flops_porian(1.0, **shape, count="kaplan") == 6 * body
    assert units.flops_porian(1.0, **shape) == 6 * (body + 50432 * 512)
    assert units.flops_porian(1.0, **shape, count="attention") == 6 * (body + 50432 * 512 + 8 * 2048 * 512)
    with pytest.raises(DataError, match="'head' is none of the three"):
        units.flops_porian(1.0, **shape, count="head")


def test_kaplans_attention_term() -> None:
    # forward 2N + 2 * layers * context * width a token, by hand
    assert units.flops_kaplan(1e9, 2.0, n_layers=10, n_ctx=100, d_attn=1000) == 3 * (2e9 + 2e6) * 2
    assert units.flops_6nd(1e9, 2.0) == 12e9


def test_petaflop_days() -> None:
    assert units.FLOP_PER_PF_DAY == 1e15 * 86_400
    assert units.pf_days_to_flop(units.pf_days(5.76e23)) == pytest.approx(5.76e23, rel=1e-15)
    assert units.pf_days(3.14e23) == pytest.approx(3.634e3, rel=1e-3)  # GPT-3 is stated with 3.64e3 PF-days


def test_tokens_and_characters() -> None:
    assert units.n_characters(units.n_tokens(1e9, characters_per_token=4.2), characters_per_token=4.2) == pytest.approx(
        1e9
    )
    # larger vocabularies take fewer tokens, until the parabola is cut off at 200,000
    found = units.tokens_per_character(np.array([4e3, 3.2e4, 1e5, 2e5, 1e6]))
    assert (np.diff(found)[:3] < 0).all()
    assert found[3] == found[4]
    log_v = math.log(32_000)
    assert found[1] == pytest.approx(0.00639222 * log_v**2 - 0.15811069 * log_v + 1.20470122, rel=1e-15)


def test_take_series_and_expressions() -> None:
    frame = pl.DataFrame({"loss": [2.0, 3.0], "n": [1e9, 1e10], "v": [32_000, 400_000]})
    asked = frame.select(
        bits=units.bits_per_byte(pl.col("loss"), bytes_per_token=4.0),
        ppl=units.perplexity(pl.col("loss")),
        total=units.n_params_total(pl.col("n")),
        flop=units.flops_6nd(pl.col("n"), 2e10),
        rate=units.tokens_per_character(pl.col("v")),
    )
    expected = {
        "bits": units.bits_per_byte(frame["loss"], bytes_per_token=4.0),
        "ppl": np.exp([2.0, 3.0]),
        "total": units.n_params_total(np.array([1e9, 1e10])),
        "flop": 6 * frame["n"] * 2e10,
        "rate": units.tokens_per_character(frame["v"]),
    }
    for name, values in expected.items():
        assert asked[name].to_list() == pytest.approx(list(values), rel=1e-14), name
    body = units.n_params_non_embedding(frame["n"])
    assert np.asarray(units.n_params_total(body)) == pytest.approx([1e9, 1e10], rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: units.bits_per_byte(2.0, bytes_per_token=0.0),
        lambda: units.bits_per_character(2.0, characters_per_token=-1),
        lambda: units.nats_from_perplexity(np.array([3.0, 0.0])),
        lambda: units.n_params_total(-1e9),
        lambda: units.n_params_non_embedding(float("nan")),
        lambda: units.flops_6nd(pl.Series([1e9, -1.0]), 1e10),
        lambda: units.tokens_per_character(0),
        lambda: units.n_tokens(1e9, characters_per_token=0),
    ],
)
def test_what_is_not_positive_is_refused(call) -> None:
    with pytest.raises(DataError, match="is not positive"):
        call()


def test_replay_is_paid_for_by_every_new_token() -> None:
    assert units.flops_replay(1e9, 2e9, 0.0) == units.flops_6nd(1e9, 2e9)
    assert units.flops_replay(1e9, 2e9, 0.5) == units.flops_6nd(2e9, 2e9)
    with pytest.raises(sdb.ScalingDBError, match="not from 0 to below 1"):
        units.flops_replay(1e9, 2e9, 1.0)
