"""Who may import whom, and the rules that hold for every file of the repository."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scalingdb as sdb
from scalingdb.law_library import all_laws

ROOT = Path(__file__).parents[1]

FLOORS: tuple[tuple[str, frozenset[str]], ...] = (
    ("errors", frozenset({"errors"})),
    ("arguments", frozenset({"_arguments"})),
    (
        "words",
        frozenset(
            {"display", "notices", "schema", "units", "_imports", "_interrupts", "_progress", "_store", "_stream"}
        ),
    ),
    ("charts", frozenset({"_frames", "charts", "published", "estimation", "reading", "verification"})),
    ("laws", frozenset({"law_library"})),
    ("fits and tables", frozenset({"fits", "warehouse", "schedules"})),
    ("judging", frozenset({"judging", "own_sources"})),
    ("analyses", frozenset({"comparison", "discovery", "downstream", "forecasts", "planning", "practices", "trends"})),
    ("evidence", frozenset({"evidence"})),
    ("doors", frozenset({"cli", "explorer", "magic", "site"})),
    ("the program", frozenset({"_shell"})),
)
"""Rooms from the ground up. A room imports from the floors below it, and from nothing else: neither at the top of a
module nor inside a function nor for types."""

NEIGHBOURS: frozenset[tuple[str, str]] = frozenset({("cli", "site")})
"""Rooms of one floor of which the first may import the second: ``scalingdb report`` builds the site."""


def _modules(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts)


def _room(path: Path) -> str:
    """Part of the package that a file belongs to: the module, or the folder that holds it."""
    return path.relative_to(ROOT / "scalingdb").parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, in full: at its top, inside functions, and for types only."""
    return _imports_of(ast.parse(path.read_text(encoding="utf-8")), path)


def _imports_of(node: ast.AST, path: Path, *, types: bool = True) -> Iterator[str]:
    if not types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: relative imports hide the direction"
        assert node.module is not None
        for alias in node.names:
            yield f"{node.module}.{alias.name}"
    for child in ast.iter_child_nodes(node):
        yield from _imports_of(child, path, types=types)


def _run_time_imports(path: Path) -> Iterator[str]:
    """As :func:`_imports`, without those that serve annotations only."""
    text = path.read_text(encoding="utf-8")
    return _imports_of(ast.parse(text), path, types=False)


def _imported_rooms(path: Path) -> Iterator[str]:
    """Parts of scalingdb that a file imports; a name taken from the package itself counts by its home."""
    for name in _imports(path):
        first, _, rest = name.partition(".")
        if first != "scalingdb":
            continue
        assert rest, f"{path}: import from the module that holds the name, not from the package"
        room = rest.split(".")[0]
        yield sdb._HOME.get(room, sdb._MODULES.get(room, room)).split(".")[0]


PACKAGE = [path for path in _modules("scalingdb") if path.name != "__init__.py" or path.parent.name != "scalingdb"]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_downward(path: Path) -> None:
    floor = {room: level for level, (_, rooms) in enumerate(FLOORS) for room in rooms}
    here = _room(path)
    assert here in floor, f"{here} stands on no floor: list it in FLOORS"
    for other in set(_imported_rooms(path)) - {here}:
        assert floor[other] < floor[here] or (here, other) in NEIGHBOURS, f"{here} imports {other}"


def test_every_floor_and_exception_names_rooms_that_exist() -> None:
    rooms = [room for _, names in FLOORS for room in names]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == {_room(path) for path in PACKAGE}
    assert len(NEIGHBOURS) <= 3
    assert {room for pair in NEIGHBOURS for room in pair} <= set(rooms)


TESTED = {
    "architecture",
    *("benchmarks", "ingest", "notebooks"),
    *(name.lstrip("_") for _, rooms in FLOORS for name in rooms),
    *(path.name for path in (ROOT / "scalingdb" / "evidence").iterdir() if path.is_dir()),
}
"""What a test file may be named for: a room, a folder of ``evidence/``, or a folder beside ``scalingdb/``."""


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("test_*.py")), ids=lambda path: path.name)
def test_every_test_file_is_named_for_what_it_tests(path: Path) -> None:
    name = path.stem.removeprefix("test_")
    assert any(name == one or name.startswith(f"{one}_") for one in TESTED), (
        f"{path.name}: name it test_<room>.py or test_<room>_<topic>.py"
    )


@pytest.mark.parametrize("path", _modules("scalingdb/estimation"), ids=lambda path: path.name)
def test_estimation_knows_arrays_only(path: Path) -> None:
    for name in _imports(path):
        assert name.split(".")[0] not in {"polars", "duckdb", "altair"}, name
        assert not name.startswith("scalingdb.") or name.split(".")[1] in {"errors", "notices", "estimation"}, name


