"""SQL cells: what they return, keep, and say when a query cannot run."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251 - users hand such values over
import polars as pl
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import scalingdb as sdb
from scalingdb.errors import QueryError


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell with the extension loaded, without history or start-up files."""
    from traitlets.config import Config

    quiet = Config()
    quiet.HistoryManager.enabled = False
    shell = InteractiveShell(config=quiet)
    shell.extension_manager.load_extension("scalingdb")
    yield shell
    shell.restore_sys_module_state()


def test_line_returns_a_frame(shell: InteractiveShell) -> None:
    frame = shell.run_line_magic("sql", "select 1 as x, 'a' as y")
    assert frame.equals(pl.DataFrame({"x": [1], "y": ["a"]}).cast({"x": pl.Int32}))


def test_cell_returns_and_keeps_under_a_name(shell: InteractiveShell) -> None:
    frame = shell.run_cell_magic("sql", "counts", "select count(*) as n\nfrom runs")
    assert shell.user_ns["counts"] is frame
    assert frame["n"].item() > 0


def test_arrows_keep_without_showing(shell: InteractiveShell) -> None:
    assert shell.run_cell_magic("sql", "one <<", "select 1 as x") is None
    assert shell.run_line_magic("sql", "two << select 2 as x") is None
    assert shell.user_ns["one"].item() == 1
    assert shell.user_ns["two"].item() == 2


@pytest.mark.parametrize("value", [1e9, np.float64(1e9), 1_000_000_000])
def test_placeholders_take_variables(shell: InteractiveShell, value: object) -> None:
    shell.user_ns |= {"source": "epoch_chinchilla", "least": value}
    query = "select min(n_params) as n from runs where source_id = $source and n_params > $least"
    assert shell.run_line_magic("sql", query).item() > 1e9


def test_placeholders_take_lists(shell: InteractiveShell) -> None:
    shell.user_ns["wanted"] = pl.Series(["hoffmann", "kaplan"])
    frame = shell.run_line_magic(
        "sql", "select source_id from sources where list_contains($wanted, source_id) order by 1"
    )
    assert frame["source_id"].to_list() == ["hoffmann", "kaplan"]


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("2024-01-01", "ns"),
        np.array([np.timedelta64(5, "ns")]),
        pl.Series([1], dtype=pl.Datetime("ns")),
        pl.Series([datetime.timedelta(1)]).cast(pl.Duration("ns")).to_pandas(),
        pd.Timestamp(1704067200123456789),
        pd.Timedelta(5, "ns"),
    ],
)
def test_dates_that_would_be_cut_are_refused(shell: InteractiveShell, value: Any, db: sdb.Warehouse) -> None:
    shell.user_ns["v"] = value  # they would arrive as whole numbers, or without their nanoseconds
    with pytest.raises(UsageError, match=r"value of \$v holds dates"):
        shell.run_cell_magic("sql", "", "select $v as x")
    with pytest.raises(QueryError, match=r"value of \$v holds dates"):
        db.sql("select $v as x", v=value)


def test_dates_of_python_are_taken(shell: InteractiveShell) -> None:
    for value in (datetime.datetime(2024, 1, 1), datetime.timedelta(1), pd.Timestamp("2024-01-01 12:00:00.5")):
        shell.user_ns["v"] = value
        assert shell.run_line_magic("sql", "select $v::varchar as x").height == 1


def test_law_macros_work(shell: InteractiveShell) -> None:
    loss = shell.run_line_magic("sql", "select law_chinchilla(7e9, 1.4e12) as loss").item()
    assert loss == pytest.approx(float(sdb.get_law("chinchilla")(7e9, 1.4e12)), rel=1e-12)


@pytest.mark.parametrize(
    ("line", "cell", "fact"),
    [
        ("", "select * from rums", "rums"),
        ("", "select $nowhere", "no variable 'nowhere'"),
        ("", "-- nothing", "empty"),
        ("2fast", "select 1", "'2fast'"),
        ("a << select 1", "select 2", "after '<<'"),
    ],
)
def test_errors_are_message_and_hint(shell: InteractiveShell, line: str, cell: str, fact: str) -> None:
    with pytest.raises(UsageError) as caught:
        shell.run_cell_magic("sql", line, cell)
    assert fact in str(caught.value)
    assert "Hint: " in str(caught.value)


def test_no_traceback_is_shown(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("%sql select * from rums")
    assert not result.success  # so that a report with a failing query fails
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "rums" in out + err


@pytest.mark.parametrize("query", ["select '\ud800'", "select " + "(" * 10_000 + "1" + ")" * 10_000])
def test_what_no_parser_may_see_is_refused_before(shell: InteractiveShell, query: str) -> None:
    with pytest.raises(UsageError, match=r"surrogate|nested too deeply"):
        shell.run_cell_magic("sql", "", query)
