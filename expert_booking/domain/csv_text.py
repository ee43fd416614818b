"""CSV as spreadsheets read it: RFC 4180 in UTF-8 with a byte order mark, and without formulas."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Final

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"
# Without it, Excel reads the file in the encoding of the machine.
BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
# A spreadsheet takes a cell that begins with one of these for a formula, which could send other cells elsewhere.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[Iterable[object]]) -> str:
    """Return the rows as lines that end with CRLF. None is an empty cell.

    Texts that a spreadsheet would take for a formula get an apostrophe in front; numbers stay as they are.
    """
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
