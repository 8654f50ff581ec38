"""The gallery of laws: one page of the report with every law, and an account of every name that stands for one.

Mathematics, pictures and tables are made from the laws themselves; the account lists their aliases as well, and
the procedures that papers call laws.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from markupsafe import Markup, escape

from scalingdb.charts.gallery import law_picture
from scalingdb.display import number, percent
from scalingdb.evidence.refits import refit_table
from scalingdb.law_library import Law, all_aliases, all_laws
from scalingdb.law_library._ranges import middle_of, range_of
from scalingdb.law_library._trace import LATEX_NAMES
from scalingdb.schema import N_DEFINITIONS
from scalingdb.site.source_pages import count

if TYPE_CHECKING:
    import jinja2

    from scalingdb.warehouse import Warehouse

__all__ = ["ELSEWHERE", "FILE", "Elsewhere", "accounting", "picture", "render_gallery"]

FILE = "laws.html"
"""Name of the page in the site."""


@dataclass(frozen=True)
class Elsewhere:
    """A name that readers look for here and that is no law of the library.

    Attributes
    ----------
    where : str
        Public name that does it, or the nearest law.
    reason : str
    """

    where: str
    reason: str


ELSEWHERE: Mapping[str, Elsewhere] = {
    "obs_scaling": Elsewhere(
        "sdb.downstream.observational",
        "principal components of many benchmarks, then a sigmoid link per target; not one formula",
    ),
    "sloth": Elsewhere(
        "sdb.downstream.observational; law sloth_score for one benchmark and one family",
        "latent skills shared by benchmarks and families are fitted together; not one formula",
    ),
    "mc_chain": Elsewhere(
        "sdb.downstream.chain",
        "a chain of transformations from log-probabilities to accuracy, item by item; it has no parameters",
    ),
    "trend_class": Elsewhere(
        "sdb.trends.classify",
        "a decision between trends by tests and information criteria; not one formula",
    ),
    "bit_level": Elsewhere(
        "sdb.pareto_envelope and law power_offset over n_params times bits",
        "total bits as the axis, one curve a precision, and the envelope of the curves; the form is power_offset",
    ),
    "pass_at_k_mixture": Elsewhere(
        "sdb.downstream.repeated_sampling",
        "a Beta-binomial likelihood over problems, integrated to pass@k; not one formula of the aggregate",
    ),
    "data_pruning": Elsewhere(
        "law power_offset per kept fraction, and sdb.pareto_envelope",
        "a law per kept fraction and their envelope; the analytic curve needs a self-consistent solver",
    ),
    "porian_fixes": Elsewhere(
        "sdb.units.flops_porian; columns of the runs",
        "three corrections to a measurement (head in the FLOPs, warm-up, tuning), not a law",
    ),
    "su_kaplan": Elsewhere("laws kaplan_ln, kaplan_ls, kaplan_bcrit", "Kaplan's forms with other constants"),
}
"""Procedures that papers call laws; where a law of the name exists, the law counts."""

VERIFIED, UNVERIFIED, PROCEDURE = "implemented, verified", "implemented, unverified", "procedure"


def accounting() -> pl.DataFrame:
    """Every name that stands for a law: laws of the library, their aliases, and procedures.

    Returns
    -------
    DataFrame
        ``id, status`` (implemented, verified; implemented, unverified; procedure), ``law`` (null where there is
        none), ``variant`` (the published set that an alias stands for), ``where`` (public name of a procedure) and
        ``reason``.

    Examples
    --------
    >>> from scalingdb.site.gallery import accounting
    >>> table = accounting()
    >>> table.filter(id="chinchilla_epoch").row(0)
    ('chinchilla_epoch', 'implemented, verified', 'chinchilla', 'epoch', None, None)
    """
    laws = {name: law for name, law in all_laws().items() if law.function.__module__.startswith("scalingdb.")}
    names: dict[str, tuple[str, str | None]] = {name: (name, None) for name in laws}
    names |= {alias: target for alias, target in all_aliases().items() if target[0] in laws}
    rows: list[tuple[str | None, ...]] = [
        (name, VERIFIED if laws[law].verified else UNVERIFIED, law, variant, None, None)
        for name, (law, variant) in names.items()
    ]
    rows += [
        (name, PROCEDURE, None, None, other.where, other.reason)
        for name, other in ELSEWHERE.items()
        if name not in names
    ]
    columns = ("id", "status", "law", "variant", "where", "reason")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


# ---- pictures ------------------------------------------------------------------------------------

MOST_OPERATIONS = 75
"""Operations of a formula that is still easier to read than its sentence; beyond, the text below it says it."""

SERIES = 5
"""Curves of a law with several inputs."""

POINTS = 60


def _title(law: Law, name: str) -> str:
    symbol = LATEX_NAMES.get(name, "").replace("\\eta", "\u03b7").replace("N_a", "N\u2090").replace("N_E", "")
    words = name.removeprefix("n_").replace("_", " ")
    return f"{words} {symbol}".strip()


def _label(value: float) -> str:
    return count(value) if value >= 1e3 else f"{value:.3g}"


def picture(law: Law) -> tuple[dict[str, Any], str] | None:
    """Chart of a law (as Vega-Lite) and a caption; None where the law has no finite value in its usual range.

    One input: the curve. A surface of loss over N and D: loss against compute for several N. Otherwise
    curves against the input with the widest range, for several values of the next one.
    """
    values = middle_of(law)
    sizes = [name for name in law.inputs if name in N_DEFINITIONS]
    is_surface = law.output == "loss" and len(sizes) == 1 and "n_tokens" in law.inputs
    decades = {name: float(np.log10(range_of(law, name)[1] / range_of(law, name)[0])) for name in law.inputs}
    if is_surface:
        along, across = "n_tokens", sizes[0]
    else:
        along = max(law.inputs, key=lambda name: decades[name])
        across = next((name for name in law.inputs if name != along), "")
    held = {name: float(np.sqrt(np.prod(range_of(law, name)))) for name in law.inputs if name not in {along, across}}
    x = np.geomspace(*range_of(law, along), POINTS)
    parts = []
    for rank, level in enumerate(np.geomspace(*range_of(law, across), SERIES) if across else [1.0]):
        columns = {**held, along: x, across: np.full(POINTS, level)}
        with np.errstate(all="ignore"):
            y = np.broadcast_to(law.function(*(columns[name] for name in law.inputs), **values), x.shape)
        parts.append(
            pl.DataFrame(
                {
                    "x": 6 * level * x if is_surface else x,
                    "y": np.array(y, dtype=float),
                    "series": [_label(float(level))] * POINTS,
                    "rank": [rank] * POINTS,
                }
            )
        )
    curves = pl.concat(parts).filter(pl.col("y").is_finite())
    if curves.height < 2 or curves["y"].n_unique() < 2:
        return None
    low, high = float(curves["y"].min()), float(curves["y"].max())  # type: ignore[arg-type]
    chart = law_picture(
        curves,
        x_title="compute 6ND, FLOP" if is_surface else _title(law, along),
        y_title=law.output.replace("_", " "),
        series_title=_title(law, across) if across else "",
        is_log_y=low > 0 and high / low > 3,
    )
    return chart.to_dict(), _caption(law, held)


def _caption(law: Law, held: Mapping[str, float]) -> str:
    found = law.default_set
    whose = f"published set {found.variant}" if found else "illustrative coefficients: no published set is known"
    fixed = ", ".join(f"{name} = {_label(value)}" for name, value in held.items())
    where = "" if law.domain else "; usual ranges; the source does not state those it fitted"
    return f"{whose}{f'; {fixed}' if fixed else ''}{where}"


def _svg(chart: dict[str, Any]) -> Markup:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(chart)
    return Markup(svg[svg.find("<svg") :])


# ---- words ---------------------------------------------------------------------------------------


def _paragraphs(doc: str) -> list[Markup]:
    """A docstring without its examples: paragraphs, with ``code`` as code."""
    text = re.split(r"\n\s*(?:Examples|References|Notes|Parameters)\n\s*-{3,}", doc)[0]
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return [Markup(re.sub(r"``?(.+?)``?", r"<code>\1</code>", str(escape(part)))) for part in paragraphs]


def _linked(text: str) -> Markup:
    """ArXiv ids become links."""
    pattern = r"arXiv:(\d{4}\.\d{4,5})"
    return Markup(re.sub(pattern, r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', str(escape(text))))


GREEK = {
    **{"alpha": "\u03b1", "beta": "\u03b2", "gamma": "\u03b3", "delta": "\u03b4", "epsilon": "\u03b5", "eta": "\u03b7"},
    **{"theta": "\u03b8", "kappa": "\u03ba", "lambda": "\u03bb", "mu": "\u03bc", "nu": "\u03bd", "rho": "\u03c1"},
    **{"sigma": "\u03c3", "tau": "\u03c4", "phi": "\u03c6", "omega": "\u03c9", "eps": "\u03b5", "inf": "\u221e"},
}


def _symbol(name: str) -> Markup:
    """A parameter as it is printed: Greek letters, and what follows an underscore below the line."""
    head, *below = [GREEK.get(part, part) for part in name.split("_")]
    sub = Markup("<sub>{}</sub>").format(" ".join(below)) if below else ""
    return Markup("<i>{}</i>{}").format(head, sub)


def _ends(low: float, high: float) -> str:
    if np.isinf(high):
        return f"from {_label(low)}"
    return f"{_label(low)} to {_label(high)}"


def _card(law: Law, sources: Sequence[str]) -> dict[str, Any]:
    """What the template shows of one law."""
    drawn = picture(law)
    sets = sorted(law.published.values(), key=lambda one: not one.is_default)
    return {
        "name": law.name,
        "formula": Markup(law.mathml) if law.is_traceable and law.n_operations <= MOST_OPERATIONS else None,
        "picture": _svg(drawn[0]) if drawn else None,
        "caption": drawn[1] if drawn else "",
        "text": _paragraphs(law.doc),
        "verified": law.verified,
        "params": [
            {"symbol": _symbol(name), "meaning": spec.meaning, "range": _bounds(spec.low, spec.high)}
            for name, spec in law.params.items()
        ],
        "sets": [
            {
                "variant": one.variant,
                "is_default": one.is_default,
                "evidence": one.evidence,
                "source_id": one.source_id,
                "values": [one.params.get(name) for name in law.params],
                "unit": one.output_unit,
                "where": one.where_stated,
            }
            for one in sets
        ],
        "inputs": [
            {
                "name": name,
                "meaning": law.meaning(name),
                "domain": _ends(*law.domain[name]) if name in law.domain else "",
            }
            for name in law.inputs
        ],
        "output": {"name": law.output, "meaning": law.meaning(law.output)},
        "cite": _linked(law.cite),
        "evidence": _linked(law.evidence),
        "authors_fit": law.authors_fit,
        "aliases": list(law.aliases),
        "sources": [name for name in sources if name],
        "has_split": law.best_split is not None,
    }


def _bounds(low: float, high: float) -> str:
    if low == 0 and np.isinf(high):
        return "> 0"
    if np.isinf(low) and np.isinf(high):
        return "any"
    return f"from {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


# ---- the page --------------------------------------------------------------------------------------


def render_gallery(
    db: Warehouse,
    environment: jinja2.Environment,
    provenance: Mapping[str, str],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> str:
    """HTML of the gallery.

    Parameters
    ----------
    db : Warehouse
    environment : jinja2.Environment
        The report's templates.
    provenance : mapping
        What the page prints of versions and commit.
    progress : callable, optional
        Called with the number of laws done and the number of all.
    """
    refits = refit_table(db)
    fitted_to: dict[str, list[str]] = {}
    for law_name, source in refits.select("law", "source_id").unique(maintain_order=True).iter_rows():
        fitted_to.setdefault(law_name, []).append(source)
    chapters: dict[str, list[dict[str, Any]]] = {}
    laws = [law for law in all_laws().values() if law.function.__module__.startswith("scalingdb.")]
    for done, law in enumerate(laws):
        progress(done, len(laws))
        stated = [one.source_id for one in law.published.values()]
        card = _card(law, list(dict.fromkeys([*stated, *fitted_to.get(law.name, [])])))
        chapters.setdefault(law.chapter, []).append(card)
    progress(len(laws), len(laws))
    account = accounting()
    return environment.get_template("laws.html").render(
        chapters=chapters,
        n_laws=len(laws),
        n_variants=sum(len(law.published) for law in laws),
        account=account.rows(named=True),
        tally=account["status"].value_counts(sort=True).rows(),
        refits=_refit_rows(refits),
        provenance=provenance,
        number=number,
        percent=percent,
    )


def _refit_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per refit, with its parameters as (name, published, ours)."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in table.iter_rows(named=True):
        key = (row["law"], row["variant"], row["source_id"])
        one = found.setdefault(key, {**row, "params": []})
        one["params"].append((_symbol(row["param"]), row["published"], row["estimate"]))
    return list(found.values())
