"""RL post-training: a label that table 5 misprints."""

from __future__ import annotations

from scalingdb.evidence.replication._core import Figure, untestable

table_5 = untestable(
    "rl_post_fits.table_5",
    Figure(
        key="second_row",
        statement="Size of the second model of table 5",
        place="arXiv 2509.25300, table 5",
        stated=1e9,
        unit="parameters",
        tolerance=0,
        why="a label is exact",
    ),
    because="Every other table has 1.5B there: '1B' is a misprint. The runs behind the table are not released.",
)
