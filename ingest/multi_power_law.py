"""Loss curves of three model sizes under nine learning-rate schedules (arXiv 2503.12811).

The files log the rate every 128 steps; a law of the schedule needs it at every step. `rate` rebuilds it
from the name of the file, and the build checks it against every logged rate.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

N_FILES, N_ROWS = 27, 6265
SIZES = {"25": 25e6, "100": 100e6, "400": 400e6}
PEAK, FLOOR, N_WARMUP = 3e-4, 3e-5, 2160
DECAY_START, SWITCH, SHORT = 20_000, 8_000, 24_000
"""WSD decays from step 20,000 to 24,000; the two-stage schedules switch at step 8,000."""
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
RATE_TOLERANCE = 1e-9

KINDS = {
    "cosine": "cosine",
    "constant": "constant",
    "wsd": "warm-up, stable, exponential decay",
    "wsdld": "warm-up, stable, linear decay",
    "wsdcon": "two constant stages",
}

PUBLISHED = {
    "25": {"L0": 3.0405, "A": 0.5247, "alpha": 0.5079, "B": 363.79, "C": 2.0656, "beta": 0.5828, "gamma": 0.6414},
    "100": {"L0": 2.6514, "A": 0.6012, "alpha": 0.4530, "B": 437.95, "C": 2.1325, "beta": 0.5979, "gamma": 0.6552},
    "400": {"L0": 2.3747, "A": 0.6542, "alpha": 0.4288, "B": 523.42, "C": 2.0246, "beta": 0.5935, "gamma": 0.6347},
}
ERRORS = {
    "25": (0.99880, 0.003760, 0.004652, 0.001102, 0.004095),
    "100": (0.99830, 0.004348, 0.005919, 0.001425, 0.005829),
    "400": (0.99776, 0.004836, 0.007305, 0.001680, 0.009948),
}
ERROR_NAMES = ("r2", "mean_absolute_error", "root_mean_square_error", "mean_relative_error", "worst_relative_error")

SOURCE = Source(
    source_id="multi_power_law",
    title="A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules",
    authors="Kairong Luo, Haodong Wen, Shengding Hu, Zhenbo Sun, Zhiyuan Liu, Maosong Sun, Kaifeng Lyu, Wenguang Chen",
    year=2025,
    arxiv_id="2503.12811",
    repository="thu-yao-01-luo/MultiPowerLaw",
    upstream_commit="8da9f1902602f3391b971a811e3cc51604541769",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    headline_metric="loss",
    headline_eval_set="validation",
    n_definition="n_params",
    notes=(
        "27 curves: 25M, 100M and 400M parameters (rounded names) under nine schedules, logged about every 128 steps "
        "after the warm-up (from step 2,160 or 2,176). Split 'fit' holds the three schedules that the paper fits "
        "(cosine_24000, constant_24000, wsdcon_9), 'validation' the other six. The losses are held-out losses in nats "
        "per token as far as the files tell. Tokens and batch size are not in the files. Table schedules holds the "
        "logged learning rates. The law needs the rate at every step; it follows from the schedule's name (in the run "
        "id), step s counted from 0, and so rebuilt agrees with every logged value to 1e-9. With peak 3e-4 and floor "
        "3e-5: a linear warm-up from 0 at step 0 to the peak at step 2,159; then cosine_T: floor + (peak - floor) (1 + "
        "cos(pi (s - 2160) / (T - 2160))) / 2; constant_T: the peak; wsd: the peak to step 20,000, then peak x (floor "
        "/ peak)^((s - 20000) / 4000); wsdld: the same times linear, peak - (peak - floor) (s - 20000) / 4000; "
        "wsdcon_k: the peak to step 8,000, then k x 1e-5. The end of the wsdcon runs is not in their names. The "
        "warm-up itself is not logged; its shape is that of the authors' code. No file reaches its nominal end, so "
        "nothing has to be cut. The law is L = L0 + A S1^-alpha - B sum over k of (rate(k-1) - rate(k)) (1 - (1 + C "
        "rate(k)^-gamma S_k)^-beta), S1 the sum of all rates up to the step and S_k that from k on; the sum runs over "
        "the warm-up too, which adds about B x peak = 0.11 nats. Its stored parameters and their errors on the "
        "'validation' curves (mean over six curves) are claims; law multi_power holds the parameters (L0 as L_0)."
    ),
    bibtex=(
        "@inproceedings{luo2025multipower, title={A Multi-Power Law for Loss Curve Prediction Across Learning Rate "
        "Schedules}, author={Luo, Kairong and Wen, Haodong and Hu, Shengding and Sun, Zhenbo and Liu, Zhiyuan and Sun, "
        "Maosong and Lyu, Kaifeng and Chen, Wenguang}, booktitle={International Conference on Learning "
        "Representations}, year={2025}}"
    ),
    published_fits=tuple(
        PublishedFit(
            law="multi_power",
            variant=f"n{size}m",
            params={"L_0" if name == "L0" else name: value for name, value in parameters.items()},
            where_stated="stored parameters of the repository, newer than those of arXiv 2503.12811",
            evidence="read",
            output_unit="nats_per_token",
            is_default=size == "400",
        )
        for size, parameters in PUBLISHED.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per file, one loss and one rate per logged step."""
    names = raw.files("loss_curve_repo/csv_*/*.csv")
    columns = {"step": pl.Float64, "lr": pl.Float64, "loss": pl.Float64}
    curves = {}
    for name in names:
        path = PurePosixPath(name)
        curves[path.parent.name.removeprefix("csv_"), path.stem] = raw.csv(name, columns)
    total = sum(curve.height for curve in curves.values())
    if len(names) != N_FILES or total != N_ROWS:
        raise DataError(f"multi_power_law: {len(names)} files with {total} rows; {N_FILES} and {N_ROWS} are expected")
    logged = pl.concat(
        curve.with_columns(size=pl.lit(size), schedule=pl.lit(schedule)) for (size, schedule), curve in curves.items()
    ).with_columns(run_id=pl.format("multi_power_law/{}M-{}", "size", "schedule"))
    past_end = logged.filter(pl.col("schedule").str.ends_with("_24000") & (pl.col("step") >= SHORT))
    if past_end.height:
        raise DataError(f"multi_power_law: {past_end.height} row(s) at or after the end of a schedule of {SHORT} steps")
    runs = (
        logged.group_by("run_id", "size", "schedule", maintain_order=True)
        .agg(pl.col("step").max(), pl.col("lr").last())
        .select(
            "run_id",
            study=pl.lit("multi_power_law"),
            model_name=pl.format("{}M {}", "size", "schedule"),
            family=pl.format("{}M", "size"),
            architecture=pl.lit("decoder"),
            n_params=pl.col("size").replace_strict(SIZES, return_dtype=pl.Float64),
            schedule_name=pl.col("schedule").str.extract(r"^([a-z]+)_").replace_strict(KINDS),
            learning_rate=pl.lit(PEAK),
            learning_rate_final="lr",
            n_steps="step",
            n_warmup_steps=pl.lit(float(N_WARMUP)),
            tokenizer_id=pl.lit("multi-power-law"),
        )
    )
    evals = logged.select(
        "run_id",
        "step",
        "raw_file",
        "raw_row",
        metric=pl.lit("loss"),
        eval_set=pl.lit("validation"),
        split=pl.when(pl.col("schedule").is_in(FITTED)).then(pl.lit("fit")).otherwise(pl.lit("validation")),
        value="loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("loss"),
    )
    for (_, schedule), curve in curves.items():
        _check_rates(schedule, curve)
    schedules = logged.select("run_id", "step", "raw_file", "raw_row", learning_rate_at_step="lr")
    return {
        "runs": conform("runs", runs, "multi_power_law"),
        "evals": conform("evals", evals, "multi_power_law"),
        "schedules": conform("schedules", schedules, "multi_power_law"),
        "claims": conform("claims", _claims(), "multi_power_law"),
    }


