"""The reference of functions and classes: one page for every public name, from its docstring."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator

from scalingdb.site.words import without_roles

__all__ = ["render_api"]

scalingdb = importlib.import_module("scalingdb")
"""The package as its users import it."""

GROUPS = {
    "Data": ("connect", "Warehouse", "read_runs", "add_source", "remove_source", "LocalSource", "units"),
    "Laws": (*("get_law", "laws", "law", "Law", "law_library", "exponent", "positive", "real", "pareto_envelope"),),
    "Fits": ("fit", "fit_by", "Fit", "Fits", "JointFit", "explore", "Explorer"),
    "Which law?": ("compare", "Comparison", "Comparisons", "holdouts", "Holdout", "largest", "arena"),
    "Plans and forecasts": (
        *("plan", "Plan", "solve", "Solution", "optimise", "Optimum"),
        *("planning", "compute_multiplier", "crossover"),
        *("forecast", "Forecast", "track_record", "TrackRecord"),
        *("discover", "Discovery"),
    ),
    "Analyses": ("downstream", "trends", "practices", "replication"),
    "Display and errors": ("charts", "load_ipython_extension", "ScalingDBError", "FitWarning", "DomainWarning"),
}
"""Order of the reference; a name that no group has stands at the end."""


def render_api() -> Iterator[tuple[str, str]]:
    """Name and Markdown of each page of the section."""
    names = list(scalingdb.__all__)
    grouped = {group: [name for name in members if name in names] for group, members in GROUPS.items()}
    left = [name for name in names if not any(name in members for members in grouped.values())]
    if left:
        grouped["More"] = left
    lines = ["# Reference", "", "Every public name, as `import scalingdb as sdb` gives it.", ""]
    order = []
    for group, members in grouped.items():
        lines += [f"## {group}", ""]
        for name in members:
            lines.append(f"* [`{name}`](api/{_file(name)}.md): {_summary(getattr(scalingdb, name))}")
            order.append(f"api/{_file(name)}")
            yield f"api/{_file(name)}", _page(name)
        lines.append("")
    yield "api", "\n".join([*lines, "```{toctree}", ":hidden:", "", *order, "```", ""])


def _file(name: str) -> str:
    """Names that differ in case only need two files on every system."""
    return f"class_{name}" if name[0].isupper() else name


def _summary(value: object) -> str:
    text = inspect.getdoc(value) or ""
    line = " ".join(text.partition("\n\n")[0].split())
    return without_roles(line).replace("``", "`").replace("*", r"\*")


def _page(name: str) -> str:
    value = getattr(scalingdb, name)
    if isinstance(value, types.ModuleType):
        members = [member for member in getattr(value, "__all__", ()) if callable(getattr(value, member))]
        body = [f".. automodule:: {value.__name__}", "   :no-members:", ""]
        for member in members:
            is_elsewhere = member in scalingdb.__all__  # described on a page of its own
            body += [
                *_directive(f"{value.__name__}.{member}", getattr(value, member)),
                *(["   :no-index:"] * is_elsewhere),
                "",
            ]
    else:
        body = _directive(f"scalingdb.{name}", value)
    return "\n".join([f"# {name}", "", "```{eval-rst}", *body, "```", ""])


def _directive(path: str, value: object) -> list[str]:
    if not isinstance(value, type):
        return [f".. autofunction:: {path}"]
    return [f".. autoclass:: {path}", "   :members:", "   :inherited-members: BaseException"]
