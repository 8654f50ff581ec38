"""Files that our copy of a release lacks: fetched from a local server, checked by git ids, read, counted.

The server holds a release of the same shape as the public one: a listing of its tree and the files. What it cannot
show: that the public host answers so, and that the files of the real release have the columns that its loader reads.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ingest.__main__ import main
from ingest._build import load_source
from ingest._release import LACKING, blob_id, fetch
from scalingdb.errors import RawFileError, UnknownNameError

SOURCE = load_source("hitchhiker")[0]
MERGED = "model_name,num_params,tokens_seen,loss\n" + "".join(f"m{i % 484},1e9,{i + 1}e9,2.5\n" for i in range(1000))


def packed(text: str) -> bytes:
    return bytes(pa.compress(text.encode(), codec="zstd", asbytes=True))  # type: ignore[attr-defined]


def array(folder: Path) -> bytes:
    file = folder / "array.npy"
    np.save(file, np.arange(12.0).reshape(6, 2))
    return file.read_bytes()


class Host:
    """A public host of one release: its files, their listing, and what was asked for."""

    def __init__(self, root: Path, address: str, asked: list[str]) -> None:
        self.root, self.address, self.asked = root, address, asked
        self.files = root / str(SOURCE.repository) / str(SOURCE.upstream_commit)
        self.listing = root / "repos" / str(SOURCE.repository) / "git/trees" / str(SOURCE.upstream_commit)

    def publish(self) -> None:
        """List the tree as git does."""
        run = partial(subprocess.run, cwd=self.files, check=True, capture_output=True, text=True)
        shutil.rmtree(self.files / ".git", ignore_errors=True)
        run(["git", "init", "-q"])
        run(["git", "-c", "core.autocrlf=false", "add", "-A", "--", "."])
        root = run(["git", "write-tree"]).stdout.strip()
        lines = run(["git", "ls-tree", "-r", "-t", "-z", root]).stdout.split("\0")[:-1]
        rows = [(*head.split(" "), path) for head, path in (line.split("\t") for line in lines)]
        tree = [{"path": path, "mode": mode, "type": kind, "sha": sha} for mode, kind, sha, path in rows]
        self.listing.parent.mkdir(parents=True, exist_ok=True)
        self.listing.write_text(json.dumps({"sha": root, "tree": tree, "truncated": False}), encoding="utf-8")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path.split("?")[0])

    root = tmp_path / "host"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("SCALINGDB_UPSTREAM", address)
    one = Host(root, address, asked)
    content = {
        "README.md": b"a release\n",
        "aggregated_eval/Amber.csv": b"index,model_name,num_params,tokens_seen\n0,Amber,6.7B,1e9\n1,Amber,6.7B,2e9\n",
        "aggregated_eval/pythia.csv": b"model_name,steps,num_params\npythia-70m,1000,70m\npythia-160m,,160m\n",
        "raw_data/overtrain/overtrain.csv": b"name,tokens,loss\na-1.0,1e9,3.1\na-2.0,2e9,3.0\n",
        "raw_data/loss_size_flops_llama_sh.npy": array(tmp_path),
        "raw_data/gzip/results_new.jsonl": b"{}\n",
        "raw_data/gzip/results old.jsonl": b'{"loss": [3.0]}\n{"loss": [2.9]}\n',
        "test_cache/data.csv.zst": packed(MERGED),
    }
    for path, data in content.items():
        (one.files / path).parent.mkdir(parents=True, exist_ok=True)
        (one.files / path).write_bytes(data)
    one.publish()
    yield one
    server.shutdown()
    server.server_close()


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_a_blob_has_the_id_that_git_gives_it() -> None:
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_what_is_lacking_is_fetched_read_and_counted(host: Host, tmp_path: Path) -> None:
    report = fetch(SOURCE, tmp_path / "kept")
    assert (report.n_reached, report.n_models) == (484, 485)
    found = {file.path: (file.is_new, file.n_records, file.n_models) for file in report.files}
    assert found == {
        "aggregated_eval/Amber.csv": (True, 2, 1),
        "aggregated_eval/pythia.csv": (True, 2, 2),
        "raw_data/overtrain/overtrain.csv": (True, 2, 2),
        "test_cache/data.csv.zst": (True, 1000, 484),
        "raw_data/loss_size_flops_llama_sh.npy": (True, 6, None),
        "raw_data/gzip/results old.jsonl": (True, 2, None),  # results_new.jsonl is held: its hash is recorded
    }
    assert not [name for name in names(tmp_path / "kept") if name.endswith((".part", ".arriving"))]


def test_a_second_call_asks_for_nothing(host: Host, tmp_path: Path) -> None:
    fetch(SOURCE, tmp_path / "kept")
    host.asked.clear()
    again = fetch(SOURCE, tmp_path / "kept")
    assert host.asked == []
    assert not any(file.is_new for file in again.files)


def test_a_call_that_failed_is_gone_on_with(host: Host, tmp_path: Path) -> None:
    lost = host.files / "raw_data/overtrain/overtrain.csv"
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(RawFileError, match=r"(?s)overtrain.*could not be fetched.*what was fetched before is kept"):
        fetch(SOURCE, tmp_path / "kept")
    assert names(tmp_path / "kept") == {".tree.json", "aggregated_eval/Amber.csv", "aggregated_eval/pythia.csv"}
    lost.write_bytes(content)
    host.asked.clear()
    fetch(SOURCE, tmp_path / "kept")
    assert len(host.asked) == 4
    assert not any("pythia" in path or "trees" in path for path in host.asked)


def test_a_file_that_was_damaged_here_is_fetched_again(host: Host, tmp_path: Path) -> None:
    fetch(SOURCE, tmp_path / "kept")
    (tmp_path / "kept/aggregated_eval/Amber.csv").write_bytes(b"")
    again = fetch(SOURCE, tmp_path / "kept")
    assert [file.path for file in again.files if file.is_new] == ["aggregated_eval/Amber.csv"]


def test_other_bytes_than_those_of_the_commit_are_refused(host: Host, tmp_path: Path) -> None:
    file = host.files / "aggregated_eval/pythia.csv"
    file.write_bytes(file.read_bytes() + b"pythia-1b,1000,1b\n")
    with pytest.raises(RawFileError, match=r"(?s)pythia.csv' is not the file of the pinned commit.*expected blob"):
        fetch(SOURCE, tmp_path / "kept")
    assert names(tmp_path / "kept") == {".tree.json", "aggregated_eval/Amber.csv"}


def test_a_listing_that_was_altered_is_refused(host: Host, tmp_path: Path) -> None:
    answer = json.loads(host.listing.read_text(encoding="utf-8"))
    entry = next(one for one in answer["tree"] if one["path"].endswith("pythia.csv"))
    entry["sha"] = blob_id(b"something else")
    host.listing.write_text(json.dumps(answer), encoding="utf-8")
    with pytest.raises(RawFileError, match=r"ids that do not follow from its entries: \['aggregated_eval'\]"):
        fetch(SOURCE, tmp_path / "kept")
    assert not names(tmp_path / "kept")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"truncated": True}, "been cut short"), ({"tree": None}, "no listing of a git tree")],
)
def test_a_listing_that_is_not_whole_is_refused(
    change: dict[str, Any], message: str, host: Host, tmp_path: Path
) -> None:
    answer = json.loads(host.listing.read_text(encoding="utf-8"))
    host.listing.write_text(json.dumps(answer | change), encoding="utf-8")
    with pytest.raises(RawFileError, match=message):
        fetch(SOURCE, tmp_path / "kept")


def test_a_commit_without_the_file_is_named(host: Host, tmp_path: Path) -> None:
    (host.files / "test_cache/data.csv.zst").unlink()
    host.publish()
    with pytest.raises(RawFileError, match=r"the tree of the pinned commit lacks 'test_cache/data.csv.zst'"):
        fetch(SOURCE, tmp_path / "kept")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("aggregated_eval/pythia.csv", b"model,steps\na,1\n", "missing column"),
        ("raw_data/overtrain/overtrain.csv", b"name,tokens,loss\na,1e9,high\n", "row 1, column 'loss': 'high' is no"),
        ("aggregated_eval/Amber.csv", b"model_name,num_params,tokens_seen\n,6.7B,1e9\n", "1 record.s. without"),
        ("test_cache/data.csv.zst", b"model_name\n", "is not packed by zstd"),
        ("test_cache/data.csv.zst", packed("model_name,num_params\na,1\n"), "missing column.s. 'tokens_seen'"),
        ("raw_data/gzip/results old.jsonl", b"[1]\n", "a line is no JSON object"),
        ("raw_data/loss_size_flops_llama_sh.npy", b"nothing", "cannot be read"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_place(
    path: str, content: bytes, message: str, host: Host, tmp_path: Path
) -> None:
    (host.files / path).write_bytes(content)
    host.publish()
    with pytest.raises(RawFileError, match=message):
        fetch(SOURCE, tmp_path / "kept")


def test_a_source_that_lacks_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="farseer"):
        fetch(load_source("farseer")[0], tmp_path)
    assert set(LACKING) == {"hitchhiker"}


def test_the_command_says_how_many_models_are_reached(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "hitchhiker", "--download", "--target", str(tmp_path / "kept")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "hitchhiker: 484 of 485 models are reached" in said
    assert "test_cache/data.csv.zst: fetched" in said
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["hitchhiker"]
    assert (answer["n_reached"], answer["files"][0]["is_new"]) == (484, False)


def test_without_a_host_the_command_ends_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCALINGDB_UPSTREAM", "http://127.0.0.1:9")
    assert main(["build", "hitchhiker", "--download", "--target", str(tmp_path / "kept")]) == 2
    assert "check the network, or $SCALINGDB_UPSTREAM" in capsys.readouterr().err
    assert not names(tmp_path / "kept")
