"""Pools of data that repeat: one is the law, and more compute calls for more of them."""

from __future__ import annotations

import numpy as np
import pytest

import scalingdb as sdb
from scalingdb import planning


def test_one_pool_is_the_law_and_two_alike_are_one() -> None:
    pool = {"b": 0.2, "tau": 2.0, "n_samples": 1e7}
    seen = np.array([5e6, 1e7, 2.5e7, 9e7])
    law = sdb.get_law("qqt_filter")
    alone = planning.mixed_pools([pool], seen, a=0.02, d=0.1)
    np.testing.assert_allclose(alone, law(seen, np.maximum(seen / 1e7, 1), a=0.02, b=0.2, tau=2.0, d=0.1), rtol=1e-10)
    half = {**pool, "n_samples": 5e6, "tau": 1.0}
    np.testing.assert_allclose(planning.mixed_pools([half, half], seen, a=0.02, d=0.1), alone, rtol=1e-12)
    assert np.isnan(planning.mixed_pools([pool], 2e8, a=0.02, d=0.1)).all()


def test_best_pool_grows_with_compute() -> None:
    pools = {f"p{i}": {"b": 0.2 - 0.02 * i, "tau": 1.5, "n_samples": 1e7} for i in range(4)}
    table = planning.best_pool(pools, [1e7, 3e7, 1e8, 3e8], a=0.02)
    best = table.filter("is_best")["n_pools"].to_list()
    assert best == sorted(best)
    assert best[0] < best[-1]
    with pytest.raises(sdb.ScalingDBError, match="more than ten epochs"):
        planning.best_pool(pools, 1e12, a=0.02)
    with pytest.raises(sdb.ScalingDBError, match="pool 'x' has tau=None"):
        planning.best_pool({"x": {"b": 0.1, "n_samples": 1e6}}, 1e6, a=0.02)
