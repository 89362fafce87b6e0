from __future__ import annotations

import http.server
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.zoo.data.conftest import encoded, fingerprint, picture, put
from zoo.data import Dataset, read
from zoo.data.decode import decode
from zoo.data.files import read_file
from zoo.errors import DataError, DependencyError, HubError

datasets = pytest.importorskip("datasets")

Make = Callable[..., Any]


def labelled(data: Dataset) -> dict[str, str]:
    return {s.path: data.classes[s.label] for s in data.samples}


def rows(labels: list[Any], kind: str = "PNG") -> dict[str, list[Any]]:
    return {
        "image": [{"bytes": encoded(picture(seed=i), kind), "path": None} for i in range(len(labels))],
        "label": labels,
    }


def part(labels: list[Any], names: list[str] | None = None, **columns: Any) -> Any:
    label = (
        datasets.ClassLabel(names=names)
        if names
        else datasets.Value("int64" if isinstance(labels[0], int) else "string")
    )
    table = rows(labels) | columns
    kinds = {name: datasets.Value("string") for name in columns} | {"image": datasets.Image(), "label": label}
    return datasets.Dataset.from_dict(table, features=datasets.Features({n: kinds[n] for n in table}))


def save(path: Path, **parts: Any) -> Path:
    datasets.disable_progress_bars()
    datasets.DatasetDict(parts).save_to_disk(path)
    datasets.enable_progress_bars()
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def test_a_saved_data_set_is_read_with_its_splits_and_class_names(tmp_path: Path) -> None:
    path = save(
        tmp_path / "pets",
        train=part([1, 0, 1], ["dog", "cat"]),
        validation=part([0], ["dog", "cat"]),
        test=part([1], ["dog", "cat"]),
    )
    data = read(path)
    assert data.classes == ("cat", "dog")
    assert labelled(data) == {
        "train/00000000.png": "cat",
        "train/00000001.png": "dog",
        "train/00000002.png": "cat",
        "validation/00000000.png": "dog",
        "test/00000000.png": "cat",
    }
    assert {s.path.split("/")[0]: s.split for s in data.samples} == {
        "train": "train",
        "validation": "val",
        "test": "test",
    }
    assert data.given_splits
    assert data.name == "pets"
    assert read(f"hf:{path}") == data


def test_the_pictures_keep_their_bytes(tmp_path: Path) -> None:
    table = rows([0, 1], "JPEG")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    data = read(save(tmp_path / "pets", train=datasets.Dataset.from_dict(table, features=kinds)))
    assert [read_file(data.file(s)) for s in data.samples] == [image["bytes"] for image in table["image"]]
    assert [s.path[-4:] for s in data.samples] == [".jpg", ".jpg"]
    assert decode(read_file(data.file(data.samples[0]))).size == (24, 16)


