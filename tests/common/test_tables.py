"""CSV as people have it: what does not fit is named by its line, and nothing is filled in or cut off."""

import gzip

import pandas as pd
import pytest

from common.errors import ColumnError, DataError
from common.tables import read_table


def table(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a,b\n1,2\n3\n5,6\n", 3),
        ("a,b\r\n1,2\r\n\r\n3\r\n", 4),
        ("a,b\r1,2\r3\r", 3),
        ('a,b\n1,"x\n\ny"\n3\n', 5),
        ('a,b,c\n1,2,3\n4,"5\n6"\n', 3),
        ('a,b\n1,2\n""\n', 3),
        ("\ufeffa,b\n1,2\n3", 3),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_row_with_too_few_fields_is_not_filled_up(tmp_path, content, line, packed):
    raw = content.encode()
    path = table(tmp_path, gzip.compress(raw) if packed else raw, "t.csv.gz" if packed else "t.csv")
    with pytest.raises(ColumnError, match=f"line {line}: the row has fewer fields") as caught:
        read_table(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "line"), [("a,b\n1,2\n\n3,4,5\n", 4), ('a,b\n1,"x\ny"\n1,2,3\n', 4), ("a,b\n1,2,3\n", 2)]
)
def test_a_row_with_too_many_fields_is_named_by_its_line(tmp_path, content, line):
    with pytest.raises(ColumnError, match=f"line {line}: the row has more fields") as caught:
        read_table(table(tmp_path, content))
    assert caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,\n\n2,3\n",
        "a,b\n1,\n  \n2,3\n\t\n",
        'a,b\n1,""\n2,3\n',
        "\n\na,b\n1,\r\n2,3",
        'a,b\n"1\n2",\n2,3\n',
        '"a, of all",b\n1,\n2,3\n',
        '\ufeff"a, of all",b\n1,\n2,3\n',
    ],
)
def test_empty_fields_are_missing_and_blank_lines_are_no_rows(tmp_path, content):
    assert read_table(table(tmp_path, content)).iloc[:, 1].isna().tolist() == [True, False]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_compressed_tables(tmp_path, suffix):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_csv(tmp_path / f"t.csv{suffix}", index=False)
    assert read_table(tmp_path / f"t.csv{suffix}").b.isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        ("a,b\nMüller,1\n".encode("latin-1"), DataError, "is not UTF-8"),
        ("ä,b\n1,1\n".encode("latin-1"), DataError, "is not UTF-8"),
        ("a,b\n1,1\n".encode("utf-16"), DataError, "is not UTF-8"),
        ('a,b\n1,"x\ny"\n\n1,"2\n2,3\n', DataError, "line 5: a quote is opened"),
        ("a;b\n1,5;2\n", ColumnError, "separated by ';'"),
        ("a\tb\n1\t2\n", ColumnError, "separated by '\\t'"),
        (",age\n0,50\n", ColumnError, "column 1 has no name"),
        ("age,\n0,50\n", ColumnError, "column 2 has no name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, kind, says):
    with pytest.raises(kind) as caught:
        read_table(table(tmp_path, content))
    assert says in caught.value.message
    assert "commas" in caught.value.hint or "name it" in caught.value.hint
    assert "50" not in caught.value.message + caught.value.hint
