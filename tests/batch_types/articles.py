"""A batch type that imports a declared record: articles, by number."""

from typing import Annotated

from batchbus_strategies.records import Column, Key, Record, RecordImport


class Article(Record, collection="articles"):
    number: Annotated[str, Key("Number")]
    name: Annotated[str, Column("Name")]
    price: Annotated[int | None, Column("Price", currency="EUR")] = None
    """In cents."""


class ArticleImport(RecordImport[Article]):
    batch_type = "article-import"
