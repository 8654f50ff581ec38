"""The command fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalingdb._progress import working
from scalingdb.cli._names import law_names, objective_names, source_names
from scalingdb.cli._output import (
    OutputOption,
    as_json_text,
    number_of,
    paged,
    pairs_of,
    print_frame,
    print_splits,
    refuse,
    replacing,
    rows_of,
    write_file,
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
    FAILED,
    JsonOption,
    app,
    guarded,
    say,
)

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.fits import Fit, Fits


@app.command()
@guarded
def fit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Source of the warehouse, or your own file or folder.",
            autocompletion=source_names,
        ),
    ],
    law: Annotated[
        str, typer.Argument(metavar="LAW", help="Law to fit, such as chinchilla.", autocompletion=law_names)
    ],
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
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="COLUMN", help="Fit each group of a column. Repeatable.")
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            help="huber_log, mse_log, mae_log, huber, mse or mae; always a sum.",
            autocompletion=objective_names,
        ),
    ] = "huber_log",
    delta: Annotated[float, typer.Option("--delta", help="Huber threshold (quadratic to linear).")] = 1e-3,
    bootstrap: Annotated[int, typer.Option("--bootstrap", metavar="N", help="Resamples for the intervals.")] = 0,
    fix: Annotated[
        list[str] | None, typer.Option("--fix", metavar="NAME=VALUE", help="Hold a parameter. Repeatable.")
    ] = None,
    train_flops: Annotated[
        list[float] | None,
        typer.Option("--train-flops", metavar="FLOP", help="Budget for compute-optimal N and D. Repeatable."),
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Pool rows that are measured in different ways.")] = False,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw the fit: .svg, .png or .html.")
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""Fit a law to runs.

    Prints the formula, parameters with intervals, the objective in full precision, and what the data
    cannot tell. --output writes the table of parameters, of every group with --by.

    \b
    Examples:
      scalingdb fit epoch_chinchilla chinchilla --bootstrap 1000 --train-flops 1e24
      scalingdb fit gadre_overtraining gadre_overtrain --by family
      scalingdb fit farseer chinchilla --split fit --where "n_params_non_embedding > 2e8" --flagged
      scalingdb fit runs.csv chinchilla --map N=Params --map L=val_loss --where "State = 'finished'"
      scalingdb fit trainer_output chinchilla --models sizes.csv --tokens-per-step 524288
    """
    from scalingdb import fits
    from scalingdb.law_library import get_law

    held = {}
    for name, text in pairs_of(fix, "--fix").items():
        value = number_of(text)
        if isinstance(value, str):
            refuse(f"--fix {name}={text}: {text!r} is not a number", "for example --fix E=1.7")
        held[name] = float(value)
    if by and (train_flops or chart):
        refuse("--by makes many fits; --train-flops and --chart show one", "choose one group with --where or --family.")
    if chart is not None and chart.suffix not in {".svg", ".png", ".html"}:
        refuse(f"cannot draw to {chart.name!r}", "use a file that ends in .svg, .png or .html.")
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
    inputs = [*get_law(law).inputs, *(by or ())]
    frame = read_points(source, selection, flagged, where, file=told, inputs=inputs)
    options: dict[str, Any] = {
        "objective": objective,
        "delta": delta,
        "bootstrap": bootstrap,
        "fixed": held,
        "pool": pool,
    }
    if by:
        with working(f"fitting {law} to each {' and '.join(by)}"):
            many = fits.fit_by(frame, law, by=by, on_error="record", **options)
        if output is not None:
            write_file(many.tidy(), output)
        _print_fits(many, as_json)
        return
    with working(f"fitting {law}" + (f" and {bootstrap:,} resamples" if bootstrap else "")):
        found = fits.fit(frame, law, **options)
    if chart is not None:
        with replacing(chart) as scratch:
            found.chart().save(str(scratch), inline=True)
        say(f"chart written to {chart}")
    if output is not None:
        write_file(found.tidy(), output)
    best = found.optimum(train_flops) if train_flops else None
    if as_json:
        answer = {
            "formula": found.law.latex if found.law.is_traceable else None,
            "tidy": rows_of(found.tidy()),
            "glance": rows_of(found.glance())[0],
            "weakest": found.weakest,
            "recipe": found.recipe.as_dict(),
        }
        print(as_json_text(answer if best is None else {**answer, "optimum": rows_of(best)}))
    else:
        _print_fit(found, best)


def _print_fit(found: Fit, best: pl.DataFrame | None) -> None:
    from scalingdb.fits import UNCERTAIN, how_intervals_were_made

    glance = found.glance().row(0, named=True)
    if found.law.is_traceable:
        import sympy as sp

        can_draw = (sys.stdout.encoding or "").lower().startswith("utf")
        left = sp.Symbol("L" if found.law.output == "loss" else found.law.output)
        short = [(symbol, sp.Symbol(_SHORT.get(name, name))) for name, symbol in found.law.symbols.items()]
        equation = sp.Eq(left, found.law.expression.subs(short), evaluate=False)
        print(sp.pretty(equation, use_unicode=can_draw, num_columns=100))
    else:
        print(found.law.name)
    print(f"\n{found.law.cite}\n")
    tidy = found.tidy()
    print_frame(tidy.drop("interval").with_columns(meaning=_meanings(found)), rows=0)
    intervals = how_intervals_were_made(tidy)
    doubt = "" if found.is_certain else f"; {UNCERTAIN}"
    lines = [
        ("intervals", f"95 %, {intervals}" if intervals else ""),
        ("verdict", str(found.verdict)),
        ("weakest", found.weakest),
        ("objective", f"{found.objective!r} ({found.recipe.objective}, sum)"),
        ("rows", str(glance["n_rows"])),
        ("inputs", ", ".join(f"{name} = {column}" for name, column in found.recipe.columns.items())),
        ("mean error", f"{100 * glance['mean_abs_rel_error']:.3f} %"),
        (
            "starts",
            f"{found.n_agree} of {found.n_starts} agree to {found.agree_digits:.0f} digits; {found.status}{doubt}",
        ),
    ]
    print()
    for label, text in lines:
        if text:
            print(f"{label:<12}{text}")
    if best is not None:
        print("\ncompute-optimal, C = 6 N D")
        units = found.data["unit"].unique().to_list() if "unit" in found.data.columns else []
        print_splits(best, str(units[0]).replace("_", " ") if len(units) == 1 else "")


_SHORT = {
    "n_params": "N",
    "n_params_non_embedding": "N",
    "n_params_active": "N",
    "n_tokens": "D",
    "train_flops": "C",
}


def _meanings(found: Fit) -> pl.Series:
    import polars as pl

    return pl.Series("meaning", [found.law.params[name].meaning for name in found.params])


def _print_fits(many: Fits, as_json: bool) -> None:
    errors = {", ".join(map(str, key)): str(error) for key, error in many.errors.items()}
    if as_json:
        recipes = [{**dict(zip(many.by, key, strict=True)), **many.fits[key].recipe.as_dict()} for key in many]
        answer = {"tidy": rows_of(many.tidy()), "glance": rows_of(many.glance()), "recipes": recipes, "errors": errors}
        print(as_json_text(answer))
    else:
        if len(many):
            with paged():
                print_frame(many.tidy(), rows=0)
                print()
                print_frame(many.glance(), rows=0)
        for label, text in errors.items():
            say(f"\ngroup {label}: {text}")
    if errors:
        raise typer.Exit(FAILED)
