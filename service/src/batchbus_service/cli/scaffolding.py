"""Command: new. Writes a declared record to begin with, and its test."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer
from rich.markup import escape

from batchbus_service.cli.output import out
from batchbus_service.cli.refusals import Refusal

__all__ = ["new"]

_STRATEGY: Final = Template('''"""The batch types `$batch_type` and `$export_type`: a $words, declared once."""

from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Record, RecordExport, RecordImport


class $record(Record, collection="$collection", id_prefix="$prefix"):
    """What a $words has, and the columns of its files."""

    code: Annotated[str, Key("Code"), Field(examples=["A-1"])]
    name: Annotated[str, Column("Name"), Field(max_length=200, examples=["First"])]
    count: Annotated[int | None, Column("Count"), Field(ge=0, examples=["10"])] = None


class ${record}Import(RecordImport[$record]):
    """Creates and updates what a file names by its code."""

    batch_type = "$batch_type"


class ${record}Export(RecordExport[$record]):
    """Exports all of it, as a file that can be imported again."""

    batch_type = "$export_type"
''')
_TEST: Final = Template('''"""`$batch_type` keeps what every import of a record promises."""

from $module import ${record}Export, ${record}Import

from batchbus_strategies.testing import RecordContract


class Test$record(RecordContract):
    import_type, export_type = ${record}Import, ${record}Export
    content = "Code,Name,Count\\nA-1,First,1\\nA-2,Second,\\nA-3,Third,3\\n"
    wrong = "A-4,Fourth,many"
    mended = "A-4,Fourth,4"

    async def furnish(self) -> None:
        await self.catalog["$collection"].insert_one({"_id": "${prefix}3", "code": "A-3", "name": "Old", "count": 3})
''')
_TAKEN: Final = frozenset({"Annotated", "Column", "Field", "Key", "Record"})
"""Names that the file imports."""


def new(
    type: Annotated[str, typer.Argument(help="The batch type, such as supplier-import.")],
    tests: Annotated[
        Path, typer.Option(metavar="FOLDER", file_okay=False, help="Where its test is written to.")
    ] = Path("tests"),
) -> None:
    """Write an import to begin with into the folder of strategies, and its test."""
    from batchbus_events.topics import BATCH_TYPE
    from batchbus_service.domain.errors import BadSettings
    from batchbus_service.domain.settings import Settings

    if not BATCH_TYPE.fullmatch(type):
        raise Refusal(f"{type} cannot be a batch type", "It has lower-case letters, digits and hyphens, at most 63.")
    try:
        folder = Settings.load().strategies_dir or Path("strategies.d")
    except BadSettings as error:
        raise Refusal(str(error)) from error
    names = _names(type)
    strategy, test = folder / f"{names['module']}.py", tests / f"test_{names['module']}.py"
    for path in (strategy, test):
        if path.exists():
            raise Refusal(
                f"{path} is there already", "Nothing was written. Choose another name, or move the file away."
            )
    for path, content in ((strategy, _STRATEGY), (test, _TEST)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content.substitute(names))
        out().print(f"Wrote {escape(str(path))}")
    out().print(f"Its test: pytest -o asyncio_mode=auto -o pythonpath={escape(str(folder))} {escape(str(test))}")


def _names(batch_type: str) -> dict[str, str]:
    """What the files call things, for a batch type such as `spare-part-import`."""
    base = batch_type.removesuffix("-import")
    words = [word for word in base.split("-") if word]
    record = "".join(word.capitalize() for word in words)
    if not record.isidentifier() or keyword.iskeyword(record) or record in _TAKEN:
        record = f"A{record}"
    module = batch_type.replace("-", "_")
    if not module.isidentifier() or keyword.iskeyword(module) or module in sys.stdlib_module_names:
        module = f"{module}_type" if module[0].isalpha() else f"type_{module}"
    return {
        "batch_type": batch_type,
        "export_type": f"{base[:56]}-export",
        "words": " ".join(words),
        "record": record,
        "module": module,
        "collection": "_".join(words) + ("" if base.endswith("s") else "s"),
        "prefix": f"{words[0][:4]}_",
    }
