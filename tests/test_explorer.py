"""The explorer: what can be chosen, what a brush does to the answer, what it says, and the code that repeats it."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import polars as pl
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.explorer import Explorer, _draw
from scalingdb.explorer._axes import Axis
from scalingdb.explorer._state import Exploration
from scalingdb.explorer._words import change, code, heading


def begin(db: sdb.Warehouse, source: object, law: str | None = None) -> Exploration:
    state = Exploration.begin(source, law, "huber_log", None, db)
    state.answer_in_full()
    return state


@pytest.fixture(scope="module")
def answered(db: sdb.Warehouse) -> Exploration:
    state = begin(db, "epoch_chinchilla")
    state.answer_best()
    return state


@pytest.fixture
def state(answered: Exploration) -> Exploration:
    """The 240 runs under Chinchilla's law, answered, nothing left out."""
    own = copy.copy(answered)
    own.undo = []
    return own


@pytest.fixture
def explorer(state: Exploration) -> Explorer:
    return Explorer(state)


def send(explorer: Explorer, **message: Any) -> dict[str, Any]:
    """What the page shows after a message; outside a running loop everything is answered at once."""
    explorer._receive(None, message)
    return dict(explorer.widget.view)


def run(text: str, **names: Any) -> sdb.Fit:
    scope = dict(names)
    exec(text, scope)
    fit: sdb.Fit = scope["fit"]
    return fit


# ---- answers -------------------------------------------------------------------------------------


def test_the_refit_from_nearby_is_the_fit_of_the_rows_that_are_in(state: Exploration, db: sdb.Warehouse) -> None:
    state.leave_out(list(range(0, 240, 7)), out=True)
    assert state.answer_nearby()
    assert state.answer is not None
    near = state.answer
    assert near.fit is None
    runs = db.points("epoch_chinchilla")
    full = sdb.fit(runs.filter(pl.Series([i % 7 != 0 for i in range(240)])), "chinchilla")
    assert near.params == pytest.approx(dict(full.params), rel=1e-6)
    state.answer_in_full()
    assert state.answer.params == dict(full.params)
    state.answer_best()
    assert state.answer.best == full.optimum(state.train_flops).row(0, named=True)


def test_putting_rows_back_gives_the_first_answer(state: Exploration) -> None:
    whole = state.answer
    state.leave_out([3, 4], out=True)
    state.leave_out([5], out=None)
    assert state.out == {3, 4, 5}
    state.step_back()
    assert state.out == {3, 4}
    state.leave_out([3, 4], out=None)
    assert state.answer_nearby()
    assert state.answer is whole


def test_too_few_rows_say_why_and_all_come_back(explorer: Explorer) -> None:
    view = send(explorer, do="rows", rows=list(range(238)), out=True)
    assert view["stage"] == "fault"
    assert "2 row(s) cannot fix the 5 free parameters" in view["side"]
    assert explorer.fit is None
    assert send(explorer, do="all")["stage"] == "done"
    assert explorer.fit is not None


def test_the_budget_lies_above_the_largest_run(state: Exploration) -> None:
    frame = state.rows.frame
    largest = float((6.0 * frame["n_params"].cast(pl.Float64) * frame["n_tokens"].cast(pl.Float64)).max())  # type: ignore[arg-type]
    assert state.train_flops == 1e24
    assert 10 <= state.train_flops / largest < 1000


# ---- choices -------------------------------------------------------------------------------------


def test_only_sources_are_offered_that_a_law_fits(state: Exploration) -> None:
    assert {"epoch_chinchilla", "farseer", "gadre_overtraining", "bnsl"} <= set(state.sources)
    assert not {"gift_eval", "hoffmann", "vocab_scaling"} & set(state.sources)
    for source in ("bnsl", "structured_ffn", "superposition"):  # a curve, few rows, another law than chinchilla
        state.choose_source(source)
        state.answer_in_full()
        assert state.fault is None
        assert state.law.name in state.laws
        assert _draw.draw(state).x


def test_a_law_or_an_objective_keeps_what_is_out(explorer: Explorer) -> None:
    send(explorer, do="rows", rows=[0, 1, 2], out=True)
    view = send(explorer, do="set", name="objective", value="mse_log")
    assert view["out"] == [0, 1, 2]
    assert view["change"].startswith("With mse_log instead of huber_log, D/N at 1e24 FLOP")
    view = send(explorer, do="set", name="law", value="power")
    assert view["out"] == [0, 1, 2]
    assert "the mean error rises" in view["change"]
    assert explorer.widget.menu["axes"] == ["n_tokens"]
    assert not explorer.widget.menu["surface"]


