"""The command plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalingdb._progress import working
from scalingdb.cli._names import law_names, source_names
from scalingdb.cli._output import (
    OutputOption,
    as_json_text,
    number_of,
    pairs_of,
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
    JsonOption,
    app,
    guarded,
    say,
)
from scalingdb.display import DEFAULT_LEVEL


@app.command()
@guarded
def plan(
    law: Annotated[
        str, typer.Argument(metavar="LAW", help="Law, such as chinchilla or farseer.", autocompletion=law_names)
    ],
    train_flops: Annotated[
        list[float] | None, typer.Option("--train-flops", metavar="FLOP", help="Training budget. Repeatable.")
    ] = None,
    gpu_hours: Annotated[
        list[float] | None, typer.Option("--gpu-hours", metavar="HOURS", help="Training budget. Repeatable.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", metavar="NAME", help="Accelerator of those hours, such as h100_sxm.")
    ] = None,
    flops_per_second: Annotated[
        float | None, typer.Option("--flops-per-second", metavar="FLOP/S", help="Peak of any other accelerator.")
    ] = None,
    utilisation: Annotated[
        float | None, typer.Option("--utilisation", metavar="SHARE", help="Share of the peak that the run reaches.")
    ] = None,
    target_loss: Annotated[
        list[float] | None, typer.Option("--target-loss", metavar="LOSS", help="Least compute for a loss. Repeatable.")
    ] = None,
    n_tokens: Annotated[float | None, typer.Option("--tokens", metavar="D", help="Fix the tokens.")] = None,
    n_params: Annotated[float | None, typer.Option("--params", metavar="N", help="Fix the parameters.")] = None,
    inference_tokens: Annotated[
        float | None,
        typer.Option("--inference-tokens", metavar="T", help="Tokens served after training: least cost of both."),
    ] = None,
    variant: Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Published coefficients.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--fit", metavar="SOURCE", help="Fit the law to a source or file first.", autocompletion=source_names
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", metavar="N", help="Resamples of that fit.")] = 1000,
    where: WhereOption = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Metric of the rows to fit.")] = None,
    eval_set: Annotated[str | None, typer.Option("--eval-set", help="Evaluation set of the rows to fit.")] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Keep rows that are set aside.")] = False,
    pool: Annotated[bool, typer.Option("--pool", help="Pool rows that are measured in different ways.")] = False,
    mapping: MapOption = None,
    unit: UnitOption = None,
    scale: ScaleOption = None,
    models: ModelsOption = None,
    tasks: TaskOption = None,
    tokens_per_step: TokensPerStepOption = None,
    decimal: DecimalOption = None,
    curves: CurvesOption = False,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Other inputs, or own coefficients.")
    ] = None,
    flops_convention: Annotated[
        str, typer.Option("--flops-convention", help="6nd, total or non_embedding: which N the FLOP count.")
    ] = "6nd",
    level: Annotated[float, typer.Option("--level", help="Coverage of the intervals.")] = DEFAULT_LEVEL,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw the plan: .svg, .png or .html.")
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""Split a budget: best parameters and tokens, with intervals.

    Published coefficients have no interval, because no paper states how they vary together; with
    --fit the law is fitted first, and the plan says how sure it is.

    \b
    Examples:
      scalingdb plan chinchilla --train-flops 1e23
      scalingdb plan chinchilla --fit epoch_chinchilla --train-flops 1e22 --train-flops 1e24
      scalingdb plan chinchilla --fit runs.csv --map L=val_loss --train-flops 1e23
      scalingdb plan chinchilla --gpu-hours 1e5 --accelerator h100_sxm --utilisation 0.4
      scalingdb plan chinchilla --target-loss 2.0 --inference-tokens 1e13
      scalingdb plan muennighoff_repeat --train-flops 1e22 --set n_tokens_unique=1e10 --json
    """
    from scalingdb import fits, planning
    from scalingdb.law_library import get_law

    values = {}
    for name, text in pairs_of(given, "--set", "n_tokens_unique=1e10").items():
        value = number_of(text)
        if isinstance(value, str):
            refuse(f"--set {name}={text}: {text!r} is not a number", "for example --set n_tokens_unique=1e10")
        values[name] = float(value)
    if chart is not None and chart.suffix not in {".svg", ".png", ".html"}:
        refuse(f"cannot draw to {chart.name!r}", "use a file that ends in .svg, .png or .html.")
    what: Any = law
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
    if source is not None:
        selection = {"metric": metric, "eval_set": eval_set}
        frame = read_points(source, selection, flagged, where, file=told, inputs=get_law(law).inputs)
        with working(f"fitting {law} and {bootstrap:,} resamples"):
            what = fits.fit(frame, law, bootstrap=bootstrap, pool=pool)
    elif where or told.options:
        given_options = [*told.options, *(["--where"] if where else [])]
        refuse(f"{', '.join(given_options)}: for the rows of --fit only, which is missing", "add --fit FILE.")
    answer = planning.plan(
        what,
        variant=variant,
        train_flops=train_flops or None,
        gpu_hours=gpu_hours or None,
        accelerator=accelerator,
        flops_per_second=flops_per_second,
        utilisation=utilisation,
        target_loss=target_loss or None,
        n_tokens=n_tokens,
        n_params=n_params,
        inference_tokens=inference_tokens,
        flops_convention=flops_convention,
        level=level,
        **values,
    )
    if chart is not None:
        with replacing(chart) as scratch:
            answer.chart().save(str(scratch), inline=True)
        say(f"chart written to {chart}")
    if output is not None:
        write_file(answer.tidy(), output)
    if as_json:
        fields = {
            "plan": answer.label,
            "level": level,
            "interval": answer.interval,
            "notes": answer.notes,
            "sentence": answer.sentence,
            "tidy": rows_of(answer.tidy()),
        }
        print(as_json_text(fields))
        return
    print(answer.sentence + "\n")
    print_splits(answer.tidy())
    print()
    for note in [answer.interval, *answer.notes]:
        print(f"  {note}")
