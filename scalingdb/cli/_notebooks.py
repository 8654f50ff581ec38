"""Commands of the notebooks: report and lab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from scalingdb._progress import steps
from scalingdb.cli._output import (
    as_json_text,
)
from scalingdb.cli._program import (
    PACKAGE,
    JsonOption,
    QuietOption,
    app,
    guarded,
)
from scalingdb.errors import OutputError


@app.command()
@guarded
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Notebooks; all by default.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Folder of the site.")] = "reports",
    notebooks: Annotated[
        str | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks. Default: the project's.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Execute the notebooks and build the site, which reads offline.

    Notebooks that have not changed since the last build are not run again, unless they are named. If
    a cell fails, the old site stays, and the cell is shown with its traceback. Names and a new
    folder give a light site of these notebooks alone.

    \b
    Examples:
      scalingdb report
      scalingdb report compare_laws --output site
      scalingdb report --notebooks my_notebooks --quiet
    """
    from scalingdb.site.report import build_report

    with steps(quiet=quiet) as advance:
        site = build_report(names or (), output, notebooks=notebooks, progress=advance)
    if as_json:
        print(as_json_text({"index": str(site.index), "pages": [str(page) for page in site.pages]}))
    else:
        print(site.index)


FIRST = "start_here.ipynb"
"""The notebook that is open when JupyterLab comes up."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@guarded
def lab(
    context: typer.Context,
) -> None:
    r"""Open the notebooks in JupyterLab, 'start_here' first. Further options go to JupyterLab, after '--'.

    From an installed package the notebooks are first copied to ./scalingdb-notebooks; a notebook
    that is there already is left as it is.

    \b
    Examples:
      scalingdb lab
      scalingdb lab -- --no-browser --port 8890
    """
    folder = _lab_folder()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    if (folder / FIRST).is_file():
        command.append(f"--LabApp.default_url=/lab/tree/{FIRST}")
    command += context.args  # of two values of one option the later one holds
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # JupyterLab receives it as well and asks before it stops
    if code:
        raise typer.Exit(code)


def _lab_folder() -> Path:
    """The checkout's notebooks, or a copy of the packaged ones in the current directory."""
    from scalingdb.site.report import notebook_folder

    source = notebook_folder()
    if PACKAGE not in source.parents:
        return source
    target = Path.cwd() / "scalingdb-notebooks"
    try:
        target.mkdir(exist_ok=True)
        for file in sorted(source.glob("*.ipynb")):
            if not (target / file.name).exists():
                (target / file.name).write_bytes(file.read_bytes())
    except OSError as error:
        raise OutputError(f"cannot copy the notebooks to {target}: {error}", "change to a writable folder.") from error
    return target
