"""Commands of the laws: laws, law and recommend."""

from __future__ import annotations

from typing import Annotated

import typer

from scalingdb._progress import working
from scalingdb.cli._names import law_names, situation_names
from scalingdb.cli._output import OutputOption, as_json_text, paged, print_frame, rows_of, write_file
from scalingdb.cli._program import JsonOption, app, guarded
from scalingdb.display import number


@app.command()
@guarded
def laws(
    word: Annotated[
        str | None, typer.Argument(metavar="[WORD]", help="Only laws with this word in name, chapter or inputs.")
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""List the laws: inputs, parameters, how their form is known, and who publishes coefficients.

    \b
    Examples:
      scalingdb laws
      scalingdb laws n_tokens_unique
      scalingdb laws --json
      scalingdb laws -o laws.csv
    """
    import polars as pl

    from scalingdb.errors import unknown_name
    from scalingdb.law_library import laws as all_laws

    table = all_laws()
    if word is not None:
        text = pl.concat_str("law", "chapter", pl.col("inputs", "aliases").list.join(" "), separator=" ")
        chosen = table.filter(text.str.to_lowercase().str.contains(word.lower(), literal=True))
        if chosen.is_empty():
            raise unknown_name("law", word, table["law"].to_list())
        table = chosen
    if output is not None:
        write_file(table, output)
        return
    if as_json:
        print(as_json_text(rows_of(table)))
        return
    shown = table.select(
        "law",
        pl.col("inputs").list.join(", "),
        "output",
        pl.col("params").list.join(", ").alias("parameters"),
        pl.col("evidence_kind").str.replace("_", " ").alias("form"),
        pl.col("variants").list.len().alias("published sets"),
    )
    with paged():
        print_frame(shown, rows=0)


@app.command()
@guarded
def law(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A law, as 'scalingdb laws' lists it.", autocompletion=law_names)
    ],
    as_json: JsonOption = False,
) -> None:
    r"""Show one law: formula, inputs with their fitted range, parameters, and published coefficients.

    \b
    Examples:
      scalingdb law chinchilla
      scalingdb law farseer --json
    """
    import polars as pl

    from scalingdb.law_library import get_law

    one = get_law(name)
    sets = pl.DataFrame(
        [
            {"set": entry.variant, **{param: entry.params.get(param) for param in one.params}}
            | {"unit of the output": entry.output_unit, "source": entry.source_id}
            for entry in sorted(one.published.values(), key=lambda entry: not entry.is_default)
        ],
        infer_schema_length=None,
    )
    inputs = []
    for key in one.inputs:
        low, high = one.domain.get(key, (None, None))
        inputs.append({"name": key, "meaning": one.meaning(key), "low": low, "high": high})
    params = [{"name": key, "meaning": entry.meaning} for key, entry in one.params.items()]
    formula = str(one.expression) if one.is_traceable else None
    if as_json:
        facts = {"law": one.name, "cite": one.cite, "formula": formula, "output": one.output}
        print(as_json_text({**facts, "inputs": inputs, "params": params, "published": rows_of(sets)}))
        return
    with paged():
        print(f"{one.name}: {one.cite}")
        print(f"{one.output} = {formula or 'not one formula; see its documentation'}\n")
        for key in one.inputs:
            low, high = one.domain.get(key, (None, None))
            reach = "" if low is None else f" (fitted on {number(low)} to {number(high)})"
            print(f"  {key}: {one.meaning(key)}{reach}")
        for param in params:
            print(f"  {param['name']}: {param['meaning']}")
        if sets.height:
            print()
            print_frame(sets, rows=0)


@app.command()
@guarded
def recommend(
    situation: Annotated[
        str | None,
        typer.Argument(
            metavar="[SITUATION]",
            help="small_grid, overtrained, repeated ...; none lists them.",
            autocompletion=situation_names,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Say which law to use for a situation, and which error to expect, as measured in the arena.

    \b
    Examples:
      scalingdb recommend
      scalingdb recommend small_grid
      scalingdb recommend overtrained --json
    """
    from scalingdb.evidence.arena import SITUATIONS
    from scalingdb.evidence.arena import recommend as advise

    if situation is None:
        meanings = {name: about.meaning for name, about in SITUATIONS.items()}
        if as_json:
            print(as_json_text(meanings))
        else:
            for name, meaning in meanings.items():
                print(f"{name:<14}{meaning}")
        return
    with working("reading the arena"):
        advice = advise(situation)
    if as_json:
        print(as_json_text({**advice.glance().row(0, named=True), "sentence": advice.sentence}))
        return
    print(advice.sentence + "\n")
    shares = {"error": "typical", "tail": "one in ten", "worst": "worst", "coverage": "covered"}  # fits 80 columns
    print_frame(
        advice.table.select(
            "law",
            advice.table["n_params"].alias("parameters"),
            *((100 * advice.table[name]).round(2).alias(f"{said}, %") for name, said in shares.items()),
        )
    )
