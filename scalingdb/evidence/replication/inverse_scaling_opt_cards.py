"""OPT on tasks of the Inverse Scaling Prize, read in model cards and in a port of the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ACCURACY = {"opt-125m": 0.505, "opt-1.3b": 0.454, "opt-2.7b": 0.448, "opt-13b": 0.270}


@replication(
    *(
        Figure(
            key=model,
            statement=f"Hindsight neglect, ten shots: accuracy of {model}",
            place="model cards (125M, 13B), prize paper (1.3B) and port of the tasks (2.7B)",
            stated=value,
            unit="fraction",
            tolerance=5e-4,
            why="half a unit of the last digit stated",
            origin="release",
        )
        for model, value in _ACCURACY.items()
    ),
    Figure(
        key="inverse",
        statement="Hindsight neglect gets worse with every step in size, OPT 125M to 13B: largest change of accuracy",
        place="the same places",
        high=0.0,
        unit="fraction",
        why="every change is negative",
        origin="release",
    ),
)
def hindsight_neglect(db: Warehouse) -> dict[str, float]:
    """The one value of each model that is not a repetition."""
    rows = db.sql("""
        select replace(run_id, 'inverse_scaling_opt_cards/', '') as model, value
        from evals join runs using (run_id)
        where evals.source_id = 'inverse_scaling_opt_cards' and metric = 'acc' and flag is null
            and starts_with(eval_set, 'hindsight_neglect')
        order by n_params
    """)
    return dict(rows.rows()) | {"inverse": max(rows["value"].diff().drop_nulls())}