def rate(schedule: str) -> pl.Expr:
    """Learning rate at column ``step`` under the schedule of that name."""
    kind, _, rest = schedule.partition("_")
    s = pl.col("step")
    if kind == "cosine":
        phase = (s - N_WARMUP) / (float(rest) - N_WARMUP) * math.pi
        main = FLOOR + (PEAK - FLOOR) * (1 + phase.cos()) / 2
    elif kind == "constant":
        main = pl.lit(PEAK)
    elif kind == "wsdcon":
        main = pl.when(s >= SWITCH).then(float(rest) * 1e-5).otherwise(PEAK)
    elif kind in {"wsd", "wsdld"}:
        share = (s - DECAY_START) / (SHORT - DECAY_START)
        decay = (share * math.log(FLOOR / PEAK)).exp() * PEAK if kind == "wsd" else PEAK - (PEAK - FLOOR) * share
        main = pl.when(s >= DECAY_START).then(decay).otherwise(PEAK)
    else:
        raise DataError(f"multi_power_law: unknown schedule {schedule!r}")
    return pl.when(s < N_WARMUP).then(PEAK * s / (N_WARMUP - 1)).otherwise(main)


def _check_rates(schedule: str, curve: pl.DataFrame) -> None:
    """Compare the logged rates with those of the schedule in the file's name.

    Raises
    ------
    DataError
        If a logged rate is another one.
    """
    odd = curve.filter((pl.col("lr") / rate(schedule) - 1).abs() > RATE_TOLERANCE)
    if odd.height:
        raise DataError(
            f"multi_power_law, {curve['raw_file'][0]!r}: {odd.height} logged rate(s) contradict the schedule "
            f"{schedule!r}, first record {odd['raw_row'][0]}"
        )


def _claims() -> pl.DataFrame:
    """Stored parameters of the law, and its published errors."""
    numbers = [
        *(
            (size, name, value, "stored parameters of the repository")
            for size, p in PUBLISHED.items()
            for name, value in p.items()
        ),
        *(
            (size, name, value, "arXiv 2503.12811, table of errors; mean over the six test curves")
            for size, errors in ERRORS.items()
            for name, value in zip(ERROR_NAMES, errors, strict=True)
        ),
    ]
    return pl.DataFrame(
        [
            {
                "claim_id": f"2503.12811/{size}M/{name}",
                "claim": f"Multi-power law of the {size}M model: {name.replace('_', ' ')} is {value}",
                "quantity": name,
                "value": value,
                "unit": "unitless" if name != "L0" else "nats_per_token",
                "varies": "learning-rate schedule",
                "where_stated": place,
                "test_source": "multi_power_law",
            }
            for size, name, value, place in numbers
        ]
    )
