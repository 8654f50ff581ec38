"""The command line: what it prints where, its exit codes, and that no error is a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import scalingdb as sdb
from ingest._raw import find_raw_directory
from scalingdb._store import write_manifest
from scalingdb.cli import _output, app
from scalingdb.cli._program import CHECKOUT
from scalingdb.errors import DataError
from scalingdb.fits import _storage
from scalingdb.published import default_path
from scalingdb.verification import verify

COMMANDS = (
    "build",
    "add",
    "check",
    "sources",
    "sql",
    "export",
    "laws",
    "law",
    "recommend",
    "fit",
    "replicate",
    "report",
    "lab",
)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def program(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    """The installed program in a process of its own."""
    command = [sys.executable, "-c", "from scalingdb.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **options})


def test_a_terminal_that_knows_few_characters_shows_the_rest_by_number() -> None:
    query = "select 'é日' as u"
    shown = program("sql", query, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\\u65e5" in shown.stdout
    as_json = program("sql", query, "--format", "json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert json.loads(as_json.stdout) == [{"u": "é日"}]


@pytest.mark.skipif(os.name == "nt", reason="another shell")
@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("sql 'select 1' >&-", "Error: the output cannot be written: ", 1),
        ("--version >/dev/full", "Error: the output cannot be written: ", 1),
        ("sql --help >/dev/full", "Error: the output cannot be written: ", 1),
        ("sql 'select 1' -o \"$(printf 'x\\377.csv')\" && ls x*.csv", "", 0),
        ("sql 'select 1' -o \"$(printf 'x\\377.parquet')\" <&-", "", 0),
        ("sql 'select 1' --allow . ; true", "", 0),
        ("export x.duckdb", "Error: the current folder was deleted\nHint: change to another one.", 1),
    ],
)
def test_odd_places_of_the_shell_are_told(line: str, said: str, code: int, tmp_path: Path) -> None:
    if said.startswith("Error: the current"):
        line = f'mkdir gone; cd gone; rmdir "$PWD"; SCALINGDB {line}'
    else:
        line = f"SCALINGDB {line}"
    program = f"{sys.executable} -c 'from scalingdb.cli import main; main()'"
    ran = subprocess.run(
        ["sh", "-c", line.replace("SCALINGDB", program)], cwd=tmp_path, capture_output=True, check=False
    )
    error = ran.stderr.decode(errors="replace")
    assert (ran.returncode, "Traceback" in error) == (code, False)
    assert said in error


def test_a_pager_with_an_open_quote_prints_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("PAGER", 'less "')
    assert _output._pager() is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", [("sources",), ("sql", "select 1")])
def test_a_full_disk_behind_the_output_is_no_traceback(command: tuple[str, ...]) -> None:
    code = "import sys; from scalingdb.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert re.fullmatch(r"Error: the output cannot be written: .*\n", done.stderr)


# ---- help and start-up -----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    examples = result.stdout.partition("Examples:")[2].partition("Options:")[0]
    assert examples.count(f"scalingdb {command}") >= 2


def test_help_lists_every_command() -> None:
    text = run("--help").stdout
    assert all(f"\n  {command} " in text for command in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    heavy = ("polars", "duckdb", "sympy", "altair", "numpy", "nbconvert", "rich")
    code = (
        "import sys; sys.argv = ['scalingdb', '--help']\n"
        "from scalingdb.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_the_program_is_installed() -> None:
    done = program("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("scalingdb ")


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "fact", "hint"),
    [
        (("sql", "select * from rums"), "rums", "runs"),
        (("sql", "drop table runs"), "read-only", "export"),
        (("sql", "select 1", "--format", "parquet"), "Parquet", "--output"),
        (("sql", "select 1", "--output", "x.xlsx"), "x.xlsx", ".csv"),
        (("sql", "select 1", "--format", "csv", "--json"), "--json", "one of them"),
        (("sql", "select $n", "--param", "n"), "name=value", "--param"),
        (("fit", "fraseer", "chinchilla"), "fraseer", "'farseer'"),
        (("fit", "epoch_chinchilla", "chinchila"), "chinchila", "'chinchilla'"),
        (("fit", "epoch_chinchilla", "chinchilla", "--where", "n_parms > 1"), "n_parms", "n_params"),
        (("fit", "epoch_chinchilla", "chinchilla", "--fix", "E=low"), "low", "--fix"),
        (("fit", "epoch_chinchilla", "chinchilla", "--chart", "fit.bmp"), "fit.bmp", ".svg"),
        (("fit", "epoch_chinchilla", "chinchilla", "--by", "family", "--train-flops", "1e24"), "--by", "--where"),
        (("fit", "nowhere.csv", "chinchilla"), "nowhere.csv", "path"),
        (("fit", "runs.csv", "chinchilla", "--split", "fit"), "--split", "--where"),
        (("export", "nowhere/x.duckdb"), "nowhere", "create"),
        (("report", "nothing_of_this_name"), "nothing_of_this_name", "notebook"),
        (("report", "--notebooks", "nowhere"), "nowhere", "--notebooks"),
    ],
)
def test_an_error_is_a_fact_and_a_hint(
    arguments: tuple[str, ...], fact: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    said = result.stderr[result.stderr.index("Error: ") :]
    first, _, rest = said.partition("\nHint: ")
    assert fact in first
    assert hint in rest
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_wrong_use_is_exit_code_2() -> None:
    for arguments in (["nosuch"], ["fit", "farseer"], ["sources", "--nosuch"]):
        done = program(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from scalingdb.cli import main; main()"
    command = [sys.executable, "-c", code, "sql", "select run_id from curves limit 20000", "--rows", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scalingdb.warehouse.connect", interrupt)
    result = run("sources")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


# ---- sources and sql -------------------------------------------------------------------------


def test_papers_as_json_and_as_table() -> None:
    rows = json.loads(run("sources", "--papers", "--json").stdout)
    assert len(rows) == 86
    assert (rows[66]["row"], rows[66]["stated"], rows[66]["ours"]) == ("L67", 3.0, 3.0)
    table = run("sources", "--papers").stdout
    assert "vote_reliability" in table
    assert run("sources", "--compute").exit_code == 2


def test_sources_as_json_and_as_table() -> None:
    rows = json.loads(run("sources", "--json").stdout)
    assert [row["source_id"] for row in rows] == sdb.connect().sources()["source_id"].to_list()
    table = run("sources").stdout
    assert all(row["source_id"] in table for row in rows if row["n_runs"])


def test_sql_writes_each_format(tmp_path: Path) -> None:
    query = "select run_id, loss, [1, 2] as pair from points where source_id = $s order by run_id limit 5"
    expected = sdb.connect().sql(query, s="epoch_chinchilla")
    for suffix in ("csv", "json", "parquet"):
        file = tmp_path / f"rows.{suffix}"
        result = run("sql", query, "--param", "s=epoch_chinchilla", "--output", str(file))
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[suffix]
        frame = read(file)  # type: ignore[operator]
        assert frame["loss"].to_list() == expected["loss"].to_list()  # full precision survives
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.json", "rows.parquet"]


def test_sql_from_stdin_and_numbers_as_parameters() -> None:
    result = run(
        "sql", "-", "--json", "--param", "n=41", "--param", "t='7'", stdin="select $n + 1 as n, $t || 'x' as t"
    )
    assert json.loads(result.stdout) == [{"n": 42, "t": "7x"}]


def test_json_has_null_where_json_has_no_number() -> None:
    result = run("sql", "select 'nan'::double as a, 'inf'::double as b, null as c", "--json")
    assert json.loads(result.stdout) == [{"a": None, "b": None, "c": None}]


def test_the_table_says_what_it_leaves_out() -> None:
    result = run("sql", "select run_id from runs", "--rows", "3")
    assert len(result.stdout.splitlines()) == 4
    assert "--rows 0" in result.stderr


# ---- fit -------------------------------------------------------------------------------------


def test_fit_as_json_is_the_fit_in_full_precision() -> None:
    result = run("fit", "epoch_chinchilla", "chinchilla", "--json", "--train-flops", "1e24")
    answer = json.loads(result.stdout)
    fit = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
    assert {row["param"]: row["estimate"] for row in answer["tidy"]} == dict(fit.params)
    assert answer["glance"]["objective"] == fit.objective
    assert answer["recipe"]["data_sha256"] == fit.recipe.data_sha256
    assert answer["optimum"][0]["train_flops"] == 1e24


def test_remarks_and_warnings_go_to_stderr() -> None:
    done = program("fit", "epoch_chinchilla", "power_offset", "--where", "n_tokens < 1e9", "--fix", "E=4", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["glance"]["verdict"] != "identified"
    assert "flagged rows left out" in done.stderr
    assert "Warning: law 'power_offset'" in done.stderr
    assert "FitWarning" not in done.stderr


def test_fit_prints_objective_in_full_and_verdict() -> None:
    result = run("fit", "epoch_chinchilla", "chinchilla", "--fix", "E=1.8")
    fit = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla", fixed={"E": 1.8})
    assert repr(fit.objective) in result.stdout
    assert str(fit.verdict) in result.stdout
    assert fit.law.cite in result.stdout
    lines = result.stdout.splitlines()
    assert "intervals   95 %, robust covariance, by run_id" in lines  # E itself, the first parameter, has none


def test_fit_of_farseers_rows_as_its_paper_chooses_them() -> None:
    condition = "n_params_non_embedding > 2e8"
    result = run("fit", "farseer", "chinchilla", "--split", "fit", "--where", condition, "--flagged", "--json")
    assert json.loads(result.stdout)["glance"]["n_rows"] == 341


def test_fit_by_group() -> None:
    answer = json.loads(run("fit", "gadre_overtraining", "gadre_overtrain", "--by", "family", "--json").stdout)
    assert [row["family"] for row in answer["glance"]] == ["c4", "redpajama", "refinedweb"]
    assert not answer["errors"]


def test_a_group_that_cannot_be_fitted_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    n, d = [1e8, 1e9, 1e10], [1e9, 1e10, 1e11]
    rows = [(a, b, 1.7 + 400 * a**-0.34 + 410 * b**-0.28, "full") for a in n for b in d]
    rows += [(1e8, 1e9, 3.0, "short")]
    pl.DataFrame(rows, schema=["n_params", "n_tokens", "loss", "group"], orient="row").write_csv(file)
    result = run("fit", str(file), "chinchilla", "--by", "group", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert list(answer["errors"]) == ["short"]
    assert {row["group"] for row in answer["glance"]} == {"full"}


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<svg"), (".png", b"\x89PNG"), (".html", b"<!DOCTYPE html>")])
def test_fit_draws_a_chart(tmp_path: Path, suffix: str, start: bytes) -> None:
    file = tmp_path / f"fit{suffix}"
    assert run("fit", "epoch_chinchilla", "chinchilla", "--chart", str(file)).exit_code == 0
    assert file.read_bytes().lstrip().startswith(start)


# ---- export, check, build --------------------------------------------------------------------


def test_export_does_not_replace_a_file_unless_told(
    small_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalingdb.warehouse.default_path", lambda: small_warehouse)
    file = tmp_path / "scaling.duckdb"
    file.write_text("mine")
    refused = run("export", str(file))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert file.read_text() == "mine"
    assert run("export", str(file), "--force").exit_code == 0
    with sdb.connect(file) as db:
        assert "points" in db.tables()


def test_the_shipped_tables_are_sound() -> None:
    found = verify(default_path())
    assert found.faults == ()
    assert found.n_files > 0


def test_verification_finds_each_kind_of_fault(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    for table in ("sources", "runs", "evals"):
        (tables / table).mkdir(parents=True)
        frame = pl.read_parquet(default_path() / "tables" / table / "epoch_chinchilla.parquet")
        frame.write_parquet(tables / table / "epoch_chinchilla.parquet")
    assert verify(tmp_path).faults == ("manifest.json is missing: nothing says which files belong here",)
    write_manifest(tmp_path)
    assert verify(tmp_path).faults == ()
    runs = pl.read_parquet(tables / "runs" / "epoch_chinchilla.parquet")
    runs.head(5).write_parquet(tables / "runs" / "epoch_chinchilla.parquet")
    assert any("run_id that 'runs' does not hold" in fault for fault in verify(tmp_path).faults)
    pl.concat([runs, runs.head(1)]).write_parquet(tables / "runs" / "epoch_chinchilla.parquet")
    assert any("not unique" in fault for fault in verify(tmp_path).faults)
    runs.drop("seed").with_columns(n_params=pl.lit(1)).write_parquet(tables / "runs" / "epoch_chinchilla.parquet")
    faults = "\n".join(verify(tmp_path).faults)
    assert "missing column(s) seed" in faults
    assert "'n_params' holds Int32" in faults
    (tables / "runs" / "epoch_chinchilla.parquet").write_bytes(b"PAR1 cut short")
    assert any("cannot be read" in fault for fault in verify(tmp_path).faults)


def test_check_without_the_ingest_code_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalingdb.cli._warehouse._ingest_root", lambda: None)
    for table in ("sources", "runs", "evals"):
        copy = tmp_path / "tables" / table / "epoch_chinchilla.parquet"
        copy.parent.mkdir(parents=True)
        copy.write_bytes((default_path() / copy.relative_to(tmp_path)).read_bytes())
    write_manifest(tmp_path)
    monkeypatch.setattr("scalingdb.published.default_path", lambda: tmp_path)
    result = run("check")
    assert result.exit_code == 0
    assert "not checked" in result.stdout
    answer = json.loads(run("check", "--json").stdout)
    assert answer["is_good"]
    assert answer["rebuild"]["status"] == "not checked"


def test_build_without_the_ingest_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalingdb.cli._warehouse._ingest_root", lambda: None)
    result = run("build")
    assert result.exit_code == 2
    assert "clone the repository" in result.stderr


def test_build_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    done = program("build", "fraseer", "--quiet", "--target", str(tmp_path))
    assert done.returncode == 2
    assert "'farseer'" in done.stderr
    done = program("build", "--quiet", "--raw", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr


def test_a_source_that_fails_is_named_and_is_exit_code_1(tmp_path: Path) -> None:
    raw, target = tmp_path / "raw", tmp_path / "warehouse"
    raw.mkdir()
    done = program(
        "build", "epoch_chinchilla", "hoffmann", "--raw", str(raw), "--target", str(target), "--json", "--quiet"
    )
    assert done.returncode == 1
    status = {row["source_id"]: row["status"] for row in json.loads(done.stdout)["sources"]}
    assert status == {"epoch_chinchilla": "failed", "hoffmann": "changed"}
    assert "source 'epoch_chinchilla' failed" in done.stderr
    assert "is missing" in done.stderr
    # what did build is a warehouse of its own, views included
    assert sdb.connect(target).sources()["source_id"].to_list() == ["hoffmann"]


def test_build_from_raw_files_makes_the_shipped_bytes(tmp_path: Path) -> None:
    if find_raw_directory() is None:
        pytest.skip("no raw files: set SCALINGDB_RAW or place them in ../shared/data")
    done = program("build", "epoch_chinchilla", "--target", str(tmp_path), "--quiet")
    assert done.returncode == 0, done.stderr
    assert "epoch_chinchilla" in done.stdout
    for file in (tmp_path / "tables").rglob("*.parquet"):
        assert file.read_bytes() == (CHECKOUT / "warehouse" / file.relative_to(tmp_path)).read_bytes()


# ---- lab -------------------------------------------------------------------------------------


@pytest.mark.ci  # starts JupyterLab; what it is started with is tested below
def test_lab_passes_options_on() -> None:
    done = program("lab", "--", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout[0].isdigit()


def test_lab_opens_the_first_notebook_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from scalingdb.cli import _notebooks as cli
    from scalingdb.cli import app

    started: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str]) -> None:
            started.append(command)

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(cli.subprocess, "Popen", Server)
    monkeypatch.setattr(cli, "_lab_folder", lambda: tmp_path)
    assert CliRunner().invoke(app, ["lab"]).exit_code == 0
    assert not any("default_url" in part for part in started[0])
    (tmp_path / "start_here.ipynb").write_text("{}")
    own = "--LabApp.default_url=/lab/tree/mine.ipynb"
    assert CliRunner().invoke(app, ["lab", "--", own]).exit_code == 0
    assert started[1][-2:] == ["--LabApp.default_url=/lab/tree/start_here.ipynb", own]


def test_lab_copies_packaged_notebooks_and_keeps_edited_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scalingdb.cli import _notebooks as cli

    packaged = tmp_path / "package" / "notebooks"
    packaged.mkdir(parents=True)
    for name in ("a", "b"):
        (packaged / f"{name}.ipynb").write_text(name)
    work = tmp_path / "work"
    (work / "scalingdb-notebooks").mkdir(parents=True)
    (work / "scalingdb-notebooks" / "a.ipynb").write_text("edited")
    monkeypatch.chdir(work)
    monkeypatch.setattr(cli, "PACKAGE", tmp_path / "package")
    monkeypatch.setattr("scalingdb.site.report.notebook_folder", lambda: packaged)
    folder = cli._lab_folder()
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a.ipynb": "edited", "b.ipynb": "b"}


# ---- own files -------------------------------------------------------------------------------


def _runs_csv(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    n = np.geomspace(1e7, 1e9, 16)
    d = 20 * n * rng.uniform(0.5, 3, 16)
    loss = (1.7 + 400 * n**-0.34 + 410 * d**-0.28) * (1 + 0.002 * rng.standard_normal(16))
    table = pl.DataFrame({"name": [f"m{i}" for i in range(16)], "Params": n, "steps": (d / 1e5).round(), "L": loss})
    file = folder / "runs.csv"
    table.drop("Params").write_csv(file)
    table.select("name", "Params").write_csv(folder / "sizes.csv")
    return file


def test_hints_are_written_as_they_are_typed_at_the_shell(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("run,params,tokens,score\na,1e8,2e9,3.2\nb,2e8,4e9,3.1\n")
    missing = run("fit", str(file), "chinchilla")
    assert "--map loss=COLUMN; a wide table of scores: --task COLUMN" in missing.stderr
    file.write_text("run,params,tokens,val_loss\na,1e8,2e9,3.2\nb,2e8,4e9,3.1\n")
    assert "no row of" in (none := run("fit", str(file), "chinchilla", "--where", "params > 1e12")).stderr
    assert "--where 'params > 1e12'" in none.stderr
    added = run("add", str(file), "--source-id", "mine")
    assert "Hint: give --unit: nats_per_token" in added.stderr
    assert "mapping=" not in missing.stderr + none.stderr + added.stderr
    with pytest.raises(DataError, match="where='params > 1e12'"):
        sdb.read_runs(file, where="params > 1e12")


def test_a_file_is_fitted_compared_and_planned_with_a_side_table(tmp_path: Path) -> None:
    options = ["--models", str(tmp_path / "sizes.csv"), "--tokens-per-step", "1e5"]
    options += ["--map", "run_id=name", "--map", "step=steps", "--map", "loss=L", "--unit", "nats_per_token"]
    file = str(_runs_csv(tmp_path))
    rows = sdb.read_runs(
        file,
        {"run_id": "name", "step": "steps", "loss": "L"},
        models=tmp_path / "sizes.csv",
        tokens_per_step=1e5,
        unit="nats_per_token",
    )
    ours = sdb.fit(rows, "chinchilla")
    fitted = run("fit", file, "chinchilla", *options, "--json")
    assert fitted.exit_code == 0, fitted.stderr
    assert json.loads(fitted.stdout)["glance"]["objective"] == pytest.approx(ours.objective, rel=1e-9)
    planned = run("plan", "chinchilla", "--fit", file, *options, "--bootstrap", "0", "--train-flops", "1e22", "--json")
    assert planned.exit_code == 0, planned.stderr
    answer = json.loads(planned.stdout)["tidy"][0]
    assert answer["n_params"] == pytest.approx(sdb.plan(ours, train_flops=1e22).tidy()["n_params"][0], rel=1e-9)
    compared = run("compare", file, "chinchilla", "power_offset", *options, "--bootstrap", "0", "--json")
    assert compared.exit_code == 0, compared.stderr
    assert "train_flops_6nd (2 runs)" in json.loads(compared.stdout)["sentence"]


def test_options_of_files_are_refused_for_a_source_and_the_other_way_round(tmp_path: Path) -> None:
    assert "--curves: for files only" in run("fit", "epoch_chinchilla", "chinchilla", "--curves").stderr
    file = _runs_csv(tmp_path)
    assert "--study: for sources of the warehouse only" in run("fit", str(file), "chinchilla", "--study", "x").stderr
    alone = run("plan", "chinchilla", "--unit", "nats_per_token", "--train-flops", "1e22")
    assert alone.exit_code == 2
    assert "--unit: for the rows of --fit only" in alone.stderr


PLACES = [
    ("x" * 300 + ".{suffix}", "File name too long", "shorter name"),
    ("/".join(["y" * 200] * 25) + "/a.{suffix}", "File name too long", "shorter name"),
    ("file/a.{suffix}", "'file' is a file, not a folder", "another folder"),
    ("nowhere/a.{suffix}", "folder 'nowhere' does not exist", "create it"),
    ("folder.{suffix}", "it is a folder", "name a file in it"),
    ("a\0b.{suffix}", "null byte", "another name"),
    ("closed/a.{suffix}", "may not be written to", "is yours"),
]


@pytest.mark.parametrize(("name", "words", "hint"), PLACES, ids=[words for _, words, _ in PLACES])
@pytest.mark.parametrize("command", ["export", "sql", "Fit.save"])
def test_places_where_no_file_can_be_are_refused_before_any_work(
    command: str, name: str, words: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "\0" in name and command != "Fit.save":
        pytest.skip("no argument of a program holds a null byte")
    suffix = {"export": "duckdb", "sql": "csv", "Fit.save": "fit"}[command]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for folder in (f"folder.{suffix}", "closed"):
        (tmp_path / folder).mkdir()
    is_open = os.access
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "closed" and is_open(path, mode))
    monkeypatch.setattr("scalingdb.warehouse.connect", None)  # nothing is computed
    before = sorted(tmp_path.rglob("*"))
    place = name.format(suffix=suffix)
    if command == "Fit.save":
        with pytest.raises(DataError) as caught:
            _storage.save(None, place)  # type: ignore[arg-type]
        said = str(caught.value)
    else:
        result = run("export", place) if command == "export" else run("sql", "select 1 as a", "-o", place)
        assert result.exit_code == 2
        said = result.stderr
    assert "cannot write" in said
    assert words in said
    assert hint in said
    assert sorted(tmp_path.rglob("*")) == before


def test_names_with_a_new_line_are_names(tmp_path: Path) -> None:
    place = tmp_path / "two\nlines.csv"
    assert run("sql", "select 1 as a", "-o", str(place)).exit_code == 0
    assert place.read_text() == "a\n1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "", "--source-id", "mine"], "the path is empty"),
        (["add", "runs.csv", "", "--source-id", "mine"], "the path is empty"),
        (["add", "/", "--source-id", "mine"], "files and folders, too many to be results of runs"),
        (["sql", "select 1", "--allow", ""], "is '', not a path"),
        (["report", "-o", ""], "output is '', not a path"),
        (["report", "--notebooks", ""], "notebooks is '', not a path"),
    ],
)
def test_no_path_is_not_the_working_folder_and_the_root_is_not_walked(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scalingdb.reading._files.MOST_FILES", 1_000)
    (tmp_path / "runs.csv").write_text("run,params,tokens,val_loss\na,1e8,1e9,3\n")
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs.csv"]


@pytest.mark.parametrize(
    ("query", "as_json", "as_csv"),
    [
        (
            "select timestamp_ns '2024-01-01 00:00:00.123456789' as x",
            "2024-01-01 00:00:00.123456789",
            "2024-01-01T00:00:00.123456789",
        ),
        (
            "select [timestamp_ns '2024-01-01 00:00:00.123456789'] as x",
            ["2024-01-01 00:00:00.123456789"],
            '"[""2024-01-01 00:00:00.123456789""]"',
        ),
        ("select 12345678901234567890123::hugeint as x", "12345678901234567890123", "12345678901234567890123"),
        ("select 1234567890123456.79::decimal(18, 2) as x", "1234567890123456.79", "1234567890123456.79"),
        ("select 12.5::decimal(4, 2) as x", 12.5, "12.5"),
        (r"select '\xAA\x00'::blob as x", "aa00", "aa00"),
        (r"select ['\xAA'::blob] as x", ["aa"], '"[""aa""]"'),
        ("select map {true: 1} as x", {"true": 1}, '"{""true"": 1}"'),
        ("select [[1, 2], [3, 4]]::int[2][2] as x", [[1, 2], [3, 4]], '"[[1, 2], [3, 4]]"'),
        ("select ['nan'::double, 'inf', null] as x", [None, None, None], '"[NaN, Infinity, null]"'),
        ("select '=1+1'::enum('=1+1') as x", "=1+1", "'=1+1"),
    ],
)
def test_no_value_is_garbled_on_its_way_out(query: str, as_json: Any, as_csv: str) -> None:
    assert json.loads(run("sql", query, "--json").stdout) == [{"x": as_json}]
    assert run("sql", query, "--format", "csv").stdout == f"x\n{as_csv}\n"


def test_two_headings_that_would_be_one_are_told() -> None:
    done = run("sql", 'select 1 as "=a", 2 as "\'=a"', "--format", "csv")
    assert done.exit_code == 2
    assert 'two headings would read "\'=a" in CSV' in done.stderr


def test_headings_are_no_formulas_and_control_characters_are_not_printed() -> None:
    assert run("sql", 'select 1 as "=1+1"', "--format", "csv").stdout == "'=1+1\n1\n"
    assert "\x1b" not in run("sql", "select 'a' || chr(27) || '[31mb' as x").stdout


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("170141183460469231731687303715884105727::hugeint", "more than 38 digits"),
        ("[170141183460469231731687303715884105727::hugeint]", "more than 38 digits"),
        ("map {[1, 2]: 3}", "MAP whose keys are of several values"),
    ],
)
def test_values_that_a_frame_would_garble_are_refused(value: str, told: str) -> None:
    done = run("sql", f"select {value} as x")
    assert done.exit_code == 2
    assert told in done.stderr
