"""Commands of the warehouse: build, check, add, sources, sql, export."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from scalingdb._progress import working
from scalingdb._store import check_target
from scalingdb.cli._output import (
    TABLE_ROWS,
    Format,
    OutputOption,
    as_json_text,
    flat,
    format_of,
    number_of,
    paged,
    pairs_of,
    print_frame,
    refuse,
    rows_of,
    write_file,
)
from scalingdb.cli._points import (
    DecimalOption,
    MapOption,
    ModelsOption,
    ScaleOption,
    TaskOption,
    TokensPerStepOption,
    UnitOption,
    WhereOption,
    declared,
)
from scalingdb.cli._program import (
    CHECKOUT,
    FAILED,
    JsonOption,
    QuietOption,
    app,
    guarded,
    say,
)
from scalingdb.errors import OutputError


def _ingest_root() -> Path | None:
    """The checkout, if this package runs from one (the ingest code is not part of the wheel)."""
    return CHECKOUT if (CHECKOUT / "ingest" / "_build.py").is_file() else None


def _run_ingest(arguments: Sequence[str], *, capture: bool = False) -> subprocess.CompletedProcess[str]:
    root = _ingest_root()
    assert root is not None
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    # stdin tells the child that this process is gone, however it went: it then stops too
    environment["SCALINGDB_PARENT_ON_STDIN"] = "1"
    command = [sys.executable, "-m", "ingest", *arguments]
    stdout = subprocess.PIPE if capture else None
    with subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=stdout, text=True) as child:
        text = child.stdout.read() if child.stdout is not None else ""
        code = child.wait()
    return subprocess.CompletedProcess(command, code, text)


RawOption = Annotated[
    Path | None,
    typer.Option(
        "--raw", metavar="DIR", help="Folder with one folder of raw files per source. Default: $SCALINGDB_RAW."
    ),
]


@app.command()
@guarded
def build(
    sources: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Sources; all by default.")] = None,
    raw: RawOption = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="DIR", help="Warehouse folder to write. Default: the checkout's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build unchanged sources too.")] = False,
    without_raw: Annotated[
        bool, typer.Option("--without-raw", help="Bring the tables up to date with code and schema; read no raw file.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the files of a release that the copy lacks; build nothing.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes. Default: one per processor.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Build the tables from raw files.

    This needs a checkout of the repository. Every raw file is checked against its recorded hash. A
    source either arrives whole or leaves its old tables untouched; one whose raw files, code and
    tables are those of the last build is skipped. All that was built appears in one step at the end; a
    build that is stopped changes nothing. Without raw files, --without-raw takes over corrected
    coefficients and new columns (filled with nulls).

    --download asks the source's public repository (or $SCALINGDB_UPSTREAM) for the files that our copy of
    a release lacks, at the pinned commit: each is checked by its git id and read, and is kept in the cache
    or in --target. It says how many of the paper's models they reach. Called again, it goes on.

    \b
    Examples:
      scalingdb build
      scalingdb build hitchhiker --download
      scalingdb build farseer steplaw --raw ~/raw --force
      scalingdb build --target /tmp/warehouse --json
    """
    if _ingest_root() is None:
        refuse(
            "building needs the ingest code, which is not part of the installed package",
            "clone the repository and run 'pip install -e .[ingest]' there; the shipped tables work without.",
        )
    arguments = ["build", *(sources or [])]
    for option, path in (("--raw", raw), ("--target", target)):
        if path is not None:
            arguments += [option, str(path.resolve())]
    arguments += ["--without-raw"] * without_raw + ["--download"] * download
    arguments += ["--force"] * force + (["--workers", str(workers)] if workers else [])
    arguments += ["--json"] * as_json + ["--quiet"] * quiet
    if code := _run_ingest(arguments).returncode:
        raise typer.Exit(code)


