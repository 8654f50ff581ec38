"""NanoGPT speedrun: wall-clock time to a stated loss on eight H100, record by record."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from ingest._long import measured, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

README, OPTIMISERS = "README.md", "records/track_3_optimization/README.md"
TRACKS = {1: "nats_3.28", 2: "nats_2.92"}
MINUTES = {"minutes": 1.0, "hours": 60.0, "minute": 1.0}
RECORD = re.compile(r"^\|?\s*(?P<number>\d+)\s*\|\s*(?P<time>[\d.]+)\s*(?P<unit>minutes?|hours)\*?\s*\|(?P<rest>.*)$")
STEPS = re.compile(r"^\|\s*(?P<number>\d+)\s*\|\s*(?P<steps>\d+)")
DATE = re.compile(r"\|\s*(\d\d)/(\d\d)/(\d\d)\s*\|")

SOURCE = Source(
    source_id="nanogpt_speedrun",
    title="NanoGPT speedrun: records of training GPT-2 small to a loss of 3.28",
    authors="Keller Jordan and contributors",
    year=2026,
    repository="KellerJordan/modded-nanogpt",
    upstream_commit="f411b3d346aa52d3504324ca93c230fd84c6c07f",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="training_time",
    headline_eval_set="nats_3.28",
    notes=(
        "Minutes on eight H100 to a validation loss of 3.28 on FineWeb (family track_1) and 2.92 (track_2), one run "
        "per "
        "record with its date (release_date, null where none is printed). Time also falls by kernels and versions of "
        "the "
        "software, the rules changed in February 2025, record 21 of the first track was timed three times, and the "
        "loss has to be met in the mean over seeds. The first record of the second track took 5.8 hours. The third "
        "track counts steps of optimisers and is not read: each entry has its own evidence. No sizes: n_definition is "
        "null."
    ),
    bibtex=(
        "@misc{jordan2024moddednanogpt, title={modded-nanogpt: Speedrunning the NanoGPT baseline}, author={Jordan, "
        "Keller and others}, year={2024}, howpublished={GitHub repository KellerJordan/modded-nanogpt}}"
    ),
    set_aside=(SetAside(OPTIMISERS, None, "steps by optimiser, each with evidence of its own kind: not read"),),
)
N_RECORDS = {1: 91, 2: 18}


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Records of the first two tracks, in the order of the tables."""
    records = _records(raw.text(README))
    raw.count(README, len(records))
    counts = {track: sum(record["track"] == track for record in records) for track in TRACKS}
    require(f"nanogpt_speedrun, {README!r}", records=(counts, N_RECORDS))
    rows = pl.DataFrame(records, infer_schema_length=None).with_row_index("raw_row", offset=1)
    rows = rows.with_columns(
        pl.col("raw_row").cast(pl.Int64),
        run_id=pl.format("nanogpt_speedrun/track_{}/{}-{}", "track", "number", "timing"),
    )
    runs = rows.select(
        "run_id",
        study=pl.lit("nanogpt_speedrun"),
        model_name="what",
        family=pl.format("track_{}", "track"),
        architecture=pl.lit("decoder"),
        release_date="date",
        corpus=pl.lit("FineWeb"),
    )
    evals = rows.select(
        "run_id", "raw_row", value="minutes", eval_set=pl.col("track").replace_strict(TRACKS, return_dtype=pl.String)
    )
    return {
        "runs": conform("runs", runs, "nanogpt_speedrun"),
        "evals": measured(
            "nanogpt_speedrun", evals, metric="training_time", unit="minutes", raw_file=README, raw_field="Record time"
        ),
    }


def _records(text: str) -> list[dict[str, Any]]:
    """Rows of the two tables of times; the second table starts again at record 1."""
    records: list[dict[str, Any]] = []
    track, last, timings = 0, 0, dict[tuple[int, int], int]()
    for line in text.splitlines():
        match = RECORD.match(line)
        if match is None:
            continue
        number = int(match["number"])
        if number == 1 and last != 1:
            track += 1
        last = number
        timings[track, number] = timings.get((track, number), 0) + 1
        day = DATE.search(line)
        what = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match["rest"].split("|")[0]).strip()
        records.append(
            {
                "track": track,
                "number": number,
                "timing": timings[track, number],
                "minutes": float(match["time"]) * MINUTES[match["unit"]],
                "what": what,
                "date": f"20{day[3]}-{day[1]}-{day[2]}" if day else None,
            }
        )
    return [record | {"date": None if record["date"] is None else _day(record["date"])} for record in records]


def _day(text: str) -> Any:
    return pl.Series([text]).str.to_date(strict=True)[0]
