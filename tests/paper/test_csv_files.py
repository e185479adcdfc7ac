"""CSV files: numbers are numbers, and anything else is told with its column and row."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as limit
from hypothesis import strategies as st

from adagen.paper.catalogue import TABLES
from adagen.paper.columns import names
from adagen.paper.csv_files import read_csv
from adagen.paper.inputs import read_search_log, read_training_log
from adagen.paper.tables import read_table
from adagen.runtime.errors import AdagenError


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "toy_t4" / "policy" / "tuned.csv"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("evaluation,fid\n1,nan\n2,abc\n", "column 'fid': 'abc' in row 2 is no finite number"),
        ("evaluation,fid\n1,0.5\n2,\n", "with a number in each row"),
        ("evaluation,fid\n1,inf\n", "column 'fid': 'inf' in row 1"),
        ("evaluation,fid\n1,1e999\n", "column 'fid': 'inf' in row 1"),
        ("evaluation,fid\n1,True\n2,False\n", "column 'fid': 'True' in row 1"),
        ("evaluation,fid\nx,1\n", "column 'evaluation': 'x' in row 1"),
        ("evaluation,fid\n1,2,3\n1,2\n", "is not a search log"),
        ("evaluation,fid\n", "is not a search log"),
        ("\0\0\0", "is not a search log"),
        ("evaluation,fid" + "," * 300_000, "is not a search log"),
        ("", "is not a search log"),
    ],
)
def test_a_search_log_with_bad_numbers(log, text, told):
    log.write_text(text)
    with pytest.raises(AdagenError, match=told):
        read_search_log(log)


def test_what_is_no_text(log):
    log.write_bytes(b"evaluation,fid\n1,\xff\xfe\n")
    with pytest.raises(AdagenError, match="is not a search log"):
        read_search_log(log)


@given(st.lists(st.lists(st.text('0123456789.,-einfaxT \n"', max_size=6), max_size=3), max_size=4))
@limit(max_examples=40)
def test_any_cells_are_read_or_told(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("\n".join(["a,fid", *map(",".join, cells)]))
    try:
        table = read_csv(path, numbers=["fid"])
    except AdagenError as error:
        assert "column 'fid'" in str(error) and len(str(error)) < 400
    else:
        assert "fid" not in table or pd.to_numeric(table["fid"]).abs().max() != float("inf")


@pytest.mark.parametrize("line", ["[" * 10_000, "[1, 2]", '{"update": NaN}', '{"a": 1, "a": 2}'])
def test_a_training_log_with_a_bad_line(tmp_path, line):
    path = tmp_path / "toy_t4" / "policy" / "adagen_seed0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"update": 0}}\n{line}\n')
    with pytest.raises(AdagenError, match=r"adagen_seed0\.jsonl, line 2: expected a JSON object"):
        read_training_log(path)


@pytest.mark.parametrize(
    ("spec", "column"),
    [(name, c.name) for name, s in TABLES.items() for c in s.columns if c.is_number],
)
def test_a_number_of_a_table_is_one(tmp_path, spec, column):
    path, columns = tmp_path / "t.csv", names(TABLES[spec].columns)
    if column not in columns:
        columns = [*columns, column]
    path.write_text(
        f"{','.join(columns)}\n{','.join('x' if c == column else '1' for c in columns)}\n"
    )
    with pytest.raises(AdagenError, match=f"t.csv, column '{column}': 'x' in row 1"):
        read_table(path, TABLES[spec])
