"""Whatever inflates has a limit: no small upload becomes a large one in memory or on a disk, whichever door it comes by."""

from __future__ import annotations

import ast
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import batchbus_events
import batchbus_service
import batchbus_strategies
from batchbus_strategies.tables import source, workbook_parts
from batchbus_strategies.testing import LocalFiles
from tests.strategies.table_files import ods, refusal, xlsx, zipped

_SIZE: Final = 4_000_000
_ROWS: Final = (b"a" * 999 + b"\n") * (_SIZE // 1000)
_HEADER: Final = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'
_LIMITED: Final = {
    "batchbus_strategies.tables.source": {"zlib.decompressobj", "zipfile.ZipFile"},
    "batchbus_strategies.tables.workbook_parts": {"zlib.decompressobj", "zipfile.ZipFile"},
    "batchbus_strategies.tables.packing": {"zipfile.ZipFile"},  # it only writes
}
"""What may inflate, each tried below. A call of `decompress` has to name the most that it may give."""
_INFLATING: Final = {
    "zlib",
    "gzip",
    "bz2",
    "lzma",
    "zipfile",
    "tarfile",
    "shutil.unpack_archive",
    "zstandard",
    "brotli",
}


def _zip_that_lies() -> bytes:
    """The directory says that the member is as large compressed as it is inflated."""
    content = zipped({"a.csv": _ROWS})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        packed = archive.getinfo("a.csv").compress_size
    at = content.rindex(b"PK\x01\x02")
    return content[:at] + content[at:].replace(packed.to_bytes(4, "little"), _SIZE.to_bytes(4, "little"), 1)


_BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "gzip": lambda: gzip.compress(_ROWS),
    "gzips in a row": lambda: gzip.compress(_ROWS[: _SIZE // 10]) * 10,
    "zip": lambda: zipped({"a.csv": _ROWS}),
    "zip that lies": _zip_that_lies,
    "xlsx": lambda: xlsx(_HEADER + " " * _SIZE),
    "ods": lambda: ods(" " * _SIZE),
}


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.mark.parametrize("door", _BOMBS)
async def test_a_file_that_inflates_too_much_is_refused(
    files: LocalFiles, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (source, workbook_parts):
        monkeypatch.setattr(module, "BOMB_FREE", 1_000_000)  # as without, in less time
    bomb = _BOMBS[door]()
    assert len(bomb) < _SIZE // 20
    error = await refusal(files, bomb)
    assert "compressed more than" in error or "cannot be read" in error


def test_nothing_else_inflates() -> None:
    found: dict[str, set[str]] = {}
    for package in (batchbus_events, batchbus_strategies, batchbus_service):
        assert package.__file__
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            module = ".".join([package.__name__, *path.relative_to(root).with_suffix("").parts])
            calls = {*_calls(ast.parse(path.read_text()))}
            if calls and ".testing." not in module:
                found[module] = calls
    assert found == _LIMITED


def _calls(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            writes = name.endswith(("compressobj", ".compress", "ZipInfo")) and "decompress" not in name
            if (name.partition(".")[0] in _INFLATING or name in _INFLATING) and not writes:
                found.add(name)
            if node.func.attr == "decompress":
                assert len(node.args) == 2, f"{ast.unparse(node)} has no limit"
    return found
