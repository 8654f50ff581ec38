"""Pythia's released evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ACCURACY = {
    "70m": 0.1846,
    "160m": 0.3284,
    "410m": 0.5162,
    "1b": 0.5620,
    "1.4b": 0.6161,
    "2.8b": 0.6472,
    "6.9b": 0.6728,
    "12b": 0.7046,
}


@replication(
    *(
        Figure(
            key=size,
            statement=f"Zero-shot LAMBADA accuracy of Pythia {size} (standard) at step 143,000",
            place=f"release, evals/pythia-v1/pythia-{size}/zero-shot",
            published=accuracy,
            unit="fraction",
            tolerance=5e-5,
            why="half a unit of the last digit stated",
            origin="release",
        )
        for size, accuracy in _ACCURACY.items()
    ),
    Figure(
        key="smallest_step",
        statement="Accuracy grows with every step in size, from 70M to 12B",
        place="release, the same files",
        low=1e-12,
        unit="fraction",
        why="the smallest gain between neighbouring sizes is positive",
        origin="release",
    ),
)
def lambada(db: Warehouse) -> dict[str, float]:
    """Final zero-shot accuracy of the models trained on the Pile as it is."""
    rows = db.sql("""
        select replace(replace(model_name, 'pythia-', ''), '-bf16', '') as size, n_params, value
        from evals join runs using (run_id)
        where evals.source_id = 'pythia_evals' and eval_set = 'lambada_openai' and metric = 'acc'
          and n_shots = 0 and step = 143000 and model_name not like '%deduped%'
        order by n_params
    """)
    ours = {row["size"]: row["value"] for row in rows.iter_rows(named=True) if row["size"] in _ACCURACY}
    return ours | {"smallest_step": min(rows["value"].diff().drop_nulls())}
