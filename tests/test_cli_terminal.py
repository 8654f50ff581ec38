"""The shell as a person at a terminal meets it: the pager, the tab key, and files by their suffix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner, Result

import scalingdb as sdb
from scalingdb import law_library
from scalingdb.cli import _names, app

pty = pytest.importorskip("pty", reason="no terminals of this kind here")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def in_terminal(pager: str, *arguments: str) -> str:
    """What a terminal of 24 lines and 80 columns shows of a command."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PAGER": pager, "COLUMNS": "80", "LINES": "24", "TERM": "dumb"}
    command = [sys.executable, "-c", "from scalingdb.cli import main; main()", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait()
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_progress_goes_to_a_terminal_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    from scalingdb._progress import steps, working

    text = (
        "from scalingdb._progress import steps, working\n"
        "with steps() as advance:\n    advance('pages', 1, 3)\n    advance('pages', 3, 3)\n"
        "with working('fitting'):\n    pass\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", text], stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        process.wait()
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "3/3" in shown
    assert "left" in shown
    assert "fitting" in shown
    with steps() as advance, working("fitting"):
        advance("pages", 1, 3)
    assert capsys.readouterr() == ("", "")


# ---- the pager -----------------------------------------------------------------------------------


def test_a_long_table_goes_to_the_pager_unfolded(tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"
    script = tmp_path / "pager.py"
    script.write_text(f"import sys, pathlib; pathlib.Path({str(seen)!r}).write_text(sys.stdin.read())")
    wide = "select i as n, repeat('x', 90) as wide from range(60) t(i)"
    assert in_terminal(f"{sys.executable} {script}", "sql", wide) == ""
    lines = seen.read_text().splitlines()
    assert len(lines) == 61
    assert len(lines[1]) > 90

    seen.unlink()
    assert "farseer" in in_terminal(f"{sys.executable} {script}", "sql", "select 'farseer' as law")
    assert not seen.exists(), "what fits needs no pager"


def test_without_a_pager_a_table_is_folded() -> None:
    lines = in_terminal(
        "no-such-pager", "sql", "select 'a' as first, repeat('b', 60) as second, repeat('c', 60) as third"
    ).splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80 + len("\033[1m\033[0m")


def test_splits_have_units_and_intervals() -> None:
    done = run("plan", "chinchilla", "--fit", "epoch_chinchilla", "--bootstrap", "30", "--train-flops", "1e22")
    heading = next(line for line in done.stdout.splitlines() if line.startswith("compute C"))
    assert heading.split("  ")[0] == "compute C, FLOP"
    for name in ("N, parameters", "D, tokens", "D/N, tokens per parameter", "fitted range"):
        assert name in heading
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("1e22 "))
    assert row.count("B to ") == 2
    assert row.endswith("inside")


# ---- files ---------------------------------------------------------------------------------------


def test_tables_go_to_files_by_their_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: sdb.get_law(name) for name in ("power", "chinchilla")}
    sources = sdb.connect().sources()
    assert run("sources", "-o", str(tmp_path / "s.parquet")).exit_code == 0
    assert_frame_equal(pl.read_parquet(tmp_path / "s.parquet"), sources)
    with monkeypatch.context() as patch:
        patch.setattr(law_library, "all_laws", lambda: few)
        assert run("laws", "-o", str(tmp_path / "l.json")).exit_code == 0
    assert [row["law"] for row in json.loads((tmp_path / "l.json").read_text())] == list(few)
    done = run("fit", "epoch_chinchilla", "chinchilla", "--json", "-o", str(tmp_path / "f.csv"))
    assert "f.csv" in done.stderr
    table = pl.read_csv(tmp_path / "f.csv")
    assert table["param"].to_list() == list(sdb.get_law("chinchilla").params)
    done = run("plan", "chinchilla", "--train-flops", "1e21", "--variant", "epoch", "-o", str(tmp_path / "p.csv"))
    assert pl.read_csv(tmp_path / "p.csv")["train_flops"].to_list() == [1e21]


def test_a_suffix_that_names_no_format_is_refused(tmp_path: Path) -> None:
    done = run("sources", "-o", str(tmp_path / "sources.xlsx"))
    assert done.exit_code == 2
    assert "'sources.xlsx' names no format" in done.stderr
    assert not list(tmp_path.iterdir())


def test_sources_without_runs_are_listed_on_request() -> None:
    short, long = run("sources"), run("sources", "--all")
    frame = sdb.connect().sources()
    n_empty = int((frame["n_runs"] == 0).sum())
    assert len(short.stdout.splitlines()) == frame.height - n_empty + 1
    assert len(long.stdout.splitlines()) == frame.height + 1
    assert f"{n_empty} more" in short.stderr
    assert "more" not in long.stderr


# ---- the tab key ---------------------------------------------------------------------------------


def test_names_of_the_shell() -> None:
    assert _names.law_names("farse") == ["farseer"]
    assert "chinchilla_a3" in _names.law_names("chin")
    assert _names.source_names("epoch_ch") == ["epoch_chinchilla"]
    assert _names.situation_names("small") == ["small_grid"]
    assert _names.objective_names("mae") == ["mae_log", "mae"]


@pytest.mark.parametrize(
    ("words", "found"),
    [("scalingdb recomm", "recommend"), ("scalingdb fit x farse", "farseer")],
)
def test_bash_asks_the_program(words: str, found: str) -> None:
    environment = {"_SCALINGDB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'scalingdb'; from scalingdb.cli import main; main()"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.stdout.split() == [found]
