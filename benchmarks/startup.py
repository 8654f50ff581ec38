"""Felt speed: from the start of a process to an answer, medians of fresh processes.

    uv run python benchmarks/startup.py
    uv run python benchmarks/startup.py --repeats 3 --kernel

Wall time is what a person waits; processor time hardly depends on what else the machine does. ``--kernel`` adds a
Jupyter kernel: from its start to the first chart as Vega-Lite (the browser's own time is in `explorer_latency.py`).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

CONNECT = 'import scalingdb as sdb; points = sdb.connect().points("epoch_chinchilla")'
FIT = f'{CONNECT}; fit = sdb.fit(points, "chinchilla"); print(fit)'
CHART = f'{FIT}; fit.chart().save(TARGET, format="svg")'

WORK = {
    "Python alone": "pass",
    "connect() and points()": CONNECT,
    "points() and a printed fit": FIT,
    "that fit's chart as SVG": CHART.replace("TARGET", "__import__('io').StringIO()"),
}


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a process and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def in_kernel(code: str) -> tuple[float, float]:
    """Wall seconds from the start of a kernel to the display of its first chart; processor time is not known."""
    from jupyter_client.manager import start_new_kernel

    began = time.perf_counter()
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise SystemExit(f"the kernel failed: {reply['content'].get('evalue')}")
        return time.perf_counter() - began, float("nan")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kernel", action="store_true")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {arguments.repeats} repeats, medians")
    print(f"{'work':<52}{'wall, s':>9}{'CPU, s':>9}")
    jobs = {name: [sys.executable, "-c", code] for name, code in WORK.items()}
    shell = [sys.executable, "-c", "from scalingdb.cli import main; main()"]
    jobs["scalingdb build, nothing changed (needs raw files)"] = [*shell, "build", "--quiet"]
    for name, command in jobs.items():
        try:
            timed(command)  # files of the system are read once before
        except subprocess.CalledProcessError as error:
            print(f"{name:<52}{error.stderr.decode().strip().splitlines()[0]}")
            continue
        rows = [timed(command) for _ in range(arguments.repeats)]
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:<52}{wall:>9.2f}{cpu:>9.2f}", flush=True)
    if arguments.kernel:
        rows = [in_kernel(f"{FIT}; fit.chart()") for _ in range(arguments.repeats)]
        print(f"{'first chart in a fresh kernel':<52}{statistics.median(row[0] for row in rows):>9.2f}{'':>9}")


if __name__ == "__main__":
    main()
