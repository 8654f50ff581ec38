"""Flip single bits in shipped files, one at a time, and count how many the check's first pass finds.

``python benchmarks/reliability/bit_flips.py 1000`` works on a copy. Only the comparison with the manifest is run for each
flip; ``scalingdb check`` does that and more.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path

from scalingdb._store import read_state
from scalingdb.errors import WarehouseError
from scalingdb.published import default_path
from scalingdb.verification import file_faults


def main(n_flips: int) -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "warehouse"
        shutil.copytree(default_path(), folder, ignore=shutil.ignore_patterns("local", ".*"))
        files = sorted(p for p in folder.rglob("*") if p.suffix in {".parquet", ".sql"} or p.name == "manifest.json")
        sizes = [file.stat().st_size for file in files]
        found = 0
        for _ in range(n_flips):
            # half by size, half by file: large files must not hide small ones
            file = rng.choices(files, sizes)[0] if rng.random() < 0.5 else rng.choice(files)
            good = file.read_bytes()
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            file.write_bytes(bad)
            try:
                found += any(file_faults(read_state(folder), "tables/", needs_manifest=True))
            except WarehouseError:
                found += 1
            file.write_bytes(good)
        assert not list(file_faults(read_state(folder), "tables/", needs_manifest=True))
    print(f"{found} of {n_flips} flips found in {len(files)} files")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