def test_axis_and_budget_do_not_fit_again(explorer: Explorer) -> None:
    before = explorer.fit
    view = send(explorer, do="set", name="axis", value="n_tokens")
    assert "along tokens D" in view["svg"]
    view = send(explorer, do="set", name="budget", value="1e22")
    assert "best at 1e22 FLOP" in view["side"]
    assert explorer.fit is before
    assert before is not None
    assert explorer._state.answer is not None
    assert explorer._state.answer.best == before.optimum(1e22).row(0, named=True)


def test_families_of_a_source(explorer: Explorer) -> None:
    send(explorer, do="set", name="source", value="gadre_overtraining")
    assert explorer.widget.menu["families"] == ["all families", "c4", "redpajama", "refinedweb"]
    view = send(explorer, do="set", name="family", value="c4")
    assert "gadre_overtraining, c4" in view["head"]
    assert 'points("gadre_overtraining", family="c4")' in view["code"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("law", "chinchila", "'chinchila'"),
        ("source", "nowhere", "'nowhere'"),
        ("budget", "-3", "-3"),
        ("budget", "many", "many"),
        ("objective", "binomial", "'binomial'"),
    ],
)
def test_a_wrong_choice_is_said_and_changes_nothing(explorer: Explorer, name: str, value: str, said: str) -> None:
    before = explorer.widget.view
    view = send(explorer, do="set", name=name, value=value)
    assert said in view["note"]
    assert view["svg"] == before["svg"]


# ---- words and code ------------------------------------------------------------------------------


def test_the_sentence_names_runs_numbers_and_verdict(explorer: Explorer) -> None:
    rows = [
        i
        for i, label in enumerate(explorer.widget.menu["labels"])
        if label in {"epoch_chinchilla/006", "epoch_chinchilla/011"}
    ]
    view = send(explorer, do="rows", rows=rows, out=True)
    best = explorer._state.answer.best  # type: ignore[union-attr]
    whole = explorer._state.whole.best  # type: ignore[union-attr]
    assert best is not None
    assert whole is not None
    found = re.match(
        r"Without these 2 runs, D/N at 1e24 FLOP (rises|falls) from ([\d.]+) to ([\d.]+) \(", view["change"]
    )
    assert found is not None
    assert found[1] == ("rises" if best["tokens_per_param"] > whole["tokens_per_param"] else "falls")
    assert float(found[2]) == pytest.approx(whole["tokens_per_param"], rel=5e-3)
    assert float(found[3]) == pytest.approx(best["tokens_per_param"], rel=5e-3)
    assert "verdict" in view["change"]
    assert explorer.fit is not None
    error = 100 * float(explorer.fit.glance()["mean_abs_rel_error"].item())
    assert f"mean error {error:.2f} %" in view["side"]
    assert "inside the interval before" in view["change"]
    assert send(explorer, do="rows", rows=rows, out=False)["change"] == ""


def test_the_code_gives_the_same_fit(explorer: Explorer, capsys: pytest.CaptureFixture[str]) -> None:
    send(explorer, do="rows", rows=[0, 17, 100], out=True)
    send(explorer, do="set", name="objective", value="mse_log")
    assert explorer.fit is not None
    assert dict(run(explorer.code).params) == dict(explorer.fit.params)
    send(explorer, do="rows", rows=list(range(200)), out=True)  # now the shorter list is of those that stay
    assert "~" not in explorer.code
    assert dict(run(explorer.code).params) == dict(explorer.fit.params)


def test_the_code_of_rows_that_lack_a_column(db: sdb.Warehouse) -> None:
    state = begin(db, "regmix", "chinchilla")
    assert state.rows.n_short > 0
    assert ".drop_nulls(" in code(state)
    assert f"of regmix ({state.rows.n_short} more lack a column of the law)" in heading(state)
    assert state.rows.short_labels[0] == state.rows.labels[0].removeprefix("regmix/")
    assert state.answer is not None
    with pytest.warns(sdb.FitWarning, match="move together"):
        assert dict(run(code(state)).params) == state.answer.params


def test_a_frame_without_run_names(db: sdb.Warehouse) -> None:
    frame = db.points("epoch_chinchilla").select("n_params", "n_tokens", "loss").head(60)
    explorer = sdb.explore(frame, "chinchilla", train_flops=1e22)
    assert explorer.widget.menu["sources"] == []
    send(explorer, do="rows", rows=[4], out=True)
    assert "Without this row, " in explorer.change
    assert explorer.fit is not None
    assert dict(run(explorer.code, runs=frame).params) == dict(explorer.fit.params)


