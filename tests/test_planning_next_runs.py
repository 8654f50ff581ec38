"""Runs chosen for a budget: what they are worth, what is refused, and finished studies played again."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import DataError
from scalingdb.fits import evaluate_law
from scalingdb.planning import _drift, next_runs, replay_runs

GIVEN = {"E": 1.8, "A": 480.0, "B": 2080.0, "alpha": 0.35, "beta": 0.37}
FAR = {"n_params": 7e9, "n_tokens": 1.4e11}


def grid(sizes: np.ndarray, ratios: np.ndarray, noise: float = 0.005, seed: int = 0) -> pl.DataFrame:
    n, ratio = (axis.ravel() for axis in np.meshgrid(sizes, ratios, indexing="ij"))
    loss = sdb.get_law("chinchilla")(n, n * ratio, **GIVEN)
    loss = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(n.size))
    return pl.DataFrame({"n_params": n, "n_tokens": n * ratio, "loss": loss})


SMALL = grid(np.geomspace(1e7, 1e8, 5), np.array([5.0, 20.0, 80.0]))
LARGER = grid(np.geomspace(5e7, 2e9, 8), np.array([5.0, 20.0, 80.0]), seed=1)


@pytest.fixture(scope="module")
def small() -> sdb.Fit:
    return sdb.fit(SMALL, "chinchilla", objective="mse_log")


def test_the_error_of_a_design_is_that_of_least_squares(small: sdb.Fit) -> None:
    """Beside the textbook formula: weights of the rows in the prediction, and the covariance of what they observe."""
    target = pl.DataFrame({name: [value] for name, value in FAR.items()})
    arrays = small._arrays(target)
    law = small.law
    part = _drift.field_of(small, LARGER, lambda theta: np.log(evaluate_law(law, theta, arrays)), target)
    design = _drift.Design(part)
    bought = [3, 17]
    alone = design.errors_with(np.arange(LARGER.height))
    for run in bought:
        one = design.copy()
        one.add(run)
        assert one.error == pytest.approx(alone[run], rel=1e-8)
    for run in bought:
        design.add(run)
    rows = [*range(SMALL.height), *(SMALL.height + run for run in bought)]
    lever = part.slopes[rows]
    inverse = np.linalg.inv(lever.T @ lever + part.noise**2 * np.eye(5))
    weights = lever @ inverse @ part.target_slopes[0]
    observed = part.drift[np.ix_(rows, rows)] + part.noise**2 * np.eye(len(rows))
    prior = part.target_slopes[0] - lever.T @ weights
    by_hand = weights @ observed @ weights - 2 * weights @ part.shared[rows, 0] + part.own[0] + prior @ prior
    assert design.error == pytest.approx(float(by_hand), rel=1e-6)
    assert part.own[0] == 0.0  # the law is right at the target


def test_a_budget_is_kept_and_spent_near_the_target(small: sdb.Fit) -> None:
    chosen = next_runs(small, LARGER, budget=3e20, target=FAR)
    table, one = chosen.tidy(), chosen.glance().row(0, named=True)
    assert table["total_cost"][-1] == pytest.approx(chosen.cost)
    assert chosen.cost <= 3e20
    assert table["cost"].to_list() == pytest.approx((6 * table["n_params"] * table["n_tokens"]).to_list())
    assert 0 < one["shrink"] < 1
    assert one["low_now"] < one["low_after"] < one["estimate"] < one["high_after"] < one["high_now"]
    # the same width today as the fit states
    said = small.predict(pl.DataFrame({name: [value] for name, value in FAR.items()}), 0.95)
    assert (one["low_now"], one["high_now"]) == (said["low"].item(), said["high"].item())
    assert table["n_params"].max() > SMALL["n_params"].max()
    assert next_runs(small, LARGER, budget=3e20, target=FAR, most=1).tidy().height == 1
    assert next_runs(small, LARGER, budget=3e21, target=FAR).glance()["shrink"].item() > one["shrink"]


def test_a_law_that_drifts_learns_less_from_far_runs(small: sdb.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = grid(np.geomspace(1e5, 1e6, 6), np.array([5.0, 20.0, 80.0])).with_columns(price=pl.lit(1.0))

    def shrink() -> float:
        return next_runs(small, tiny, budget=10.0, target=FAR, cost="price").glance()["shrink"].item()

    drifting = shrink()
    monkeypatch.setattr(_drift, "DRIFT", 1e-6)
    assert shrink() > 1.5 * drifting


def test_optimum(small: sdb.Fit) -> None:
    chosen = next_runs(small, LARGER, budget=3e20, target={"train_flops": 1e23})
    one = chosen.glance().row(0, named=True)
    best = small.optimum(1e23).row(0, named=True)
    assert one["estimate"] == best["n_params"]
    assert one["high_now"] == best["n_params_high"]
    assert one["high_after"] / one["low_after"] < one["high_now"] / one["low_now"]
    assert "optimal N" in chosen.sentence


def test_a_ranking_of_two_recipes_spends_on_both(small: sdb.Fit) -> None:
    other = sdb.fit(SMALL.with_columns(loss=1.02 * pl.col("loss")), "chinchilla", objective="mse_log")
    chosen = next_runs({"a": small, "b": other}, LARGER, budget=6e20, target=FAR)
    assert set(chosen.tidy()["fit"]) == {"a", "b"}
    assert chosen.glance()["estimate"].item() == pytest.approx(-np.log(1.02), abs=1e-4)
    of_one = next_runs({"a": small, "b": other}, LARGER.with_columns(fit=pl.lit("b")), budget=6e20, target=FAR)
    assert set(of_one.tidy()["fit"]) == {"b"}
    with pytest.raises(sdb.ScalingDBError, match="unknown fit 'c'"):
        next_runs({"a": small, "b": other}, LARGER.with_columns(fit=pl.lit("c")), budget=6e20, target=FAR)


def test_two_laws_are_told_apart(small: sdb.Fit) -> None:
    """Their separation is the misfit of the one to values of the other, by least squares."""
    other = sdb.fit(SMALL, "kaplan_lnd", objective="mse_log")
    chosen = next_runs([small, other], LARGER, budget=1e21, target="law")
    one = chosen.glance().row(0, named=True)
    assert one["separation_after"] > one["separation_now"] > 0
    assert one["error_chance_after"] < one["error_chance_now"] < 0.5
    picked = pl.concat([SMALL, chosen.tidy().select("n_params", "n_tokens", "loss")])
    values = [np.log(fit._evaluate(picked)) for fit in (small, other)]
    noise = max(_drift.drift_of(fit)[1] for fit in (small, other))
    squares = []
    for fit, sign in ((small, 1), (other, -1)):
        part = _drift.field_of(fit, picked, lambda theta: theta[:, :1], picked.head(1))
        lever = part.slopes[SMALL.height :]
        whole = lever @ lever.T + max(noise, _drift.LEAST_NOISE) ** 2 * np.eye(picked.height)
        gap = sign * (values[0] - values[1])
        squares.append(gap @ np.linalg.solve(whole, gap))
    assert one["separation_after"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-4)
    assert "kaplan_lnd" in chosen.sentence


def test_own_columns_and_plain_residuals() -> None:
    frame = SMALL.rename({"n_params": "size", "n_tokens": "tokens"})
    fit = sdb.fit(frame, "chinchilla", inputs={"n_params": "size", "n_tokens": "tokens"}, objective="mse")
    candidates = LARGER.rename({"n_params": "size", "n_tokens": "tokens"})
    far = {"size": 7e9, "tokens": 1.4e11}
    chosen = next_runs(fit, candidates, budget=3e20, target=far)
    assert chosen.glance()["shrink"].item() > 0
    assert next_runs(fit, candidates, budget=3e20, target=FAR).tidy().equals(chosen.tidy())  # by the names of the law


def test_refusals(small: sdb.Fit) -> None:
    def refused(message: str, **changed: object) -> None:
        arguments = {"fits": small, "candidates": LARGER, "budget": 3e20, "target": FAR, **changed}
        with pytest.raises(sdb.ScalingDBError, match=message):
            next_runs(**arguments)  # type: ignore[arg-type]

    refused("pays for none of the 24 candidates", budget=1e10)
    refused("not a positive number", budget=-1.0)
    refused("no candidates", candidates=LARGER.head(0))
    refused("no column 'n_tokens'", candidates=LARGER.drop("n_tokens"))
    refused("not positive", candidates=LARGER.with_columns(n_params=-pl.col("n_params")))
    refused("unknown column 'price'", cost="price")
    refused("costs 0.0", cost="free", candidates=LARGER.with_columns(free=pl.lit(0.0)))
    refused("the target lacks n_tokens", target={"n_params": 1e9})
    refused("unknown input 'depth'", target={**FAR, "depth": 3.0})
    refused("none of the targets", target="alpha")
    refused("there is one fit", target="law")
    refused("not of the same rows", target="law", fits=[small, sdb.fit(SMALL.head(12), "chinchilla")])
    refused("not a single target", target={"train_flops": 1e23}, fits=[small, small])
    refused("one fit or two", fits=[small] * 3)
    refused("most=0", most=0)
    refused("level=2", level=2)
    falling = sdb.fit(SMALL, "power", objective="mse", by_run=False)
    priced = {"fits": falling, "cost": "price", "candidates": LARGER.with_columns(price=pl.lit(1.0))}
    refused("does not depend on any parameter", **priced, target={"n_tokens": 1e200})
    priced["candidates"] = LARGER.with_columns(n_tokens=pl.lit(1e200), price=pl.lit(1.0))
    refused("none of the 24 affordable candidates is expected", **priced, target={"n_tokens": 1e11})


@pytest.fixture(scope="module")
def played() -> sdb.planning.RunsReplay:
    study = pl.concat([SMALL, LARGER]).sort("n_params", "n_tokens")
    return replay_runs(study, "chinchilla", shares=[0.1, 0.3], repeats=1, orders=2, objective="mse_log")


def test_replay(played: sdb.planning.RunsReplay) -> None:
    table = played.tidy()
    assert table.group_by("strategy").len().sort("strategy")["len"].to_list() == [2, 2, 2, 4]
    assert (table["cost_share"] <= table["share"] + 1e-9).all()
    assert table["n_runs"].min() >= 8  # type: ignore[operator]
    glance = played.glance()
    assert glance.filter(strategy="random")["over_random"].to_list() == [1.0, 1.0]
    at = glance.filter(pl.col("strategy").is_in(["cheapest first", "largest first"]) & (pl.col("share") == 0.3))
    cheap, large = (at.filter(strategy=name)["n_runs"].item() for name in ("cheapest first", "largest first"))
    assert cheap > large
    assert "with all runs" in played.sentence


def test_a_replay_never_fits_its_targets() -> None:
    """Targets that are wrong change the errors and nothing else."""
    study = pl.concat([SMALL, LARGER]).sort("n_params", "n_tokens")
    options = {"shares": [0.3], "repeats": 1, "orders": 1, "objective": "mse_log"}
    is_target = pl.col("n_params") > 1e9
    right = replay_runs(study, "chinchilla", target=is_target, **options)  # type: ignore[arg-type]
    tripled = study.with_columns(loss=pl.when(is_target).then(1.1 * pl.col("loss")).otherwise(pl.col("loss")))
    wrong = replay_runs(tripled, "chinchilla", target=is_target, **options)  # type: ignore[arg-type]
    assert right.tidy().drop("error").equals(wrong.tidy().drop("error"))
    assert wrong.all_runs == pytest.approx(np.log(1.1), abs=0.02)
    assert right.all_runs < 0.02


def test_replay_refusals() -> None:
    with pytest.raises(DataError, match="a start alone takes 8"):
        replay_runs(SMALL, "chinchilla", target=0.5)
    with pytest.raises(DataError, match="not between 0 and 1"):
        replay_runs(SMALL, "chinchilla", shares=[2.0])
    with pytest.raises(DataError, match="no row is a target"):
        replay_runs(SMALL, "chinchilla", target=pl.col("n_params") > 1e12)
    with pytest.raises(DataError, match="all runs cost the same"):
        replay_runs(SMALL.with_columns(one=pl.lit(1.0)), "chinchilla", cost="one")
    with pytest.raises(DataError, match="repeats=0"):
        replay_runs(SMALL, "chinchilla", repeats=0)


def test_charts(small: sdb.Fit, played: sdb.planning.RunsReplay) -> None:
    chosen = next_runs(small, LARGER, budget=3e20, target=FAR)
    shown = chosen.chart().to_dict()
    assert "not chosen" in str(shown)
    assert "interval narrower by" in str(shown)
    replayed = played.chart().to_dict()
    assert "largest first" in str(replayed)
    table = played.glance()
    least = table.filter(pl.col("share") == pl.col("share").min()).sort("error")["strategy"][0]
    assert f"of the cost, {least} errs least" in " ".join(replayed["title"]["text"])
    assert chosen.candidates()["chosen"].sum() == chosen.tidy().height
    assert "<table" in chosen._repr_html_()
    assert "<table" in played._repr_html_()


def test_a_notebook_sees_the_columns_that_tell_runs_apart_with_units(small: sdb.Fit) -> None:
    candidates = LARGER.with_columns(
        run_id=pl.format("run {}", pl.int_range(LARGER.height)),
        source_id=pl.lit("mine"),
        d_model=pl.lit(None, pl.Int64),
    )
    page = next_runs(small, candidates, budget=1e21, target=FAR)._repr_html_()
    assert "<th>run</th><th>N, parameters</th><th>D, tokens</th><th>cost</th>" in page
    assert "d_model" not in page
    assert "source_id" not in page
    assert "shrink" not in page
    bare = next_runs(small, LARGER.rename({"loss": "kept"}), budget=1e21, target=FAR)._repr_html_()
    assert "<th>N, parameters</th>" in bare