@pytest.mark.parametrize("path", _modules("scalingdb"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scalingdb_never_imports_ingest(path: Path) -> None:
    assert not [name for name in _imports(path) if name.split(".")[0] == "ingest"]


@pytest.mark.parametrize("path", _modules("ingest"), ids=lambda path: path.name)
def test_ingest_imports_from_the_ground_floors_only(path: Path) -> None:
    allowed = {"schema", "errors", "notices", "_progress", "_store"}
    if path.name == "_dictionary.py":  # documents the views, so it asks the warehouse for their columns
        allowed |= {"warehouse"}
    assert set(_imported_rooms(path)) <= allowed


@pytest.mark.parametrize(
    "path",
    [*_modules("scalingdb"), *_modules("ingest"), *_modules("benchmarks")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_pandas_and_altair_stay_in_their_rooms(path: Path) -> None:
    packages = {name.split(".")[0] for name in _run_time_imports(path)}
    assert "pandas" not in packages or path.parent == ROOT / "scalingdb" / "estimation"
    assert "altair" not in packages or path.parent == ROOT / "scalingdb" / "charts" or path.parts[-2] == "benchmarks"


# ---- public names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sdb.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(sdb, name)
    doc = inspect.getdoc(value)
    if isinstance(value, sdb.law_library.Param):  # a constant: its docstring stands below it in the module
        source = inspect.getsource(importlib.import_module("scalingdb.law_library._core"))
        assert re.search(rf'^{name} = .*\n"""', source, re.MULTILINE)
    else:
        assert doc is not None
        assert len(doc) > 20


def _public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in sdb.__all__:
        value = getattr(sdb, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.ismodule(value):
            members = ((key, getattr(value, key)) for key in getattr(value, "__all__", ()))
            yield from ((f"{name}.{key}", member) for key, member in members if inspect.isfunction(member))


WITH_LEVEL = [pair for pair in _public_functions() if "level" in inspect.signature(pair[1]).parameters]


@pytest.mark.parametrize("function", [f for _, f in WITH_LEVEL], ids=[name for name, _ in WITH_LEVEL])
def test_every_public_function_refuses_a_level_outside_0_to_1_first(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required: dict[str, Any] = {p.name: None for p in parameters if p.default is p.empty and p.kind in named}
    for level in (95, 0, 1.0, None, "0.95"):
        with pytest.raises(sdb.errors.DataError, match=f"level={level!r} is not between 0 and 1"):
            function(**{**required, "level": level})


def test_public_names_are_sorted_and_listed_by_dir() -> None:
    assert list(sdb.__all__) == sorted(sdb.__all__)
    assert dir(sdb) == list(sdb.__all__)
    assert set(sdb._HOME) | set(sdb._MODULES) == set(sdb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sdb.nothing  # noqa: B018


@pytest.mark.parametrize(
    "path", _modules("scalingdb") + _modules("ingest"), ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


# ---- laws and their published coefficients -------------------------------------------------------


@pytest.mark.parametrize("name", list(all_laws()))
def test_every_law_cites_and_explains_itself(name: str) -> None:
    law = all_laws()[name]
    assert law.cite
    assert len(law.doc) > 20
    assert law.inputs
    assert law.params


def test_published_coefficients_belong_to_laws_with_exactly_these_parameters(db: sdb.Warehouse) -> None:
    sets = db.sql(
        "select law, source_id, variant, list(param order by param) as params from published_fits group by all"
    )
    for row in sets.iter_rows(named=True):
        assert row["params"] == sorted(all_laws()[row["law"]].params), row
        assert re.fullmatch(r"[a-z][a-z0-9_]*", row["variant"]), row


# ---- every tracked file --------------------------------------------------------------------------


@functools.cache
def _tracked() -> list[Path]:
    """Files that git tracks, or would track with the next commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return []
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Tracked text files by path."""
    if not _tracked():
        pytest.skip("not a git checkout: there is no list of tracked files")
    found = {}
    for path in _tracked():
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def _places(texts: dict[str, str], pattern: str, *, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{name}:{number}"
        for name, text in texts.items()
        if name not in but
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_no_file_names_a_place_on_somebodys_machine(texts: dict[str, str]) -> None:
    homes = "|".join(["home", "root", "work", "Users", "mnt", "fsx"])
    assert _places(texts, rf"(?<![\w.:/]){re.escape('/')}(?:{homes})/\w") == []
    assert _places(texts, r"[A-Z]:\\" + "Users") == []


def test_no_file_but_the_lock_names_a_package_registry(texts: dict[str, str]) -> None:
    hosts = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("anaconda", "org"), ("crates", "io")]
    pattern = "|".join(re.escape(".".join(host)) for host in hosts)
    assert _places(texts, pattern, but=("uv.lock",)) == []


def test_no_raw_file_and_no_built_product_is_tracked() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in _tracked()]
    if not names:
        pytest.skip("not a git checkout: there is no list of tracked files")
    assert not [
        n for n in names if n.startswith(("reports/", "warehouse/local/")) or n.endswith((".duckdb", ".csv.gz"))
    ]
    assert all(n.startswith("warehouse/tables/") for n in names if n.endswith(".parquet"))


def test_notebooks_are_stored_without_outputs() -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert code
        assert not [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None], path.name