@app.command()
@guarded
def check(
    raw: RawOption = None,
    warehouse: Annotated[
        Path | None, typer.Option("--warehouse", metavar="DIR", help="Check this folder instead of the shipped one.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Check the warehouse: files, rows, views, own sources.

    Every file must be there with the hash that the manifest states, be readable, complete and
    consistent; the user's own sources too. The shipped tables must be rebuilt from the raw files byte
    for byte. The rebuild needs raw files and a checkout; where they are absent the rest is checked and
    the command says so.

    \b
    Examples:
      scalingdb check
      scalingdb check --raw ~/raw --json
      scalingdb check --warehouse ~/warehouse
    """
    from scalingdb.published import default_path
    from scalingdb.verification import verify
    from scalingdb.warehouse import own_folder, view_faults

    home = warehouse or default_path()
    own = own_folder() if warehouse is None else None
    with working("reading every file and view", quiet=quiet):
        found = verify(home, own)
        if not found.faults:
            found = dataclasses.replace(found, faults=tuple(view_faults(home, own)))
    rebuild: dict[str, Any] = {"status": "not checked", "reason": None, "differences": [], "errors": {}}
    if warehouse is not None:
        rebuild["reason"] = "only the shipped warehouse is"
    elif _ingest_root() is None:
        rebuild["reason"] = "the ingest code is not part of the installed package"
    else:
        arguments = ["check", "--json", *(["--raw", str(raw.resolve())] if raw else []), *["--quiet"] * quiet]
        done = _run_ingest(arguments, capture=True)
        if not done.stdout:
            raise typer.Exit(done.returncode or FAILED)  # it has said why on stderr
        answer = json.loads(done.stdout)
        equal = not answer["differences"] and not answer["errors"]
        rebuild |= {key: answer[key] for key in ("differences", "errors")}
        if answer["has_raw"] or not equal:
            rebuild["status"] = "equal" if equal else "different"
        else:
            rebuild["reason"] = "raw files are absent (what the code declares is in the tables)"
    is_good = not found.faults and rebuild["status"] != "different"
    if as_json:
        summary = {"n_files": found.n_files, "n_rows": found.n_rows, "faults": found.faults, "rebuild": rebuild}
        print(as_json_text({"is_good": is_good, **summary}))
    else:
        print(f"{found.n_files} files, {found.n_rows:,} rows: {len(found.faults) or 'no'} fault(s)")
        for fault in found.faults:
            print(f"  {fault}")
        if rebuild["status"] == "equal":
            print("rebuild from raw files: equal byte for byte")
        elif rebuild["status"] == "different":
            print("rebuild from raw files: DIFFERENT")
            for line in [*rebuild["differences"], *(f"{name}: {text}" for name, text in rebuild["errors"].items())]:
                print(f"  {line}")
        else:
            print(f"rebuild from raw files: not checked, {rebuild['reason']}")
    if not is_good:
        raise typer.Exit(FAILED)


@app.command()
@guarded
def add(
    paths: Annotated[list[str] | None, typer.Argument(metavar="[FILE_OR_FOLDER]...", help="What to read.")] = None,
    source_id: Annotated[str | None, typer.Option("--source-id", metavar="NAME", help="Name of the source.")] = None,
    mapping: MapOption = None,
    unit: UnitOption = None,
    metric: Annotated[str, typer.Option("--metric", help="What 'loss' or 'value' measures.")] = "loss",
    eval_set: Annotated[str | None, typer.Option("--eval-set", help="Text that it was measured on.")] = None,
    scale: ScaleOption = None,
    models: ModelsOption = None,
    where: WhereOption = None,
    tasks: TaskOption = None,
    tokens_per_step: TokensPerStepOption = None,
    decimal: DecimalOption = None,
    n_definition: Annotated[str | None, typer.Option("--n-definition", help="Which count is N.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the source.")] = None,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the data.")] = "own data",
    replace: Annotated[bool, typer.Option("--replace", help="Replace your source of this name.")] = False,
    append: Annotated[bool, typer.Option("--append", help="Add rows to your source of this name.")] = False,
    remove: Annotated[str | None, typer.Option("--remove", metavar="NAME", help="Take a source out again.")] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Add your own results beside the curated ones, or take them out.

    Training logs (W&B, TensorBoard CSV, Trainer states, JSON lines), evaluation results (lm-evaluation-harness,
    Inspect, HELM, OpenCompass, Every Eval Ever) or any table. They are checked like any other source and kept in
    your data folder ($SCALINGDB_LOCAL).

    \b
    Examples:
      scalingdb add runs.csv --source-id mine --map N=Params --map D=Tokens --map L=val_loss \
          --unit nats_per_token --eval-set c4_val --where "State = 'finished'"
      scalingdb add lm_eval_output --source-id my_models --models sizes.csv
      scalingdb add more_runs.csv --source-id mine --unit nats_per_token --append
      scalingdb add --remove mine
    """
    from scalingdb.own_sources import add_source, remove_source

    if remove is not None:
        if paths or source_id is not None:
            refuse("--remove takes a source out; a file and --source-id add one", "do one at a time.")
        remove_source(remove)
        say(f"source {remove!r} removed")
        return
    if not paths or source_id is None:
        refuse("a file (or folder) and --source-id are needed", "scalingdb add runs.csv --source-id mine ...")
    told = declared(mapping, unit, scale)
    added = add_source(
        list(paths),
        source_id,
        told.mapping,
        unit=unit,
        metric=metric,
        eval_set=eval_set,
        models=models,
        scale=told.scale,
        where=where,
        tasks=tasks,
        tokens_per_step=tokens_per_step,
        decimal=decimal,
        n_definition=n_definition,
        title=title,
        licence=licence,
        replace=replace,
        append=append,
    )
    if as_json:
        answer = {"source_id": added.source_id, "rows": added.rows, "unused": added.unused, "folder": added.folder}
        print(as_json_text(answer))
    else:
        rows = ", ".join(f"{name} {count:,}" for name, count in added.rows.items() if name != "sources")
        print(f"{added.source_id}: {rows}; kept in {added.folder}")


@app.command()
@guarded
def sources(
    every: Annotated[
        bool, typer.Option("--all", help="Also those that hold no runs, only coefficients or findings.")
    ] = False,
    papers: Annotated[
        bool, typer.Option("--papers", help="The papers that the project covers: a number of each beside ours.")
    ] = False,
    compute: Annotated[
        bool, typer.Option("--compute", help="With --papers: compute our numbers now (a minute or two).")
    ] = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""List the sources that hold runs: size, licence, what ships. Or the papers, with one number of each.

    JSON and files hold all sources, and all columns.

    \b
    Examples:
      scalingdb sources
      scalingdb sources --all
      scalingdb sources --papers
      scalingdb sources --json | jq '.[].source_id'
      scalingdb sources -o sources.csv
    """
    from scalingdb.warehouse import connect

    if compute and not papers:
        raise typer.BadParameter("--compute belongs to --papers")
    if papers:
        _papers(compute, output, as_json)
        return
    frame = connect().sources()
    if output is not None:
        write_file(frame, output)
        return
    if as_json:
        print(as_json_text(rows_of(frame)))
        return
    shown = frame if every else frame.filter(frame["n_runs"] > 0)
    with paged():
        print_frame(
            shown.select(
                source="source_id",
                year="year",
                runs="n_runs",
                evals="n_evals",
                flagged="n_flagged",
                claims="n_claims",
                testable="n_claims_testable",
                arxiv="arxiv_id",
                headline_metric="headline_metric",
                ships="is_shipped",
                licence="licence",
            ),
            rows=0,
        )
    if shown.height < frame.height:
        say(f"{frame.height - shown.height} more hold coefficients or findings only; --all lists them.")


def _papers(compute: bool, output: Path | None, as_json: bool) -> None:
    """The papers that the project covers: the law, the rows, the number and ours, or what was tried."""
    import polars as pl

    from scalingdb.evidence.papers import paper_table
    from scalingdb.warehouse import connect

    frame = paper_table(connect(), compute=compute)
    if output is not None:
        write_file(frame.with_columns(pl.col("laws").list.join(", ")), output)
        return
    if as_json:
        print(as_json_text(rows_of(frame)))
        return
    with paged():
        print_frame(
            frame.select(
                "row",
                arxiv="arxiv_id",
                laws=pl.col("laws").list.join(", "),
                rows=pl.col("n_runs") + pl.col("n_evals"),
                paper=pl.when(pl.col("relation") == "words")
                .then(pl.lit("in words"))
                .otherwise(pl.concat_str(pl.col("relation").replace("=", ""), pl.col("stated").round_sig_figs(4))),
                here=pl.col("ours").round_sig_figs(4),
                agrees="agrees",
                what=pl.coalesce("tried", "what").str.slice(0, 60),
            ),
            rows=0,
        )
    good = frame.filter("agrees")
    n_words, n_setting = good.filter(relation="words").height, good.filter(~pl.col("is_finding")).height
    say(
        f"{good.height - n_words - n_setting} of {frame.height} papers: a number that they found agrees with ours; of "
        f"{n_setting} one of their setting does (a count, a size, a cost); of {n_words} a test of ours bears out what "
        "they say in words. --json has the code."
    )


@app.command()
@guarded
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT; '-' reads it from stdin.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="Value of a $name placeholder.")
    ] = None,
    output_format: Annotated[
        Format | None, typer.Option("--format", help="Default: the suffix of --output, else table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="DIR", help="Folder whose files the query may read too.")
    ] = None,
    memory_limit: Annotated[str | None, typer.Option("--memory-limit", metavar="SIZE", help="Such as 4GB.")] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", metavar="SECONDS", help="Stop the query after this time.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows that the table view shows; 0 for all.")] = TABLE_ROWS,
    as_json: JsonOption = False,
) -> None:
    r"""Run a SQL query.

    The dialect is DuckDB's, over tables, views and law macros. A query only reads: the warehouse, and
    files of the folders given with --allow. 'select * from points' has one row a
    run; numbers given with --param arrive as numbers, unless they are quoted twice.

    \b
    Examples:
      scalingdb sql "select source_id, count(*) as n from runs group by all order by n desc"
      scalingdb sql "select law_chinchilla(7e9, 1.4e12) as loss"
      scalingdb sql 'select * from points where source_id = $s' --param s=farseer -o farseer.csv
      echo "select * from units" | scalingdb sql - --json
    """
    from scalingdb.warehouse import connect

    chosen = _sql_format(output_format, output, as_json)
    if output is not None:
        check_target(output)
    if query == "-":
        if hasattr(signal, "siginterrupt"):  # Polars has the system go on waiting over Ctrl-C
            signal.siginterrupt(signal.SIGINT, True)
        query = sys.stdin.read()
    params = {name: number_of(value) for name, value in pairs_of(param, "--param").items()}
    with working("running the query"):
        frame = connect(allow=allow or (), memory_limit=memory_limit, time_limit=time_limit).sql(query, **params)
    if output is not None:
        write_file(frame, output, chosen)
    elif chosen is Format.json:
        print(as_json_text(rows_of(frame)))
    elif chosen is Format.csv:
        print(flat(frame).write_csv(), end="")
    else:
        with paged():
            print_frame(frame, rows=rows)


def _sql_format(given: Format | None, output: Path | None, as_json: bool) -> Format:
    if as_json:
        if given not in {None, Format.json}:
            refuse("--json and --format ask for different things", "give one of them.")
        return Format.json
    if given is None and output is not None:
        return format_of(output, "use .csv, .json or .parquet, or say which with --format.")
    chosen = given or Format.table
    if chosen is Format.parquet and output is None:
        refuse("Parquet is no text", "name a file: --output FILE.parquet")
    if chosen is Format.table and output is not None:
        refuse("the table view is for reading, not for files", "write --format csv, json or parquet.")
    return chosen


@app.command()
@guarded
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.duckdb", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    r"""Write one DuckDB file for other SQL clients.

    It holds the tables, the views and the law macros.

    \b
    Examples:
      scalingdb export scaling.duckdb
      scalingdb export scaling.duckdb --force && duckdb scaling.duckdb
    """
    from scalingdb.warehouse import connect

    check_target(file)
    if file.exists() and not force:
        raise OutputError(f"{str(file)!r} exists", "choose another name, or replace it with --force.")
    connect().export(file)
    print(file)
