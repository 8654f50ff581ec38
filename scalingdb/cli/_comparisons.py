"""The command compare: laws on one source, or the arena."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scalingdb._progress import steps, working
from scalingdb.cli._names import law_names, source_names
from scalingdb.cli._output import (
    as_json_text,
    number_of,
    print_frame,
    refuse,
    rows_of,
)
from scalingdb.cli._points import (
    CurvesOption,
    DecimalOption,
    MapOption,
    ModelsOption,
    ScaleOption,
    TaskOption,
    TokensPerStepOption,
    UnitOption,
    WhereOption,
    declared,
    read_points,
)
from scalingdb.cli._program import (
    JsonOption,
    QuietOption,
    app,
    guarded,
    say,
)

if TYPE_CHECKING:
    from scalingdb.judging.holdouts import Holdout


@app.command()
@guarded
def compare(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="Source of the warehouse, or your own file or folder.",
            autocompletion=source_names,
        ),
    ] = None,
    laws: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LAW]...", help="Laws to compare.", autocompletion=law_names),
    ] = None,
    holdout: Annotated[
        str,
        typer.Option(
            "--holdout",
            metavar="RULE",
            help="Runs to predict: COLUMN=SHARE (the largest), COLUMN>VALUE, COLUMN:GROUP, or COLUMN (each in turn).",
        ),
    ] = "train_flops_6nd=0.1",
    metric: Annotated[str | None, typer.Option("--metric", help="Metric; the source's headline by default.")] = None,
    eval_set: Annotated[str | None, typer.Option("--eval-set", help="Evaluation set; '*' for all.")] = None,
    study: Annotated[str | None, typer.Option("--study", help="Part of a source.")] = None,
    family: Annotated[str | None, typer.Option("--family", help="Group of runs trained alike.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="'fit' or 'validation', as the source divides.")] = None,
    where: WhereOption = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Keep rows that are set aside.")] = False,
    mapping: MapOption = None,
    unit: UnitOption = None,
    scale: ScaleOption = None,
    models: ModelsOption = None,
    tasks: TaskOption = None,
    tokens_per_step: TokensPerStepOption = None,
    decimal: DecimalOption = None,
    curves: CurvesOption = False,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", metavar="N", help="Refits on resampled training runs; 0 for none.")
    ] = 200,
    pool: Annotated[bool, typer.Option("--pool", help="Pool rows that are measured in different ways.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every law on every data set of the warehouse that has its inputs.")
    ] = False,
    track: Annotated[
        str | None,
        typer.Option("--track", metavar="TRACK", help="Of --all: surface, curve, repeated, architecture or score."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Of --all: compute everything again, stored or not (minutes).")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Of --all: processes. Default: one per processor."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Compare laws by how well they predict runs that they were not fitted to.

    With a source and laws: errors of the held-out runs, and which differences are more than noise. With
    --all: the leaderboard of every law on every data set, by how much more compute the predicted runs
    have (x2, x5, x10, x30). Only what has changed since the last time is fitted.

    \b
    Examples:
      scalingdb compare epoch_chinchilla chinchilla kaplan_lnd --holdout n_params=0.1
      scalingdb compare farseer chinchilla farseer --holdout split:validation --flagged
      scalingdb compare gadre_overtraining chinchilla gadre_overtrain --family c4 --bootstrap 1000
      scalingdb compare runs.csv chinchilla gadre_overtrain --holdout "train_flops_6nd>1e21"
      scalingdb compare --all --track surface
    """
    if everything:
        if source is not None:
            refuse(f"--all takes no source, and {source!r} is given", "name a source and laws, or say --all.")
        _compare_all(track, recompute, workers, as_json, quiet)
        return
    if track is not None or recompute or workers is not None:
        refuse("--track, --recompute and --workers belong to --all", "add --all, or leave them out.")
    if source is None or not laws:
        refuse(
            "no source and laws to compare",
            "for example scalingdb compare epoch_chinchilla chinchilla kaplan_lnd, or scalingdb compare --all.",
        )
    from scalingdb.comparison import compare as compare_laws
    from scalingdb.comparison import readable
    from scalingdb.law_library import get_law

    selection = {"metric": metric, "eval_set": eval_set, "study": study, "family": family, "split": split}
    told = declared(
        mapping,
        unit,
        scale,
        models=models,
        tasks=tasks,
        tokens_per_step=tokens_per_step,
        decimal=decimal,
        curves=curves,
    )
    inputs = dict.fromkeys(name for law in laws for name in get_law(law).inputs)
    frame = read_points(source, selection, flagged, where, file=told, inputs=tuple(inputs))
    with working(f"fitting {len(laws)} laws and {bootstrap:,} resamples of each", quiet=quiet):
        comparison = compare_laws(frame, laws, _holdout(holdout), bootstrap=bootstrap, pool=pool)
    pairs = comparison.pairwise() if len(laws) > 1 else None
    if as_json:
        answer = {"sentence": comparison.sentence, "tidy": rows_of(comparison.tidy())}
        print(as_json_text(answer if pairs is None else {**answer, "pairwise": rows_of(pairs)}))
        return
    print(comparison.sentence + "\n")
    print_frame(readable(comparison.tidy()), rows=0)
    if pairs is not None:
        print()
        print_frame(pairs.select("law_a", "law_b", "ratio", "ratio_low", "ratio_high", "verdict"), rows=0)


