"""Papers and findings: all of them land, with their arXiv ids as text, and name sources that exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import scalingdb as sdb
from ingest import literature
from ingest._build import load_source, source_ids, source_tables
from scalingdb.errors import DataError

N_PAPERS, N_CLAIMS, N_QUALITATIVE = 86, 264, 124

# papers that another source holds data or coefficients of
HELD = {
    "1712.00409": "hestness",
    "2010.14701": "henighan",
    "2204.02311": "palm_tables",
    "2210.11399": "upalm_tables",
    "2306.09479": "inverse_scaling_opt_cards",
    "2309.11197": "languini",
    "2403.08540": "gadre_overtraining",
    "2404.02883": "li_text_to_image",
    "2404.02905": "tian_var",
    "2404.04125": "concept_frequency",
    "2404.05405": "allen_zhu_knowledge",
    "2404.07177": "goyal_filtering",
    "2405.15319": "du_stacking",
    "2406.02061": "aiw",
    "2406.12295": "fast_slow",
    "2406.16450": "structured_ffn",
    "2407.12854": "retrieval_datastore",
    "2407.13623": "vocab_scaling",
    "2409.03733": "plansearch",
    "2409.16040": "time_moe",
    "2410.03857": "implicit_reference",
    "2410.04343": "rag_scaling",
    "2410.11840": "hitchhiker",
    "2410.12360": "yao_time_series",
    "2410.18647": "robot_data_scaling",
    "2411.17691": "ouyang_low_bit",
    "2501.02423": "sun_fp_quant",
    "2502.03738": "patchification",
    "2503.04715": "steplaw",
    "2503.06378": "adele",
    "2504.00294": "inference_scaling_gpqa",
    "2504.07052": "backtrack",
    "2505.10465": "superposition",
    "2505.10475": "parscale",
    "2505.14302": "chen_qat",
    "2506.04598": "laion_clip_mammut",
    "2506.07731": "e2lm",
    "2506.10972": "farseer",
    "2506.17811": "robomonkey",
    "2507.12466": "betr",
    "2508.01832": "wei_mlp_memory",
    "2509.14786": "kim_infinite_compute",
    "2509.19249": "rlpt",
    "2509.25300": "rl_post_fits",
    "2510.11693": "lco_embedding",
}

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """What the module builds, from the committed files alone."""
    return source_tables("literature", None)


@pytest.fixture(scope="module")
def claims(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return tables["claims"]


def _curated(name: str) -> pl.DataFrame:
    if not (SHARED / name).is_file():
        pytest.skip(f"the list that the findings were curated in is not at hand: ../shared/{name}")
    return pl.read_csv(SHARED / name, infer_schema=False)


# ---- papers --------------------------------------------------------------------------------------


def test_every_paper_is_a_source_once(tables: dict[str, pl.DataFrame], db: sdb.Warehouse) -> None:
    papers = literature.papers()
    assert papers.height == papers["arxiv_id"].n_unique() == N_PAPERS
    assert papers["source_id"].n_unique() == N_PAPERS
    assert papers.null_count().sum_horizontal().item() == 0
    assert tables["sources"].height == N_PAPERS - len(HELD)
    held = papers.filter(~pl.col("source_id").str.starts_with("paper_"))
    assert dict(held.select("arxiv_id", "source_id").iter_rows()) == HELD
    found = db.sql("select s.source_id, s.arxiv_id from sources s").rows()
    assert set(papers.select("source_id", "arxiv_id").iter_rows()) <= set(found)


def test_a_paper_that_a_source_holds_data_of_is_not_repeated() -> None:
    assert all(load_source(name)[0].is_shipped for name in HELD.values())  # else its findings would lose their source
    holders: dict[str | None, list[str]] = {}
    for name in source_ids():
        holders.setdefault(load_source(name)[0].arxiv_id, []).append(name)
    for source_id, arxiv_id in literature.papers().select("source_id", "arxiv_id").iter_rows():
        own = f"paper_{arxiv_id.replace('.', '_')}"
        assert source_id in holders.get(arxiv_id, [own]), f"{arxiv_id}: give it the source_id that holds its data"


def test_arxiv_ids_are_text_and_keep_their_zeros(tables: dict[str, pl.DataFrame], db: sdb.Warehouse) -> None:
    ids = literature.papers()["arxiv_id"]
    assert all(re.fullmatch(r"\d{4}\.\d{5}", text) for text in ids)
    assert sum(text.endswith("0") for text in ids) == 11
    assert {"2307.02460", "2511.09030", "2310.03262"} <= set(tables["sources"]["arxiv_id"])
    assert db.sql("select arxiv_id from sources where source_id = 'paper_2111_10050'").item() == "2111.10050"


def test_the_year_is_that_of_the_arxiv_id() -> None:
    papers = literature.papers()
    assert papers["year"].to_list() == [2000 + int(text[:2]) for text in papers["arxiv_id"]]


def test_a_paper_says_that_nothing_of_it_is_held(tables: dict[str, pl.DataFrame]) -> None:
    sources = tables["sources"]
    assert sources["licence"].unique().to_list() == ["not applicable: no data held"]
    assert sources["authors"].null_count() == sources.height  # not recorded, so not invented
    assert sources["is_shipped"].all()
    assert sources["n_raw_files"].sum() == 0
    assert sources["notes"].str.contains(r"^[A-Z].*\. Kind of study: .*; field: .*\.$").all()
    by_id = dict(sources.select("arxiv_id", "bibtex").iter_rows())
    special = {"arxiv_id": "2210.11399", "title": "Transcending Scaling Laws with 0.1% Extra Compute", "year": 2022}
    assert literature._bibtex(special) == (
        "@misc{arxiv221011399, title={{Transcending Scaling Laws with 0.1\\% Extra Compute}}, year={2022}, "
        "eprint={2210.11399}, archiveprefix={arXiv}, url={https://arxiv.org/abs/2210.11399}}"
    )
    for arxiv_id, entry in by_id.items():
        assert f"eprint={{{arxiv_id}}}" in entry
        assert entry.count("{") == entry.count("}")
        assert "author" not in entry
    assert sources["bibtex"].n_unique() == sources.height


def test_a_source_with_data_names_its_authors(db: sdb.Warehouse) -> None:
    silent = db.sql("select source_id from sources where authors is null")["source_id"]
    assert silent.str.starts_with("paper_").all()


# ---- findings ------------------------------------------------------------------------------------


def test_every_finding_lands(claims: pl.DataFrame) -> None:
    assert claims.height == claims["claim_id"].n_unique() == claims["claim"].n_unique() == N_CLAIMS
    papers = literature.papers()
    by_id = dict(papers.select("arxiv_id", "source_id").iter_rows())
    assert [by_id[claim_id.split("/")[0]] for claim_id in claims["claim_id"]] == claims["source_id"].to_list()
    assert set(claims["source_id"]) == set(papers["source_id"])
    assert claims.filter(pl.col("source_id") == "farseer").height == 4


def test_the_findings_are_those_of_the_curated_list(claims: pl.DataFrame) -> None:
    curated = _curated("CLAIMS.csv").fill_null("")
    assert curated.height == claims.height
    number = pl.col("value", "value_high").cast(pl.Float64, strict=False)
    expected = curated.with_columns(number).select(
        "arxiv_id", "claim", "quantity", "value", "value_high", "law_id", "where"
    )
    found = claims.with_columns(
        pl.col("law", "test_source").fill_null(""), arxiv_id=pl.col("claim_id").str.split("/").list.first()
    ).select("arxiv_id", "claim", "quantity", "value", "value_high", "law", "where_stated", "test_source")
    assert Counter(found.drop("test_source").iter_rows()) == Counter(expected.iter_rows())
    # sources that came later can test more than the list knew of
    tests = dict(found.select("claim", "test_source").iter_rows())
    for claim, listed in curated.select("claim", "test_source").iter_rows():
        assert set(listed.split(";")) - {""} <= set(tests[claim].split(";")), claim


def test_the_papers_are_those_of_the_curated_list() -> None:
    curated = _curated("PAPERS.csv").with_columns(pl.col("year").cast(pl.Int64))
    columns = ["title", "arxiv_id", "year"]
    assert set(literature.papers().select(columns).iter_rows()) == set(curated.select(columns).iter_rows())


def test_a_finding_has_a_number_with_a_unit_or_is_qualitative(claims: pl.DataFrame) -> None:
    qualitative = claims.filter(pl.col("quantity") == "qualitative")
    assert qualitative.height == N_QUALITATIVE
    assert qualitative.select("value", "value_high", "unit").null_count().row(0) == (N_QUALITATIVE,) * 3
    measured = claims.filter(pl.col("quantity") != "qualitative")
    assert measured.select("value", "unit", "varies", "where_stated").null_count().row(0) == (0, 0, 0, 0)
    ranges = measured.drop_nulls("value_high")
    assert ranges.height == 11
    assert (ranges["value_high"] > ranges["value"]).all()


def test_what_can_test_a_finding_exists_and_holds_runs(claims: pl.DataFrame, db: sdb.Warehouse) -> None:
    named = claims["test_source"].drop_nulls()
    assert len(named) == 105
    several = [text for text in named if ";" in text]
    assert len(several) == 13
    assert "epoch_chinchilla;farseer;gemstones" in several
    testers = {name for text in named for name in text.split(";")}
    assert testers <= set(source_ids())
    sizes = dict(db.sources().select("source_id", "n_runs").iter_rows())
    shipped = {name for name in testers if load_source(name)[0].is_shipped}
    assert len(shipped) > len(testers) / 2
    assert all(sizes[name] > 0 for name in shipped)


def test_numbers_of_three_papers(claims: pl.DataFrame) -> None:
    # abstracts of arXiv 2403.08540, 2503.04715 and 2310.03262
    measured = claims.filter(pl.col("value").is_not_null()).select("source_id", "quantity", "value", "unit").rows()
    assert ("gadre_overtraining", "n_models", 104.0, "count") in measured
    assert ("steplaw", "loss_gap", 0.07, "percent") in measured
    assert ("steplaw", "gpu_hours", 1e6, "GPU hours") in measured
    assert [row[1:] for row in measured if row[0] == "paper_2310_03262"] == [("prediction_error", 0.05, "percent")]


def test_sql_answers_what_was_claimed(db: sdb.Warehouse) -> None:
    rows = db.sql("select * from claims where quantity = 'compute_multiplier' and where_stated = 'abstract'")
    assert sorted(rows["value"]) == [2.0, 2.1, 4.7]
    assert rows["unit"].unique().to_list() == ["ratio"]
    titles = db.sql("select distinct title from claims join sources using (source_id) where quantity = $q", q="fid")
    assert titles.item().startswith("Visual Autoregressive Modeling")


def test_the_shipped_tables_are_those_that_are_built(tables: dict[str, pl.DataFrame], db: sdb.Warehouse) -> None:
    shipped = db.sql("select * from claims where regexp_matches(claim_id, '^[0-9.]+/[0-9]+$') order by claim_id")
    assert shipped.equals(tables["claims"].sort("claim_id"))
    papers = db.sql("select * from sources where source_id like 'paper\\_%' escape '\\' order by source_id")
    assert papers.equals(tables["sources"].sort("source_id"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2310.03262/1,", "2310.3262/1,", r"unlisted papers \['2310.3262'\], papers without a finding \[\]"),
        ("2307.02460/1,", "2310.03262/9,", r"unlisted papers \[\], papers without a finding \['2307.02460'\]"),
    ],
)
def test_findings_and_papers_that_do_not_meet_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    text = literature.CLAIMS.read_text(encoding="utf-8")
    assert text.count(old) == 1
    altered = tmp_path / "claims.csv"
    altered.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(literature, "CLAIMS", altered)
    with pytest.raises(DataError, match=message):
        source_tables("literature", None)


# ---- the list of sources -------------------------------------------------------------------------


def test_sources_counts_findings_and_those_it_can_test(db: sdb.Warehouse) -> None:
    sources = db.sources()
    assert {"year", "arxiv_id", "is_shipped", "n_items", "n_claims", "n_claims_testable"} <= set(sources.columns)
    rows = sources.rows_by_key("source_id", named=True, unique=True)
    assert (rows["gadre_overtraining"]["n_claims"], rows["gadre_overtraining"]["n_claims_testable"]) == (6, 6)
    assert (rows["paper_2310_03262"]["n_claims"], rows["paper_2310_03262"]["n_claims_testable"]) == (3, 0)
    assert rows["hitchhiker"]["n_claims_testable"] == 11
    assert rows["kaplan"]["n_claims"] == 0
    assert sources["n_claims"].sum() == db.sql("select count(*) from claims").item()
    tested = [name for text in db.table("claims")["test_source"].drop_nulls() for name in text.split(";")]
    # what a source that is not here could test is counted nowhere
    assert sources["n_claims_testable"].sum() == sum(name in rows for name in tested)


def test_sources_with_runs_come_first(db: sdb.Warehouse) -> None:
    sources = db.sources()
    has_runs = (sources["n_runs"] > 0).to_list()
    assert has_runs == sorted(has_runs, reverse=True)
    for part in (sources.filter(pl.col("n_runs") > 0), sources.filter(pl.col("n_runs") == 0)):
        assert part["source_id"].is_sorted()


def test_points_of_a_paper_without_data_says_so(db: sdb.Warehouse) -> None:
    with pytest.raises(
        DataError, match=r"(?s)'paper_2310_03262' holds no measurements, only published findings.*claims"
    ):
        db.points("paper_2310_03262")
