"""The tab key in a notebook: names of laws, sources, tables and columns, each with its kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import scalingdb as sdb
from scalingdb import magic
from scalingdb.law_library import all_laws


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """The shell of a session with the extension loaded, without history or start-up files."""
    from traitlets.config import Config

    quiet = Config()
    quiet.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=quiet)
    shell.extension_manager.load_extension("scalingdb")
    shell.user_ns["least_tokens"] = 1e9
    yield shell
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def complete(shell: InteractiveShell, text: str) -> list[str]:
    """Completions at ``|``, or at the end."""
    place = text.index("|") if "|" in text else len(text)
    with provisionalcompleter():
        return [one.text for one in shell.Completer.completions(text.replace("|", ""), place)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('sdb.get_law("chin', ["chinchilla", "chinchilla_coupled"]),
        ('sdb.get_law("farse', ["farseer"]),
        ('runs = 1\nsdb.fit(db.points("epoch_chinchilla"), "farse', ["farseer"]),
        ("sdb.fit(runs, law='kaplan_l", ["kaplan_ln"]),
        ('sdb.compare(runs, ["chinchilla", "farse', ["farseer"]),
        ('sdb.fit(runs, "chinchilla", objective="mae', ["mae_log"]),
        ('db.points("epoch_ch', ["epoch_chinchilla"]),
        ('db.points(["farseer", "epoch_ch', ["epoch_chinchilla"]),
        ('sdb.explore("gadre', ["gadre_overtraining"]),
        ('db.table("published', ["published_fits"]),
        ('sdb.arena.recommend("small', ["small_grid"]),
        ('sdb.get_law("pareto_nothing_coupled', []),
    ],
)
def test_names_inside_calls(shell: InteractiveShell, text: str, first: list[str]) -> None:
    assert complete(shell, text)[: len(first)] == first


def test_all_laws_and_only_sources_with_losses(shell: InteractiveShell) -> None:
    assert set(all_laws()) <= set(complete(shell, 'sdb.get_law("'))
    sources = complete(shell, 'db.points("')
    assert "epoch_chinchilla" in sources
    assert "hoffmann" not in sources


@pytest.mark.parametrize(
    ("text", "wanted", "not_wanted"),
    [
        ("%%sql\nselect * from poi", {"points", "points_unique"}, {"law_power"}),
        ("%sql select * from scor", {"scores", "scores_unique"}, set()),
        ("%%sql\nselect n_t| from points", {"n_tokens"}, {"n_items", "title"}),
        ("%%sql name\nselect p.lo|, 1\nfrom points as p join runs r using (run_id)", {"loss", "loss_nats"}, {"log10"}),
        ("%%sql\nselect s.tit| from sources s", {"title"}, set()),
        ("%%sql\nfrom points where source_id = 'epoch_ch", {"epoch_chinchilla"}, set()),
        ("%%sql\nfrom points where source_id in ('farseer', 'epoch_ch", {"epoch_chinchilla"}, set()),
        ("%%sql\nselect law_chin", {"law_chinchilla"}, set()),
        ("%%sql\nfrom points gro", {"group by"}, set()),
        ("%%sql\nfrom points where n_tokens > $lea", {"least_tokens"}, set()),
    ],
)
def test_sql_cells(shell: InteractiveShell, text: str, wanted: set[str], not_wanted: set[str]) -> None:
    found = set(complete(shell, text))
    assert wanted <= found
    assert not not_wanted & found


@pytest.mark.parametrize(
    "text", ['print("epoch_ch', 'sdb.get_law("chinchilla").opti', "# sdb.get_law('chin", 'x = "a"\nsdb.con']
)
def test_elsewhere_the_extension_is_silent(shell: InteractiveShell, text: str) -> None:
    assert magic.offer(text, sdb.connect) is None
    assert "chinchilla" not in complete(shell, text)


@pytest.mark.filterwarnings("ignore:.Completer.complete:PendingDeprecationWarning")
def test_a_terminal_completes_as_well(shell: InteractiveShell) -> None:
    assert shell.complete(None, 'sdb.get_law("farse', 18) == ("farse", ["farseer"])
    assert "points" in shell.complete(None, "%sql from poi", 13)[1]


def test_kinds_are_shown(shell: InteractiveShell) -> None:
    with provisionalcompleter():
        (law,) = shell.Completer.completions('sdb.get_law("farse', 18)
        text = "%%sql\nselect n_tok from points"
        (column,) = (one for one in shell.Completer.completions(text, 18) if one.text == "n_tokens")
    assert (law.type, law.start, law.end) == ("law", 13, 18)
    assert column.type == "column double"


def test_loading_twice_registers_once_and_unloading_ends_it(shell: InteractiveShell) -> None:
    magic.load_ipython_extension(shell)
    assert shell.Completer.custom_matchers.count(magic.complete_names) == 1
    magic.unload_ipython_extension(shell)
    assert complete(shell, 'sdb.get_law("farse') == []
    magic.load_ipython_extension(shell)
    assert complete(shell, 'sdb.get_law("farse') == ["farseer"]
