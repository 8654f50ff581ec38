"""`compare(..., by=)`: the same laws in every group of a frame, fitted together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb

LAWS = ["power", "power_offset"]
RULE = sdb.largest("n_tokens", 0.25)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng, frames = np.random.default_rng(0), []
    for i in range(3):
        x = np.geomspace(1e3, 1e6, 16)
        loss = (1.5 + 0.1 * i + 40 * x**-0.5) * np.exp(0.002 * rng.standard_normal(16))
        frames.append(pl.DataFrame({"corpus": f"c{i}", "n_tokens": x, "loss": loss}))
    return pl.concat(frames)


@pytest.fixture(scope="module")
def grouped(frame: pl.DataFrame) -> sdb.Comparisons:
    return sdb.compare(frame, LAWS, RULE, by="corpus", bootstrap=20, objective="mse_log")


def test_every_group_is_what_it_is_alone(frame: pl.DataFrame, grouped: sdb.Comparisons) -> None:
    alone = sdb.compare(frame.filter(corpus="c1"), LAWS, RULE, bootstrap=20, objective="mse_log")
    order = ["law", "n_tokens"]
    ours, want = grouped["c1"].augment().sort(order), alone.augment().sort(order)
    np.testing.assert_allclose(ours["prediction"], want["prediction"], rtol=1e-6)
    np.testing.assert_allclose(ours["low"], want["low"], rtol=1e-4)
    assert grouped["c1"].pairwise()["verdict"].to_list() == alone.pairwise()["verdict"].to_list()


def test_tables_have_the_keys_in_front(grouped: sdb.Comparisons) -> None:
    assert grouped.keys == [("c0",), ("c1",), ("c2",)] == [key for key, _ in grouped.items()]
    for table in (grouped.tidy(), grouped.pairwise(), grouped.glance(), grouped.augment()):
        assert table.columns[0] == "corpus"
        assert table["corpus"].n_unique() == 3
    assert grouped.tidy().height == 6
    assert "_case" not in grouped.augment().columns
    assert "_case" not in grouped["c0"].fits["power"].data.columns
    assert "3 groups" in repr(grouped)


def test_group_that_cannot_be_fitted_is_named_or_recorded(frame: pl.DataFrame) -> None:
    short = frame.filter((pl.col("corpus") != "c2") | (pl.col("n_tokens") < 2e3))
    with pytest.raises(sdb.ScalingDBError, match=r"group corpus='c2': .* too few"):
        sdb.compare(short, LAWS, RULE, by="corpus", bootstrap=0)
    kept = sdb.compare(short, LAWS, RULE, by="corpus", bootstrap=0, on_error="record")
    assert len(kept) == 3
    assert "too few" in str(kept["c2"].errors)
    with pytest.raises(sdb.ScalingDBError, match="unknown column 'family'"):
        sdb.compare(frame, LAWS, RULE, by="family", bootstrap=0)
    with pytest.raises(sdb.ScalingDBError, match="unknown group"):
        kept["c9"]