def test_a_law_over_one_input_names_the_parameter_that_moves(db: sdb.Warehouse) -> None:
    x = [1e8, 2e8, 4e8, 8e8, 16e8, 32e8, 64e8]
    frame = pl.DataFrame({"n_tokens": x, "loss": [2 + (n / 1e8) ** -0.5 + 0.01 * (-1) ** i for i, n in enumerate(x)]})
    state = begin(db, frame, "power_offset")
    assert state.axes == ["n_tokens"]
    assert not state.is_surface
    state.leave_out([0], out=True)
    state.answer_in_full()
    assert re.match(r"Without this row, (E|A|alpha) (rises|falls) from [\d.]+ to [\d.]+; the verdict", change(state))


# ---- what is drawn -------------------------------------------------------------------------------


def test_every_point_is_drawn_once_in_each_chart(state: Exploration) -> None:
    state.leave_out([0, 1], out=True)
    state.answer_nearby()
    drawing = _draw.draw(state, 700)
    assert len(drawing.x) == len(drawing.y) == len(drawing.residual) == 240
    dots = re.findall(r'<path class="dot s\d" d="([^"]+)"/>', drawing.svg)
    assert sum(path.count("h0") for path in dots) == 2 * 238
    gone = re.findall(r'<path class="gone" d="([^"]+)"/>', drawing.svg)
    assert [path.count("h0") for path in gone] == [2, 2]
    assert "nan" not in drawing.svg
    assert all(0 <= x <= 700 for x in drawing.x)


@pytest.mark.parametrize("is_log", [True, False])
def test_an_axis_has_round_ticks_inside(is_log: bool) -> None:
    axis = Axis(3e18, 2e24, 50, 700, is_log)
    ticks = axis.ticks()
    assert len(ticks) >= 3
    assert all(axis.low <= value <= axis.high for value, _ in ticks)
    assert axis.at(axis.low) == pytest.approx(50)
    assert axis.at(axis.high) == pytest.approx(700)
    assert len({label for _, label in ticks}) == len(ticks)


def test_the_file_keeps_the_last_state(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell.instance()
    published = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", published)
    try:
        explorer._ipython_display_()
        first, page = published.outputs
        assert "application/vnd.jupyter.widget-view+json" in first["data"]
        assert "240 runs of epoch_chinchilla" in page["data"]["text/html"]
        send(explorer, do="rows", rows=[7], out=True)
        last = published.outputs[-1]
        assert last["transient"]["display_id"] == page["transient"]["display_id"]
        assert "239 of 240 runs" in last["data"]["text/html"]
        assert "Without this run, D/N" in last["data"]["text/html"]
        assert "<button" not in last["data"]["text/html"]
        assert "<svg" in last["data"]["text/html"]
    finally:
        InteractiveShell.clear_instance()


def test_the_site_gets_the_picture_alone(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell.instance()
    published = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", published)
    monkeypatch.setenv("SCALINGDB_RENDERER", "spec")
    try:
        explorer._ipython_display_()
        assert [list(output["data"]) for output in published.outputs] == [["text/html", "text/plain"]]
    finally:
        InteractiveShell.clear_instance()


def test_a_program_may_leave_runs_out(explorer: Explorer) -> None:
    explorer.leave_out("epoch_chinchilla/006", 5, -1)
    assert explorer.widget.view["out"] == [0, 5, 239]
    explorer.put_back(5)
    assert explorer.widget.view["out"] == [0, 239]
    explorer.put_back()
    assert explorer.widget.view["out"] == []
    with pytest.raises(UnknownNameError, match="epoch_chinchilla/0060"):
        explorer.leave_out("epoch_chinchilla/0060")


# ---- what is refused -----------------------------------------------------------------------------


def test_what_cannot_be_explored_is_refused(db: sdb.Warehouse) -> None:
    with pytest.raises(UnknownNameError, match="chinchila"):
        sdb.explore("epoch_chinchilla", "chinchila", db=db)
    with pytest.raises(UnknownNameError, match="objective"):
        sdb.explore("epoch_chinchilla", objective="least", db=db)
    with pytest.raises(DataError, match="train_flops"):
        sdb.explore("epoch_chinchilla", train_flops=math.inf, db=db)
    with pytest.raises(DataError, match="no law of the library fits"):
        sdb.explore(pl.DataFrame({"a": [1.0], "b": [2.0]}))
    many = pl.DataFrame(
        {"n_tokens": [float(i + 1) for i in range(5001)], "loss": [1 + 1 / (i + 1) for i in range(5001)]}
    )
    with pytest.raises(DataError, match="5001 rows are too many"):
        sdb.explore(many, "power_offset")
