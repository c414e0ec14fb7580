"""Encodings by looking: what is read right, and what is refused rather than read as garbage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_strategies.tables import CsvReader, NotATable, TableError

_SAMPLES: Final = {
    "cp1252": "Würfel aus Holz|Schlüssel groß|Öl für Möbel|Café crème",
    "cp1250": "Kubek żółty|Łyżka duża|Stół dębowy|Świeca zapachowa",
    "cp1251": "Кружка жёлтая|Ложка большая|Стол дубовый|ЧАЙНИК",
    "koi8-r": "Кружка жёлтая|Ложка большая|Стол дубовый",
    "cp1253": "Κίτρινη κούπα|Μεγάλο κουτάλι|Δρύινο τραπέζι",
    "cp1254": "Sarı kupa|Büyük kaşık|Gümüş yüzük|Yumuşak yastık",
    "gb18030": "黄色杯子|大勺子|橡木桌子|折叠椅",
    "cp932": "黄色いマグカップ|大きなスプーン|オークのテーブル",
    "big5": "黃色杯子|大湯匙|橡木桌子|摺疊椅|柔軟的枕頭",
    "cp949": "노란 머그컵|큰 숟가락|참나무 테이블",
    "utf-16-le": "Würfel|Кружка|黄色杯子",
    "utf-16-be": "Würfel|Кружка|黄色杯子",
    "utf-8": "Würfel|Кружка|黄色杯子|😀",
}


async def read(content: bytes, size: int = 64 * 1024) -> tuple[str, list[list[str]]]:
    async def chunks() -> AsyncIterator[bytes]:
        for offset in range(0, len(content), size):
            yield content[offset : offset + size]

    reader = await CsvReader.open(chunks())
    rows = [cells for batch in [batch async for batch in reader.batches()] for _, cells in batch]
    return reader.encoding, rows


async def outcome(content: bytes) -> tuple[str, list[list[str]]] | str:
    """What is read, or why it is not."""
    try:
        return await read(content)
    except (NotATable, TableError) as error:
        return str(error)


def table(titles: list[str]) -> tuple[str, list[list[str]]]:
    rows = [[f"mug-{number}", title, "9.50"] for number, title in enumerate(titles)]
    return "sku,title,price\n" + "".join(",".join(cells) + "\n" for cells in rows), rows


@pytest.mark.parametrize("size", [1, 1000, 65536])
@pytest.mark.parametrize("encoding", _SAMPLES)
async def test_a_few_rows_tell_their_encoding(encoding: str, size: int) -> None:
    text, rows = table(_SAMPLES[encoding].split("|"))
    assert await read(text.encode(encoding), size) == (encoding, rows)


@pytest.mark.parametrize("encoding", [each for each in _SAMPLES if not each.startswith("utf-16")])
async def test_it_does_not_matter_how_late_they_come(encoding: str) -> None:
    text, rows = table(["plain"] * 30_000 + _SAMPLES[encoding].split("|") + ["plain"] * 30_000)
    assert await read(text.encode(encoding)) == (encoding, rows)


@given(st.data())
async def test_rows_of_windows_1251_are_read_right_or_refused(data: st.DataObject) -> None:
    words = st.sampled_from("кружка жёлтая Ложка большая СТОЛ дубовый в и для стула Часы".split())  # noqa: SIM905
    text, rows = table(
        data.draw(st.lists(st.lists(words, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=9))
    )
    found = await outcome(text.encode("cp1251"))
    assert found == ("cp1251", rows) or "Name the encoding with the option encoding" in str(found)


@pytest.mark.parametrize("content", [b"a,b\nx,\xe9\n", b"a,b\n\x81\xfe,\xa7\xb6\xa4\n", b"a,b\nx,\xff\n"])
async def test_what_could_be_anything_is_refused_with_the_line_and_the_way_to_say_it(content: bytes) -> None:
    with pytest.raises(NotATable, match=r"cannot be told .* line 2 has the byte 0x.*Name the encoding with the option"):
        await read(content)


@pytest.mark.parametrize(
    ("content", "line", "byte"),
    [
        ("sku,title\na,Caf\udce9\nb,Würfel\nc,Schlüssel\n", 2, "0xE9, the file's byte 16,"),
        ("sku,title\na,Würfel\nb,Caf\udce9\n", 3, "0xE9, the file's byte 26,"),
        ("sku,title\na,Würfel\nb,\udcff\n", 3, "0xFF, the file's byte 23,"),
    ],
)
async def test_one_byte_that_is_not_utf_8_makes_no_garbage_of_the_rest(content: str, line: int, byte: str) -> None:
    with pytest.raises(TableError, match=f"Line {line}: the byte {byte} is not text in the encoding utf-8"):
        await read(content.encode("utf-8", "surrogateescape"))


async def test_utf_8_far_behind_another_encoding_is_noticed() -> None:
    before, _ = table(["Café"] + ["plain"] * 40_000)
    with pytest.raises(TableError, match=r"Line 40003: there is UTF-8 from this line on"):
        await read(before.encode("cp1252") + "a,Würfel für Öl\n".encode())


async def test_binary_data_is_no_text_in_any_encoding() -> None:
    with pytest.raises(NotATable, match="binary data"):
        await read(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=60))
async def test_ascii_is_never_taken_for_utf_16(text: str) -> None:
    found = await outcome(text.encode())
    assert isinstance(found, str) or found[0] == "utf-8"
