"""Epoch's database of systems: what papers state of their largest models, beside what the database enters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="basic_pairs",
        statement="BASIC was trained on this many image-text pairs",
        place="abstract of arXiv 2111.10050",
        stated=6.6e9,
        unit="samples",
        tolerance=0.05e9,
        why="half a unit of the last printed digit",
        claim_id="2111.10050/3",
        unless=(
            "The database enters 6.7 billion data points for BASIC-L, its curators' own sum over the two corpora it "
            "names (JFT and ALIGN); the paper states 6.6 billion. One of the two rounds differently."
        ),
    ),
    Figure(
        key="basic_params",
        statement="Parameters of the largest BASIC model",
        place="abstract of arXiv 2111.10050",
        stated=3e9,
        unit="parameters",
        tolerance=0.5e9,
        why="half a unit of the last printed digit; the database enters a number of its own curators",
        claim_id="2111.10050/4",
    ),
    Figure(
        key="palm_params",
        statement="Parameters of PaLM",
        place="abstract of arXiv 2204.02311",
        stated=540e9,
        unit="parameters",
        tolerance=0.5e9,
        why="half a unit of the last printed digit; the database enters a number of its own curators",
        claim_id="2204.02311/1",
    ),
)
def largest_models(db: Warehouse) -> dict[str, float]:
    """Entries of the later export of the database."""
    rows = db.sql("""
        select model_name, n_params, n_datapoints from runs
        where source_id = 'epoch_ml_systems' and study = '2025' and model_name in ('BASIC-L', 'PaLM (540B)')
    """)
    entries = {row["model_name"]: row for row in rows.iter_rows(named=True)}
    return {
        "basic_pairs": entries["BASIC-L"]["n_datapoints"],
        "basic_params": entries["BASIC-L"]["n_params"],
        "palm_params": entries["PaLM (540B)"]["n_params"],
    }


@replication(
    *(
        Figure(
            key=key,
            statement=f"Export of June 2025: systems with {what}",
            place="earlier count in the released export",
            stated=value,
            unit="count",
            tolerance=0,
            why="a count",
            origin="own",
        )
        for key, what, value in (
            ("params", "parameters", 1275),
            ("flops", "training compute", 988),
            ("all", "parameters, data and compute", 717),
        )
    ),
)
def known_numbers(db: Warehouse) -> dict[str, float]:
    """How many systems have which numbers."""
    rows = db.sql("""
        select count(n_params) as params, count(train_flops) as flops,
            count(n_params * n_datapoints * train_flops) as "all"
        from runs where source_id = 'epoch_ml_systems' and study = '2025'
    """)
    return rows.row(0, named=True)


chips = untestable(
    "epoch_ml_systems.chips",
    Figure(
        key="chips",
        statement="PaLM was trained on this many TPU v4 chips",
        place="abstract of arXiv 2204.02311",
        stated=6144,
        unit="count",
        tolerance=0.5,
        why="a count",
        claim_id="2204.02311/2",
    ),
    because="The numbers of accelerators in the database were left out of the warehouse; that column is needed.",
)


continued_training = untestable(
    "epoch_ml_systems.continued_training",
    Figure(
        key="extra_compute",
        statement="Continued training with UL2R costs this much extra compute",
        place="title and abstract of arXiv 2210.11399",
        stated=0.1,
        unit="percent",
        tolerance=0.05,
        why="half a unit of the last printed digit",
        claim_id="2210.11399/3",
    ),
    because=(
        "The database rounds the compute of U-PaLM to three digits (2.53e24 FLOP), which is coarser than the 0.1 "
        "percent in question. The tokens of the continued training would be needed."
    ),
)
