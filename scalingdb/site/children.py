"""Processes that a build starts, and that must not outlive it: what goes on writing would garble the next build.

Run as ``python -P -m scalingdb.site.children``, with arguments of ``sphinx-build`` and an open standard input: Sphinx,
which ends with its workers when that input does, because whoever held it has gone, however it went.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

__all__ = ["die_with_parent", "run_sphinx"]


def run_sphinx(arguments: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    """Run Sphinx; return its exit code and what it wrote to the standard error."""
    command = [sys.executable, "-P", "-m", "scalingdb.site.children", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=dict(env),
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.read()
            return process.wait(), said
        except BaseException:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when the one with the id `parent` ends, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before that line
            os._exit(1)


def _end_with_input() -> None:
    """Wait until nobody holds the other end of the standard input, then end, with all that was forked from here."""
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Sphinx, with the arguments of this process."""
    from sphinx.cmd.build import main as build

    own = os.getpid()
    threading.Thread(target=_end_with_input, daemon=True).start()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: die_with_parent(own))
    sys.exit(build(sys.argv[1:]))


if __name__ == "__main__":
    main()