def test_it_is_written_once_and_the_source_is_left_alone(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "pets", train=part([0, 1], ["a", "b"]))
    before = fingerprint(path)
    one = read(path)
    assert cache in one.root.parents

    def refuse(*_args: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr("zoo.data.huggingface._write", refuse)
    assert read(path) == one
    assert fingerprint(path) == before


def test_one_part_without_a_name_is_split_later(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    part([0, 1, 1], ["a", "b"]).save_to_disk(tmp_path / "pets")
    datasets.enable_progress_bars()
    data = read(tmp_path / "pets")
    assert not data.given_splits
    assert [s.split for s in data.samples] == [None] * 3


def test_labels_may_be_text_or_numbers(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a", train=part(["x", "y"]))).classes == ("x", "y")
    assert read(save(tmp_path / "b", train=part([3, 10]))).classes == ("10", "3")


def test_rows_without_a_label_or_a_picture_are_left_out_with_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows([0, 1, -1, None, 0, 1])
    table["image"][1] = {"bytes": None, "path": str(tmp_path / "gone.png")}
    table["image"][4] = None
    table["image"][5] = {"bytes": None, "path": str(put(tmp_path / "there.png"))}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    made = datasets.Dataset.from_dict(table, features=kinds)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": made})
    data = read("hf:pets")
    assert labelled(data) == {"train/00000000.png": "a", "train/00000005.png": "b"}
    assert {s.path: s.reason for s in data.skipped} == {
        "train/00000001": "it is not there any more",
        "train/00000002": "no label",
        "train/00000003": "no label",
        "train/00000004": "no picture in this row",
    }


def test_parts_that_are_no_splits_are_left_out(tmp_path: Path) -> None:
    names = ["a", "b"]
    data = read(save(tmp_path / "pets", train=part([0, 1], names), unsupervised=part([0, 1], names)))
    assert len(data) == 2
    assert {s.reason for s in data.skipped} == {"the part 'unsupervised' is none of the splits"}


def test_a_data_set_without_images_or_labels_is_an_error_that_names_its_columns(tmp_path: Path) -> None:
    text = datasets.Dataset.from_dict({"text": ["x"], "label": [1]})
    with pytest.raises(DataError, match=r"no column of images. Its columns are: text \(Value\), label \(Value\)"):
        read(save(tmp_path / "text", train=text))
    unlabelled = datasets.Dataset.from_dict(
        {"image": rows([0])["image"]}, features=datasets.Features({"image": datasets.Image()})
    )
    with pytest.raises(DataError, match="no column of labels"):
        read(save(tmp_path / "unlabelled", train=unlabelled))


def test_a_damaged_saved_data_set_is_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "pets", train=part([0, 1], ["a", "b"]))
    for file in path.rglob("*.arrow"):
        file.write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read as a Hugging Face data set"):
        read(path)


def test_parts_with_names_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "pets", train=part([0, 1], ["a", "b"]))
    (path / "dataset_dict.json").write_text('{"splits": ["../pets/train"]}')
    with pytest.raises(DataError, match="plain names"):
        read(path)


def test_a_folder_of_parquet_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "pets" / "data").mkdir(parents=True)
    part([0, 1, 1], ["a", "b"]).to_parquet(tmp_path / "pets" / "data" / "train-00000.parquet")
    part([0, 1], ["a", "b"]).to_parquet(tmp_path / "pets" / "data" / "test-00000.parquet")
    data = read(f"hf:{tmp_path / 'pets'}", offline=True)
    assert data.classes == ("a", "b")
    assert [s.split for s in data.samples] == ["test"] * 2 + ["train"] * 3


def test_a_folder_that_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "empty" / "x.bin", b"x")
    with pytest.raises(DataError, match="cannot be read as a Hugging Face data set"):
        read(f"hf:{tmp_path / 'empty'}")


def test_offline_makes_no_network_call_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(HubError, match="without --offline"):
        read("hf:nobody/nothing-of-this-name", offline=True)
    assert before == datasets.config.HF_HUB_OFFLINE


def refused() -> str:
    """An address on this machine where nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{place.getsockname()[1]}"


def test_a_hub_that_cannot_be_reached_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", refused())
    start = time.monotonic()
    with pytest.raises(HubError, match="cannot be reached"):
        read("hf:nobody/nothing-of-this-name")
    assert time.monotonic() - start < 10


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.huggingface_load._PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(HubError, match="cannot be reached"):
            read("hf:nobody/nothing-of-this-name")


class Refusing(http.server.BaseHTTPRequestHandler):
    """A hub that knows no data set."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_a_name_that_the_hub_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(HubError, match="'nobody/nothing-of-this-name' cannot be had"):
            read("hf:nobody/nothing-of-this-name")
        server.shutdown()


def test_the_configuration_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(path: str, config: str | None) -> Any:
        asked.append((path, config))
        return {"train": part([0, 1], ["a", "b"])}

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read("hf:owner/name:small").name == "name-small"
    assert read("hf:owner/name").name == "name"
    assert asked == [("owner/name", "small"), ("owner/name", None)]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DependencyError, match=r"zoovet\[datasets\]"):
        read("hf:x")
