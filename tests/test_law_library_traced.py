"""What tracing a law gave is kept: the same numbers without SymPy, and nothing stale or damaged is believed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.fits import _form
from scalingdb.fits._ship import entries
from scalingdb.law_library import _cache, all_laws

LAW = """
import sys
import numpy as np, polars as pl, scalingdb as sdb
SLOPE = {slope}
PARAMS = {{"E": sdb.positive, "A": sdb.positive, "alpha": sdb.exponent}}
@sdb.law("mine", cite="own", inputs=("n_params",), params=PARAMS)
def mine(n_params, *, E, A, alpha):
    return E + A * n_params ** -(SLOPE * alpha)
n = np.geomspace(1e7, 1e10, 12)
fit = sdb.fit(pl.DataFrame({{"n_params": n, "loss": 1.7 + 400 * n**-0.34}}), mine)
print("sympy" in sys.modules, round(fit.params["alpha"], 6), round(fit.params["E"], 6))
"""


def _run(text: str, tmp_path: Path) -> str:
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=os.environ)
    return done.stdout.strip()


def test_a_first_fit_of_a_library_law_imports_nothing_heavy(tmp_path: Path) -> None:
    text = (
        "import sys, scalingdb as sdb\n"
        "print(sdb.fit(sdb.connect().points('epoch_chinchilla'), 'chinchilla'))\n"
        "heavy = {'sympy', 'scipy', 'altair', 'statsmodels', 'pandas', 'IPython', 'jupyter_client'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    printed = _run(text, tmp_path).split("\n")
    assert "E=1.81722" in printed[0]
    assert printed[1] == "[]"


def test_a_users_law_is_traced_once_and_anew_when_what_it_uses_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALINGDB_CACHE", str(tmp_path / "cache"))
    assert _run(LAW.format(slope=1), tmp_path) == "True 0.34 1.7"
    assert _run(LAW.format(slope=1), tmp_path) == "False 0.34 1.7"
    assert _run(LAW.format(slope=2), tmp_path) == "True 0.17 1.7"
    for file in (tmp_path / "cache").rglob("*.json"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert _run(LAW.format(slope=1), tmp_path) == "True 0.34 1.7"


def test_nothing_is_left_of_an_entry_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALINGDB_CACHE", str(tmp_path))
    (tmp_path / "laws" / "taken.json").mkdir(parents=True)
    old, new = (tmp_path / "laws" / f"{name}.part" for name in ("old", "new"))
    for left in (old, new):
        left.touch()
    os.utime(old, (0, 0))
    _cache.save("taken", {})
    _cache.save("kept", {})
    assert {file.name for file in (tmp_path / "laws").iterdir()} == {"taken.json", "kept.json", "new.part"}
    deep = b"[" * 100_000
    (tmp_path / "laws" / "deep.json").write_bytes(hashlib.sha256(deep).hexdigest().encode() + b"\n" + deep)
    assert _cache.load("deep") is None


def test_what_ships_is_what_tracing_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random sample; a law that has changed since is traced when it is used, which is no fault."""
    with zipfile.ZipFile(_cache.SHIPPED) as archive:
        shipped = {name: archive.read(name) for name in archive.namelist()}
    known = [law for law in all_laws().values() if f"{law.cache_key}.json" in shipped]
    assert len(known) > 40
    monkeypatch.setattr(_cache, "load", lambda key: None)
    for law in random.Random(3).sample(known, 4):
        fresh = entries(replace(law))  # a copy has looked nothing up
        assert {name: _body(shipped[name]) for name in fresh} == {name: _body(text) for name, text in fresh.items()}


def _body(content: bytes) -> Any:
    return json.loads(content.partition(b"\n")[2])


def test_code_from_the_cache_and_fresh_code_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    law = sdb.get_law("chinchilla")
    kept = _form.compiled(law)
    monkeypatch.setattr(_cache, "load", lambda key: None)
    _form.compiled.cache_clear()
    fresh = _form.compiled(law)
    _form.compiled.cache_clear()
    inputs = kept.prepare([rng.uniform(1e7, 1e10, 9), rng.uniform(1e9, 1e12, 9)])
    u = rng.normal(size=(3, kept.n_params))
    for order in (0, 1, 2):
        one, other = kept.evaluate(u, inputs, order), fresh.evaluate(u, inputs, order)
        assert np.array_equal(one.value, other.value)
        if order:
            assert np.array_equal(one.gradient, other.gradient)  # type: ignore[arg-type]


def test_every_law_of_the_library_has_a_key() -> None:
    """A law without one is traced whenever its formula is shown, and `sdb.laws()` shows all of them."""
    assert not [law.name for law in all_laws().values() if not law.is_own and law.cache_key is None]


def test_a_table_that_a_formula_uses_is_part_of_its_key() -> None:
    def keyed(table: np.ndarray) -> str:
        def formula(x: float, *, a: float) -> float:
            return float((a * x * table).sum())

        return _cache.fingerprint(formula)

    table = np.array([0.1, 0.2, 1 / 3])
    assert keyed(table) == keyed(table + 1e-16) != keyed(np.array([0.1, 0.2, 0.3334]))
    assert keyed(table) != keyed(table.reshape(1, 3))


def test_a_formula_without_a_text_is_traced_every_time() -> None:
    law = sdb.law("as_a_lambda", cite="own", inputs=("x",), output="y", params={"a": sdb.positive})(
        lambda x, *, a: a * x
    )
    assert law.cache_key is None
    assert sdb.fit(pl.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]}), law).params["a"] == pytest.approx(2)
