"""Source `sloth`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import sloth
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _altered(source: object, directory: Path, target: Path, name: str, old: str, new: str) -> RawFolder:
    """Copy of one source's raw folder in which the first `old` of a text file is replaced; hashes follow."""
    import hashlib
    import shutil

    source_id: str = source.source_id  # type: ignore[attr-defined]
    shutil.copytree(directory / source_id, target / source_id)
    path = target / source_id / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    folder = RawFolder(source, target)  # type: ignore[arg-type]
    folder.registry[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return folder


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "sloth", raw_directory, {"runs": 299, "evals": 15189}, set_aside={"duplicate_source": 108 * 6 - 2 + 77 + 67 + 8}
    )


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert (
        records(db, "sloth").items()
        >= {
            "data/df_full_v1.csv": 168,
            "data/df_full_v2.csv": 216,
            "data/df_full.csv": 98,
            "data/data_v2.csv": 188,
        }.items()
    )


def test_sloth_scales_of_the_second_leaderboard_stay_apart(raw_directory: Path) -> None:
    evals = tables_of("sloth", raw_directory)["evals"]
    gpqa = evals.filter(pl.col("eval_set") == "leaderboard_gpqa")
    by_metric = {str(metric): group["value"] for (metric,), group in gpqa.group_by("metric")}
    assert {name: len(values) for name, values in by_metric.items()} == {"acc_norm": 113, "score_above_chance": 111}
    assert by_metric["acc_norm"].min() > 0.2  # type: ignore[operator]  # chance is 1/4
    assert by_metric["score_above_chance"].max() < 0.2  # type: ignore[operator]
    assert ((by_metric["acc_norm"] * 100).round() - by_metric["acc_norm"] * 100).abs().max() < 1e-9
    # IFEval and MATH have chance level 0, so that both scales are one
    ifeval = evals.filter(pl.col("eval_set") == "leaderboard_ifeval")
    assert (ifeval["metric"].unique().to_list(), ifeval.height) == (["task_score"], 113 + 111)


def test_sloth_models(raw_directory: Path) -> None:
    runs = tables_of("sloth", raw_directory)["runs"]
    assert dict(runs.group_by("is_instruct").len().rows()) == {True: 68, False: 120, None: 111}
    twice = runs.filter(pl.col("model_id") == "l3-pneuma-8b")
    assert twice["run_id"].to_list() == ["sloth/l3-pneuma-8b-1", "sloth/l3-pneuma-8b-2"]
    assert runs["release_date"].null_count() == runs.height  # the file's dates are those of leaderboard entries
    sizes = dict(runs.select("model_name", "n_params").rows())
    assert (sizes["stablelm-2-1_6b"], sizes["rwkv-4-1b5-pile"], sizes["mixtral-8x7b-v0.1"]) == (1.6e9, 1.5e9, None)
    known = runs.drop_nulls(["n_params", "n_tokens", "train_flops"])
    assert (6 * known["n_params"] * known["n_tokens"] / known["train_flops"] - 1).abs().max() < 1e-9
    assert runs.filter(pl.col("train_flops").is_null() & pl.col("n_tokens").is_not_null())["model_name"].to_list() == [
        name for name in sorted(sloth.WRONG_SIZE) if not name.startswith("mixtral")
    ]


def test_sloth_copies_of_obs_scaling_are_flagged_and_nothing_else(raw_directory: Path) -> None:
    ours = tables_of("sloth", raw_directory)["evals"].join(
        tables_of("sloth", raw_directory)["runs"].select("run_id", "model_id"), on="run_id"
    )
    theirs = (
        tables_of("obs_scaling", raw_directory)["evals"]
        .filter(pl.col("raw_file").str.contains("benchmark"))
        .join(tables_of("obs_scaling", raw_directory)["runs"].select("run_id", "model_id"), on="run_id")
        .select("model_id", "eval_set", other="value")
    )
    # three Pythia models have the plain model's classic scores, but XWinograd and HumanEval of the deduplicated one
    plain = pl.col("model_id").is_in(["pythia-160m", "pythia-410m", "pythia-12b"])
    joined = ours.with_columns(
        model_id=pl.when(plain).then(pl.concat_str("model_id", pl.lit("-deduped"))).otherwise("model_id")
    ).join(theirs, on=["model_id", "eval_set"], how="left")
    # scores with four digits here repeat longer ones there
    close = (pl.col("value") - pl.col("other")).abs() < 6e-5
    flagged = joined.filter(pl.col("flag").is_not_null())
    assert flagged.filter(~close.fill_null(value=False)).height == 0
    # a model counts as shared when all six classic scores agree, so a few single agreements stay unflagged
    classic = [column[3] for column in sloth.CLASSIC]
    rest = joined.filter(pl.col("flag").is_null() & close)
    assert set(rest["eval_set"]) <= set(classic)
    per_model = joined.filter(pl.col("eval_set").is_in(classic) & pl.col("other").is_not_null()).group_by("model_id")
    verdicts = per_model.agg(same=close.all(), flagged=pl.col("flag").is_not_null().all())
    assert verdicts.filter(pl.col("same") != pl.col("flagged")).height == 0


def test_sloth_pythia_scores_belong_to_the_deduplicated_models(raw_directory: Path) -> None:
    runs = tables_of("sloth", raw_directory)["runs"].filter(pl.col("family") == "pythia")
    names = dict(runs.filter(pl.col("model_name").str.starts_with("pythia")).select("model_name", "model_id").rows())
    assert names["pythia-1.4b"] == "pythia-1.4b-deduped"
    assert names["pythia-12b"] == "pythia-12b"


def test_sloth_disagreeing_files_are_refused(raw_directory: Path, tmp_path: Path) -> None:
    raw = _altered(sloth.SOURCE, raw_directory, tmp_path, sloth.FIRST, "0.7640908185620394", "0.7640908185")
    with pytest.raises(DataError, match=r"bloom|not the join"):
        sloth.build(raw)