def _holdout(rule: str) -> Holdout:
    """Which runs are held out, from one word of the command line."""
    from scalingdb.judging import holdouts

    for sign in "=>:":
        column, given, text = rule.partition(sign)
        if not given:
            continue
        column, text = column.strip(), text.strip()
        if sign == ":":
            return holdouts.groups(column, *text.split(","))
        value = number_of(text)
        if isinstance(value, str):
            refuse(f"--holdout {rule}: {text!r} is not a number", "for example n_params=0.1, or train_flops>1e21.")
        return holdouts.beyond(column, value) if sign == ">" else holdouts.largest(column, value)
    return holdouts.each(rule.strip())


def _compare_all(track: str | None, recompute: bool, workers: int | None, as_json: bool, quiet: bool) -> None:
    """The arena: what is missing or stale is computed, then every track's leaderboard is printed."""
    import polars as pl

    from scalingdb.errors import unknown_name
    from scalingdb.evidence import arena
    from scalingdb.warehouse import connect

    if track is not None and track not in arena.TRACKS:
        raise unknown_name("track", track, arena.TRACKS)
    with connect() as db, steps(quiet=quiet) as advance:
        held = arena.run(
            db, lambda done, total: advance("laws on data sets", done, total), recompute=recompute, workers=workers
        )
    table = arena.with_groups(held)
    board = arena.leaderboard(track, table=table)
    size = arena.matrix(table=table)
    if as_json:
        print(as_json_text({"leaderboard": rows_of(board), "matrix": rows_of(size)}))
        return
    bands = list(arena.BANDS)
    percent = ["win_rate", "win_low", "win_high", "error", *bands, "coverage"]
    shown = board.with_columns((pl.col(percent) * 100).round_sig_figs(3), pl.col("mean_rank", "times_best").round(2))
    shown = shown.with_columns(
        wins=pl.format("{} ({}-{})", *(pl.col(name).round(0).cast(pl.Int64) for name in percent[:3]))
    )
    for name in [track] if track else arena.TRACKS:
        print(f"\n{name}: {arena.TRACKS[name]}")
        part = shown.filter(pl.col("track") == name)
        print_frame(
            part.select(
                "rank",
                "law",
                pl.col("wins").alias("wins %"),
                "mean_rank",
                "times_best",
                pl.col("error").alias("error %"),
                *bands,
                pl.col("coverage").alias("in 95 % interval"),
                "n_sets",
                "n_sources",
                "n_refused",
            )
        )
    total = size.filter(pl.col("track") == "all").row(0, named=True)
    say(
        f"\n{total['n_laws']} laws ({total['n_curves']} different curves) and {total['n_baselines']} baselines on "
        f"{total['n_data_sets']} data sets of {total['n_sources']} sources: {total['n_fitted']} of {total['n_pairs']} "
        f"pairs fitted, {total['n_failed']} of {total['n_hold_outs']} hold-outs refused. "
        "Errors in % by how far the compute of "
        "the held-out runs lies beyond the fitted ones."
    )
