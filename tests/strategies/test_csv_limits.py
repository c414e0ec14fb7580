"""CSV that is too large, or never ends: it is refused in time, and nothing more than needed is read."""

from __future__ import annotations

import io
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_strategies import StrategyError
from batchbus_strategies.tables import (
    MAX_CELL,
    MAX_COLUMNS,
    CsvReader,
    NotATable,
    TableError,
)
from batchbus_strategies.tables.head import Head
from tests.strategies.csv_reading import chunked, read, refusal


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("size", [65536, 20 * MAX_CELL])
async def test_a_cell_of_ten_megabytes_is_an_error_with_line_and_column(quote: str, size: int) -> None:
    huge = quote + "x" * 10 * MAX_CELL + quote
    error = await refusal(f"a,b,c\n1,2,3\n4,{huge},6\n".encode(), size)
    assert isinstance(error, TableError)
    assert (error.line, error.column) == (3, "b")
    assert len(str(error)) < 300


async def test_a_row_of_many_large_cells_has_a_limit_too() -> None:
    row = ",".join(["x" * (MAX_CELL // 2)] * 20)
    error = await refusal(f"a,b\n{row}\n".encode())
    assert str(error).startswith("Line 2: a row may have")


async def test_a_first_line_of_ten_megabytes_is_an_error() -> None:
    assert "characters at most" in str(await refusal(b"x" * 10 * MAX_CELL))


async def test_no_more_than_needed_is_read_before_a_huge_cell_is_refused() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b"a,b\n1,"
        while True:
            taken += 1
            yield b"x" * 65536

    reader = await CsvReader.open(endless())
    with pytest.raises(TableError):
        async for _ in reader.batches():
            pass
    assert taken < 40


# -- the head, in one scan ---------------------------------------------------------------------------------------------
@pytest.fixture
def within_cpu_seconds() -> Iterator[None]:
    """A scan of the head that is worse than linear takes minutes or hours for what comes here: it is interrupted."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise TimeoutError("it takes too long")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, 10)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.usefixtures("within_cpu_seconds")
@pytest.mark.parametrize("size", [1000, 65536])
@pytest.mark.parametrize("blank", [" ", "\n", "\r", "\r\n", "\t", ",", '""', " \n", '"', '" ', "\u3000"])
async def test_a_file_of_blanks_is_refused_in_one_scan(blank: str, size: int) -> None:
    error = await refusal((blank * 200_000).encode(), size)
    assert isinstance(error, StrategyError)


@pytest.mark.usefixtures("within_cpu_seconds")
async def test_no_blanks_without_end_are_read() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"\n" * 65536

    with pytest.raises(NotATable, match="nothing in its first"):
        await CsvReader.open(endless())
    assert taken < 40


@pytest.mark.usefixtures("within_cpu_seconds")
async def test_more_columns_than_the_limit_are_refused() -> None:
    assert len((await read(",".join(f"c{n}" for n in range(MAX_COLUMNS)).encode()))[0].header) == MAX_COLUMNS
    error = await refusal(",".join(f"column {n}" for n in range(100_000)).encode())
    assert str(error) == "The file has more than 2,000 columns, which is the most that it may have"


async def test_of_a_row_with_more_cells_than_there_are_columns_no_more_than_that_is_kept() -> None:
    _, rows = await read(b"a,b\n" + b"x," * 1_000_000 + b"\n1,2\n")
    assert [(line, len(cells)) for line, cells in rows] == [(2, MAX_COLUMNS + 1), (3, 2)]


async def test_large_rows_are_given_out_by_their_size() -> None:
    row = ('"' + "x" * 1_000_000 + '",2\n').encode()
    reader = await CsvReader.open(chunked(b"a,b\n" + row * 30))
    assert max([len(batch) async for batch in reader.batches(1000)]) <= 16


@pytest.mark.parametrize("size", [1, 3, 65536])
@pytest.mark.parametrize("start", ["", "\n", "  \r\n", ",,,\n", "\t\n;;\r\n\n", '"",""\n', "\r\r\n"])
async def test_what_is_blank_in_front_of_the_header_is_passed_over(start: str, size: int) -> None:
    more = "x,1\n" * 20_000  # beyond the first piece
    reader, rows = await read(f"{start}Name,b\nfirst,0\n{more if size > 3 else ''}".encode(), size)
    line = len(io.StringIO(start, newline=None).readlines()) + 1
    assert (reader.header, reader.header_line) == (["Name", "b"], line)
    assert rows[0] == (line + 1, ["first", "0"])
    assert len(rows) == (20_001 if size > 3 else 1)


@given(st.text(st.sampled_from('a,;" \n\r\t'), max_size=40), st.integers(1, 7))
async def test_the_head_is_cut_where_the_csv_module_ends_its_first_record(text: str, size: int) -> None:
    pieces = iter([text[at : at + size] for at in range(0, len(text), size)])

    async def more() -> str:
        return next(pieces, "")

    head = Head("", more, limit=1000)
    records = []
    while record := (await head.take())[0]:
        records.append(record)
    assert "".join(records) == text
    for record in records[:-1]:
        lines = io.StringIO(record, newline="").readlines()
        assert record.count('"') % 2 == 0 and record.endswith(("\n", "\r"))
        # No line end before its last is outside of quotes.
        before = ""
        for line in lines[:-1]:
            before += line
            assert before.count('"') % 2 == 1
