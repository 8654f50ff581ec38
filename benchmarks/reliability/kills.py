"""Kill processes that change a folder at random moments, and look for torn states and leftovers.

``python benchmarks/reliability/kills.py 500``: a process commits new contents of three files over and over and is killed
(SIGKILL) at a random moment; the state must be one that some commit made, whole, and the next run must leave no scratch
files.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
