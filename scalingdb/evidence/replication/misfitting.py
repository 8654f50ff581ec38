"""(Mis)Fitting: how much a law depends on choices that papers leave unsaid."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

from scalingdb.errors import FitWarning
from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.fits import fit

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="spread",
        statement=(
            "Choices move the answer: largest over smallest optimal tokens per parameter at 1e21 FLOP, four fits of "
            "one study (embeddings counted or not; all checkpoints or final losses)"
        ),
        place="abstract and section on the replication",
        low=2.0,
        why="a factor of two is more than any interval that the papers surveyed print",
    ),
    Figure(
        key="n_runs",
        statement="Runs of the study, each size, rate and length once",
        place="earlier count in the released tables",
        stated=240,
        unit="count",
        tolerance=0,
        why="a count",
        origin="own",
    ),
    Figure(
        key="n_sizes",
        statement="Sizes of the study",
        place="earlier count in the released tables",
        stated=11,
        unit="count",
        tolerance=0,
        why="a count",
        origin="own",
    ),
)
def choices(db: Warehouse) -> dict[str, float]:
    """Chinchilla's form by a Huber loss of log residuals, on four selections."""
    query = """
        select run_id, n_params, n_params_non_embedding, n_tokens, loss from {view}
        where source_id = 'misfitting' and study = 'misfitting' and metric = 'loss' and eval_set = 'c4_val'
            and flag is null
    """
    finals, checkpoints = (db.sql(query.format(view=view)) for view in ("points", "curves"))
    ratios = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # that some of these are not identified is the paper's point
        for rows, count in itertools.product((finals, checkpoints), ("n_params", "n_params_non_embedding")):
            found = fit(rows, "chinchilla", inputs={"n_params": count}, pool=True)
            ratios.append(found.optimum(1e21)["tokens_per_param"][0])
    return {
        "spread": max(ratios) / min(ratios),
        "n_runs": finals.height,
        "n_sizes": finals["n_params"].n_unique(),
    }
