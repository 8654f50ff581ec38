"""The command replicate."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from scalingdb._progress import steps, working
from scalingdb.cli._output import (
    as_json_text,
    print_frame,
    rows_of,
)
from scalingdb.cli._program import (
    FAILED,
    JsonOption,
    QuietOption,
    app,
    guarded,
    say,
)

if TYPE_CHECKING:
    import polars as pl


@app.command()
@guarded
def replicate(
    name: Annotated[
        str | None, typer.Argument(metavar="[ID|SOURCE]", help="A computation, or a source; all by default.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Recompute the figures that papers and releases state, and set ours beside them.

    A figure reproduces where ours lies within its tolerance. Which figures do not, and why, is part of
    the ledger; the command fails where a verdict differs from the one in the ledger.

    \b
    Examples:
      scalingdb replicate
      scalingdb replicate pythia_evals
      scalingdb replicate pythia_evals.lambada --json
    """
    import polars as pl

    from scalingdb.evidence import replication
    from scalingdb.warehouse import connect

    if name is not None and "." in name:
        with working(name, quiet=quiet):
            table = replication.replicate(name, connect())
    else:
        with steps(quiet=quiet) as advance:
            table = replication.ledger(
                connect(), name, lambda done, total: advance("figures", done, total), recompute=True
            )
    changed = table.filter(
        ~pl.col("verdict").is_in([replication.NEEDS_LOCAL_ROWS]), pl.col("verdict") != pl.col("expected")
    )
    if as_json:
        print(as_json_text(rows_of(table)))
    else:
        _print_ledger(table)
    for row in changed.iter_rows(named=True):
        say(f"{row['figure']}: {row['verdict']}; the ledger expects: {row['expected']}")
    if changed.height:
        raise typer.Exit(FAILED)


def _print_ledger(table: pl.DataFrame) -> None:
    """The figures, then how many of each verdict, then why those that do not reproduce do not."""
    from scalingdb.evidence.replication import ORIGINS, VERDICTS, WIDE, readable, wide_tolerances

    shown = readable(table)
    print_frame(shown.select("figure", "stated", "tolerance", "ours", "verdict"), rows=0)
    print()
    for origin, words in ORIGINS.items():
        of_origin = table.filter(origin=origin)
        if of_origin.height:
            print(f"{words} ({of_origin.height})")
            for verdict, count in (
                of_origin["verdict"].value_counts(sort=True).sort("count", "verdict").reverse().iter_rows()
            ):
                print(f"{count:>6}  {verdict}")
    wide = wide_tolerances(table).height
    if wide:
        print(f"{wide} tolerances are wider than {WIDE:g} half-units of the last stated digit (--json: half_digits)")
    reasons = shown.filter(shown["verdict"].is_in(VERDICTS[1:]), shown["explanation"] != "")
    # figures that share a reason are named together
    for (verdict, why), group in reasons.group_by("verdict", "explanation", maintain_order=True):
        print(f"\n{verdict}: {', '.join(group['figure'])}")
        print(textwrap.fill(str(why), width=98, initial_indent="  ", subsequent_indent="  "))
