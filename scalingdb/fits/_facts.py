"""The facts of a fit beside its numbers: what it was made from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from scalingdb.estimation.verdicts import Reason, Verdict

if TYPE_CHECKING:
    from scalingdb.estimation.objectives import ObjectiveName

__all__ = ["Reason", "Recipe", "Resampling", "Verdict", "frozen", "thawed"]

Resampling = Literal["runs", "rows", "residuals", "wild"]


def thawed(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Nested read-only mappings as dicts: the former cannot be pickled."""
    return {key: thawed(value) if isinstance(value, MappingProxyType) else value for key, value in mapping.items()}


def frozen(value: Any) -> Any:
    """The reverse of :func:`thawed`: nested dicts as read-only mappings."""
    return MappingProxyType({k: frozen(v) for k, v in value.items()}) if isinstance(value, dict) else value


@functools.lru_cache(256)
def _one_mapping(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return MappingProxyType(dict(items))


def _shared(value: Any) -> Any:
    """As :func:`frozen`, with one mapping for all recipes that name the same: ``fit_by`` makes thousands."""
    if isinstance(value, dict) and all(type(text) is str for item in value.items() for text in item):
        return _one_mapping(tuple(value.items()))
    return frozen(value)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that is needed to repeat a fit.

    Attributes
    ----------
    law : str
        Its id.
    columns : mapping
        Column for each input of the law.
    output : str
        Column of the observed values.
    objective, delta, asymmetry :
        As for :func:`fit`; `delta` is None where the objective has none.
    dispersion : float
        Estimated correlation of the items of one score (beta-binomial only).
    n_items, weights : str, optional
        Columns. None also stands for weights that were given as numbers, or not at all.
    fixed, tied, bounds, priors : mappings
        As for :func:`fit`.
    prior_factor : float
        What one unit of the priors weighs in the objective.
    at_bound : mapping
        Parameters that ended on a bound, with the bound.
    undetermined : tuple of str
        Parameters that the data leave open.
    on_log_scale : tuple of str
        Parameters whose covariance is that of their logarithm.
    n_rows : int
    resampled : str
        What counts as independent, in words: ``by run_id``, ``by row``.
    resample, by_run, bootstrap, rng, n_starts, search_seed, pool :
        As for :func:`fit`.
    sources : tuple of str
        Sources of the rows, where they name them.
    data_sha256 : str
        Of inputs, observed values and weights.
    versions : mapping
        Of Python and of the packages that a result depends on.
    notes : tuple of str
        What was decided about the rows and is worth knowing.
    """

    law: str
    columns: Mapping[str, str]
    output: str
    objective: ObjectiveName
    delta: float | None
    asymmetry: float
    dispersion: float
    n_items: str | None
    weights: str | None
    fixed: Mapping[str, float]
    tied: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]]
    priors: Mapping[str, tuple[float, float]]
    prior_factor: float
    at_bound: Mapping[str, float]
    undetermined: tuple[str, ...]
    on_log_scale: tuple[str, ...]
    n_rows: int
    resampled: str
    resample: Resampling
    by_run: bool
    bootstrap: int
    rng: int
    n_starts: int
    search_seed: int | None
    pool: bool
    sources: tuple[str, ...]
    data_sha256: str
    versions: Mapping[str, str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Recipe:
        """From a mapping of plain values, such as :meth:`as_dict` returns or a file holds."""
        content = dict(values)
        for name in ("undetermined", "on_log_scale", "sources", "notes"):
            content[name] = tuple(content[name])
        for name in ("bounds", "priors"):
            content[name] = {key: (float(low), float(high)) for key, (low, high) in content[name].items()}
        return cls(**{name: _shared(value) for name, value in content.items()})

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, for JSON and tables."""
        return thawed({field.name: getattr(self, field.name) for field in fields(self)})

    @property
    def is_log(self) -> bool:
        """Whether the objective takes residuals in logarithms."""
        from scalingdb.estimation.objectives import OBJECTIVES

        return OBJECTIVES[self.objective].is_log

    def __getstate__(self) -> dict[str, Any]:
        return self.as_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, _shared(value))
