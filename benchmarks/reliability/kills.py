"""Kill processes that change a folder at random moments, and look for torn states and leftovers.

``python benchmarks/reliability/kills.py 500``: a process commits new contents of three files over and over and is killed
(SIGKILL) at a random moment; the state must be one that some commit made, whole, and the next run must leave no scratch
files.

``python benchmarks/reliability/kills.py 40 report``: reports of one page into a folder that holds an earlier one, killed by
SIGKILL and SIGTERM in turn. Readers must find every page, all of one report; no process of the report may remain; the
next report must leave nothing that a finished one does not.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from scalingdb import _store

WRITER = """
import sys, time
from pathlib import Path
from scalingdb._store import commit, exclusive, recover, scratch_folder
folder, n = Path(sys.argv[1]), int(sys.argv[2])
with exclusive(folder, wait=20):
    recover(folder)
print("ready", flush=True)
while True:
    n += 1
    with exclusive(folder), scratch_folder(folder, ".building-") as scratch:
        for name in "abc":
            (scratch / name).write_text(f"{n}" * 1000)
        commit(folder, {f"tables/{name}.parquet": scratch / name for name in "abc"})
"""


def main(n_kills: int) -> None:
    rng = random.Random(0)
    torn = commits = 0
    _store.KEEP_SECONDS = -1.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for kill in range(n_kills):
            command = [sys.executable, "-c", WRITER, str(folder), str(kill * 100_000)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.05))
                process.send_signal(signal.SIGKILL)
            state = _store.read_state(folder)
            contents = {state.path(name).read_text() for name in state.entries or {}}
            torn += len(contents) > 1 or (state.entries is not None and len(state.entries) != 3)
            commits += len(contents)
        with _store.exclusive(folder), _store.scratch_folder(folder, ".building-"):
            _store.recover(folder)
        left = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    print(f"{torn} torn states after {n_kills} kills ({commits} with a state); left after the next run: {left}")


REPORT = """
import sys
from scalingdb.site.report import build_report
build_report(output=sys.argv[1], notebooks=sys.argv[2], reference=False)
"""
MARK = "SCALINGDB_KILLS"
"""Variable that tells processes of these reports from others (Linux)."""


def _report(site: Path, notebooks: Path, number: int) -> subprocess.Popen[bytes]:
    cells = [new_markdown_cell(f"# Page v{number}v\n\nText v{number}v."), new_code_cell(f"print('v{number}v')")]
    nbformat.write(new_notebook(cells=cells), notebooks / "page.ipynb")
    environment = {**os.environ, MARK: str(site)}
    command = [sys.executable, "-c", REPORT, str(site), str(notebooks)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _remaining(site: Path) -> int:
    """Processes of a report that are still there, given five seconds to end."""
    mark = f"{MARK}={site}\0".encode()
    end = time.monotonic() + 5
    while True:
        n = 0
        for place in Path("/proc").glob("[0-9]*/environ"):
            try:
                n += mark in place.read_bytes()
            except OSError:
                continue
        if not n or time.monotonic() > end:
            return n
        time.sleep(0.05)


def _versions(site: Path) -> set[str]:
    """Versions of the notebook that the pages show; a link that leads nowhere raises an error."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if ".site" not in path.parts}
    for path in site.rglob("*"):
        path.stat()
    shown = {version for text in pages.values() for version in re.findall(r"v\d+v", text)}
    # Sphinx keeps words that no page has any more, with an empty list
    search = re.findall(r"(v\d+v)(?!\":\[\])", (site / "searchindex.js").read_text(encoding="utf-8"))
    return shown | set(search)


def kill_reports(n_kills: int) -> None:
    rng = random.Random(0)
    torn = finished = failed = remaining = 0
    with tempfile.TemporaryDirectory() as scratch:
        site, notebooks = Path(scratch, "site"), Path(scratch, "notebooks")
        notebooks.mkdir()
        start = time.monotonic()
        _report(site, notebooks, 0).wait()
        _report(site, notebooks, 1).wait()
        whole = (time.monotonic() - start) / 2
        usual = {path.name for path in (site / ".site").iterdir()} - {"pages-2"}
        shown = "v1v"
        for kill in range(2, n_kills + 2):
            with _report(site, notebooks, kill) as process:
                time.sleep(rng.uniform(0.2, 1.1) * whole)
                process.send_signal(signal.SIGTERM if kill % 2 else signal.SIGKILL)
            finished += process.returncode == 0
            failed += process.returncode > 0
            remaining += _remaining(site)
            try:
                versions = _versions(site)
            except OSError:
                versions = set()
            torn += versions not in ({shown}, {f"v{kill}v"})
            shown = next(iter(versions), shown)
        _report(site, notebooks, 1_000_000).wait()
        torn += _versions(site) != {"v1000000v"}
        hidden = sorted(path.name for path in site.iterdir() if path.name.startswith("."))
        more = {path.name for path in (site / ".site").iterdir()} - usual
        scraps = [path.name for path in site.rglob("*.new")]
    print(
        f"{torn} torn or mixed sites after {n_kills} kills ({finished} reports had finished, {failed} failed, of {whole:.1f} s each); "
        f"{remaining} processes remained; after the next report: {hidden}, beside the usual state {sorted(more)}, {scraps}"
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    kill_reports(number) if sys.argv[2:] == ["report"] else main(number)
