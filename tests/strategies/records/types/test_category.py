"""Categories that have an id column and a handle, a parent, pictures and a unique rank."""

from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Numbered, Part, Record, RecordExport, RecordImport, Reference
from batchbus_strategies.testing import RecordContract


class Picture(Part):
    url: Annotated[str, Column("Picture <n>")]
    text: Annotated[str | None, Column("Picture <n> Text")] = None


class Category(Record, collection="categories", id_prefix="cat_", id_column="Id"):
    handle: Annotated[str, Key("Handle"), Field(examples=["garden"])]
    title: Annotated[str, Column("Title")]
    parent: Annotated[str | None, Reference("categories", by="handle", column="Parent")] = None
    rank: Annotated[int | None, Column("Rank", unique=True)] = None
    active: Annotated[bool, Column("Active")] = True
    tags: Annotated[list[str], Column("Tags")] = Field(default_factory=list)
    pictures: Annotated[list[Picture], Numbered()] = Field(default_factory=list)


class CategoryImport(RecordImport[Category]):
    batch_type = "category-import"


class CategoryExport(RecordExport[Category]):
    batch_type = "category-export"


class TestCategories(RecordContract):
    import_type, export_type = CategoryImport, CategoryExport
    content = (
        'Id,Handle,Title,Parent,Rank,Tags,Picture 1\n,a,"A; ""a""",home,1,"x,y",u\n,b,B,,2,,\ncat_home,house,,,3,,\n'
    )
    wrong = ",d,D,,1,,"
    mended = ",d,D,,4,,"

    async def furnish(self) -> None:
        await self.catalog["categories"].insert_one({"_id": "cat_home", "handle": "home", "title": "Home"})
