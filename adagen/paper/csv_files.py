"""Reading CSV files, of limited size, whose numbers are numbers."""

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import COLUMNS, read_text


def read_csv(path: Path, *, numbers: Collection[str], text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV file; an empty or ragged one, or one that is no text, has no columns.

    Args:
        path: the file.
        numbers: columns of finite numbers, where the file has them; cells may be empty.
        text: columns that are text even where they look like a number, or are empty.

    Raises:
        FileNotFoundError: there is none.
        AdagenError: it is no regular file, or too large; or a number is none.
    """
    try:
        content = read_text(path)
        if content.partition("\n")[0].count(",") >= COLUMNS:
            return pd.DataFrame()
        table = pd.read_csv(io.StringIO(content), dtype=dict.fromkeys(text, str))
    except ValueError:  # pandas' parser errors are ValueErrors
        return pd.DataFrame()
    if not isinstance(table.index, pd.RangeIndex):  # rows with more cells than there are columns
        return pd.DataFrame()
    for name in numbers:
        if name in table and (lines := _lines_without_number(table[name])):
            raise AdagenError(
                f"{path}, column {name!r}: {str(table[name].iloc[lines[0]])[:40]!r} in row "
                f"{lines[0] + 1} is no finite number. Make the file again, or check the path."
            )
    return table


def _lines_without_number(column: pd.Series) -> list[int]:
    """The rows whose cell is neither a finite number nor empty."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return [*np.flatnonzero(np.isinf(column.to_numpy(dtype=np.float64)))]
    numbers = pd.to_numeric(column.astype(str), errors="coerce")
    return [*np.flatnonzero(column.notna() & ~np.isfinite(numbers))]
