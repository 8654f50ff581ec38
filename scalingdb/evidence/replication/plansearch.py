"""PlanSearch: the three figures of the abstract, from the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ABSTRACT = "arXiv 2409.03733, abstract"


@replication(
    Figure(
        key="search",
        statement="pass@200 of plan search with Claude 3.5 Sonnet on LiveCodeBench, the highest of all",
        place=_ABSTRACT,
        unit="percent",
        claim_id="2409.03733/1",
        **printed("77.0"),
    ),
    Figure(
        key="sampling",
        statement=(
            "Highest pass@200 of repeated sampling on LiveCodeBench, over the models that were also searched with"
        ),
        place=_ABSTRACT,
        unit="percent",
        claim_id="2409.03733/2",
        **printed("60.6"),
    ),
    Figure(
        key="single",
        statement="Highest pass@1 without search on LiveCodeBench, over the models that were also searched with",
        place=_ABSTRACT,
        unit="percent",
        claim_id="2409.03733/3",
        **printed("41.4"),
    ),
)
def table(db: Warehouse) -> dict[str, float]:
    """Largest shares of table 1."""
    rows = evaluations(db, "plansearch", "e.eval_set like 'livecodebench:%' and r.model_name not like 'o1%'")

    def largest(family: str, k: int) -> float:
        return float(100 * rows.filter(family=family, n_samples=float(k))["value"].to_numpy().max())

    return {
        "search": largest("plansearch", 200),
        "sampling": largest("repeatedsampling", 200),
        "single": largest("repeatedsampling", 1),
    }
