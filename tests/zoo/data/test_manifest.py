from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.zoo.data.conftest import fingerprint, put
from zoo.data import Dataset, read
from zoo.errors import DataError, DependencyError

Folder = Callable[..., Path]


@pytest.fixture
def root(folder: Folder) -> Path:
    return folder(*(f"{i}.png" for i in range(6)), "deep/er/7.png", "two words.png")


def table(root: Path, text: str | bytes, name: str = "list.csv") -> Path:
    return put(root / name, text.encode() if isinstance(text, str) else text)


def labelled(data: Dataset) -> dict[str, str]:
    return {s.path: data.classes[s.label] for s in data.samples}


def reasons(data: Dataset) -> dict[str, str]:
    return {s.path: s.reason for s in data.skipped}


def error(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.remedy
    return str(caught.value)


def test_a_table_lists_images_by_path_and_label(root: Path) -> None:
    data = read(table(root, "path,label\n0.png,cat\n1.png,dog\ndeep/er/7.png,dog\n"))
    assert labelled(data) == {"0.png": "cat", "1.png": "dog", "deep/er/7.png": "dog"}
    assert data.root == root
    assert data.name == "list"
    assert not data.given_splits
    assert all(data.file(s).is_file() for s in data.samples)


def test_splits_and_groups_are_read(root: Path) -> None:
    text = (
        "path,label,split,group\n0.png,a,train,p1\n1.png,b,Training,\n2.png,a,VAL,p2\n"
        "3.png,b,validation,p2\n4.png,a,test,7\n"
    )
    data = read(table(root, text))
    assert [(s.split, s.group) for s in data.samples] == [
        ("train", "p1"),
        ("train", None),
        ("val", "p2"),
        ("val", "p2"),
        ("test", "7"),
    ]
    assert data.given_splits


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(root: Path, delimiter: str) -> None:
    lines = [["path", "label"], ["0.png", "a"], ["1.png", "b"]]
    assert len(read(table(root, "\n".join(delimiter.join(line) for line in lines)))) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_matter(root: Path, encoding: str) -> None:
    put(root / "größe.png")
    data = read(table(root, "path,label\r\ngröße.png,groß\r\n1.png,klein\r\n".encode(encoding)))
    assert labelled(data) == {"größe.png": "groß", "1.png": "klein"}


def test_a_table_in_windows_encoding_finds_its_files_and_labels(root: Path) -> None:
    put(root / "größe.png")
    data = read(table(root, "path;label\ngröße.png;groß\n1.png;klein\n".encode("cp1252")))
    assert labelled(data) == {"größe.png": "groß", "1.png": "klein"}


@pytest.mark.skipif(os.name != "posix", reason="names that are not UTF-8")
def test_names_that_are_not_utf8_are_found_by_their_bytes(root: Path) -> None:
    put(Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")))
    data = read(table(root, b"path,label\ncaf\xe9.png,a\n1.png,b\n"))
    assert {os.fsencode(s.path) for s in data.samples} == {b"caf\xe9.png", b"1.png"}


def test_quotes_newlines_and_spaces_in_cells_are_read(root: Path) -> None:
    put(root / "a,b.png")
    put(root / "two\nlines.png")
    data = read(table(root, 'path, label\n"a,b.png", cat\n"two\nlines.png","cat"\ntwo words.png ,  dog \n\n\n'))
    assert labelled(data) == {"a,b.png": "cat", "two\nlines.png": "cat", "two words.png": "dog"}


def test_labels_that_are_numbers_stay_as_they_are_written(root: Path) -> None:
    data = read(table(root, "path,label\n0.png,007\n1.png,7\n2.png,1e3\n3.png,10\n"))
    assert labelled(data) == {"0.png": "007", "1.png": "7", "2.png": "1e3", "3.png": "10"}


def test_other_names_of_the_columns_are_understood(root: Path) -> None:
    assert len(read(table(root, "id,Filename,Class\n1,0.png,a\n2,1.png,b\n"))) == 2


def test_absolute_and_windows_paths_are_found(root: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "x.png")
    text = f"path,label\n{outside},a\n{root / '1.png'},b\n./2.png,a\ndeep\\er\\7.png,b\n../outside/x.png,a\n"
    data = read(table(root, text))
    assert set(labelled(data)) == {outside.as_posix(), "1.png", "2.png", "deep/er/7.png", "../outside/x.png"}
    assert all(data.file(s).is_file() for s in data.samples)


def test_files_that_are_not_there_are_left_out_with_their_reason(root: Path) -> None:
    text = (
        "path,label\n0.png,a\n1.png,b\ngone.png,a\ndeep,b\nhttp://example.org/1.png,a\n,b\n2.png,\n3.png\n4.png,a,b\n"
    )
    data = read(table(root, text))
    assert len(data) == 2
    assert reasons(data) == {
        "gone.png": "there is no such file",
        "deep": "not a regular file",
        "http://example.org/1.png": "an address, not a file: download it first",
        "row 7": "no path",
        "2.png": "no label",
        "3.png": "row 9 has 1 cells, the header 2",
        "4.png": "row 10 has 3 cells, the header 2",
    }


def test_a_name_that_is_no_file_name_is_left_out(root: Path) -> None:
    rest = "".join(f"{i % 6}.png,{'ab'[i % 2]}\n" for i in range(2000))  # a null byte early on means that it is no text
    data = read(table(root, f"path,label\n{rest}nu\0ll.png,a\n{'x' * 300}.png,a\n"))
    assert reasons(data) == {"nu\0ll.png": "its name is not a file name", f"{'x' * 300}.png": "its name is too long"}


def test_a_file_listed_twice_is_used_once_and_said(root: Path) -> None:
    data = read(table(root, "path,label\n0.png,a\n./0.png,a\n1.png,b\n0.png,a\n"))
    assert labelled(data) == {"0.png": "a", "1.png": "b"}
    assert any(w.startswith("2 rows list a file") for w in data.warnings)


def test_rows_that_contradict_each_other_are_left_out(root: Path) -> None:
    text = "path,label,split\n0.png,a,train\n0.png,b,train\n1.png,a,train\n1.png,a,val\n2.png,a,train\n3.png,b,train\n"
    data = read(table(root, text))
    assert set(labelled(data)) == {"2.png", "3.png"}
    assert reasons(data) == {
        "0.png": "listed with two labels: 'a' and 'b'",
        "1.png": "listed in two splits: train and val",
    }


def test_rows_without_a_split_beside_rows_with_one_train(root: Path) -> None:
    data = read(table(root, "path,label,split\n0.png,a,\n1.png,b,\n2.png,a,test\n3.png,b,test\n"))
    assert [s.split for s in data.samples] == ["train", "train", "test", "test"]
    assert any("2 rows" in w and "name no split" in w for w in data.warnings)


def test_an_unknown_split_is_an_error(root: Path) -> None:
    said = error(table(root, "path,label,split\n0.png,a,train\n1.png,b,holdout\n"))
    assert "Row 3" in said
    assert "'holdout'" in said
    assert "train, val and test" in said


def test_a_missing_column_is_an_error_that_names_what_is_there(root: Path) -> None:
    said = error(table(root, "path,lable\n0.png,a\n"))
    assert "no column 'label'. Its columns are: 'path', 'lable'. Rename 'lable' to 'label'." in said
    assert "no column 'path'" in error(table(root, "x,label\n0.png,a\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("0.png,cat\n1.png,dog\n", "has no header line"),
        ("path,label\n", "lists no image"),
        ("path,label\ngone.png,a\nlost.png,b\n", "None of the 2 images"),
        (b"\x00\x01\x02", "is not a text file"),
        ('path,label\n"' + "x" * 200_000, "is not a table"),
        ("path,label\n0.png,a\n1.png,a\n", "1 class only"),
    ],
)
def test_a_table_that_is_of_no_use_is_an_error(root: Path, text: str | bytes, expected: str) -> None:
    assert expected in error(table(root, text))


def test_a_table_that_may_not_be_read_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(root, "path,label\n")

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "no permission to read it" in error(path)


def test_nothing_on_the_disk_is_changed(root: Path) -> None:
    path = table(root, "path,label\n0.png,a\n1.png,b\ngone.png,a\n")
    before = fingerprint(root)
    read(path)
    assert fingerprint(root) == before


def parquet(root: Path, columns: dict[str, object]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), root / "list.parquet")
    return root / "list.parquet"


def test_parquet_is_read(root: Path) -> None:
    path = parquet(
        root, {"path": ["0.png", "1.png", "2.png"], "label": [3, 10, None], "split": ["train", "train", "val"]}
    )
    data = read(path)
    assert labelled(data) == {"0.png": "3", "1.png": "10"}
    assert reasons(data) == {"2.png": "no label"}


def test_whole_numbers_that_parquet_stores_as_floats_have_no_point(root: Path) -> None:
    data = read(parquet(root, {"path": ["0.png", "1.png", "2.png"], "label": [3.0, 10.0, float("nan")]}))
    assert labelled(data) == {"0.png": "3", "1.png": "10"}


def test_parquet_is_known_by_its_content(root: Path) -> None:
    path = parquet(root, {"path": ["0.png", "1.png"], "label": ["a", "b"]})
    assert len(read(path.rename(root / "list.csv"))) == 2


def test_damaged_parquet_is_an_error(root: Path) -> None:
    assert "damaged Parquet" in error(put(root / "list.parquet", b"PAR1" + bytes(100) + b"PAR1"))


def test_parquet_that_holds_the_pictures_is_an_error_that_says_how_to_read_it(root: Path) -> None:
    assert f"hf:{root}" in error(parquet(root, {"image": [b"\x89PNG"]}))


def test_parquet_without_pyarrow_names_the_extra(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = parquet(root, {"path": ["0.png"], "label": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyError, match=r"zoovet\[parquet\]"):
        read(path)
