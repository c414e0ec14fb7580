"""The one way for a document that cannot be read: it is named in the log once, left out of lists, and never hidden.

Another version of batchbus may have written it, or somebody by hand. It is left alone, for those who can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import structlog

from batchbus_service.domain.errors import UnreadableDocument
from batchbus_service.storage.mongo.driver import Stored

__all__ = ["Make", "read", "readable"]

T = TypeVar("T")
Make = Callable[[Stored], T]

_MOST_NAMED: Final = 1000
"""After a step back to an older version, there may be as many as there are jobs."""
_named: Final[set[str]] = set()
"""Documents that the log of this process has named already."""


def read(what: str, document: Stored, make: Make[T]) -> T:
    """What `make` makes of the document. `what`: what it is a document of, for people.

    Raises `UnreadableDocument` if `make` finds that something is missing in it or of another form.
    """
    try:
        return make(document)
    except UnreadableDocument as error:
        _name_once(error)
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        unreadable = UnreadableDocument(what, str(document.get("_id")), f"{type(error).__name__}: {error}")
        _name_once(unreadable)
        raise unreadable from error


def readable(what: str, documents: Iterable[Stored], make: Make[T]) -> Iterator[T]:
    """As `read`, for many: those that cannot be read are left out, so that none keeps all others from going on."""
    for document in documents:
        try:
            yield read(what, document, make)
        except UnreadableDocument:
            continue  # the log names it


def _name_once(error: UnreadableDocument) -> None:
    if str(error) in _named or len(_named) >= _MOST_NAMED:
        return
    _named.add(str(error))
    log = structlog.get_logger("batchbus")
    log.error("document_not_readable", document_id=error.document_id, reason=str(error))
    if len(_named) == _MOST_NAMED:
        log.error("more_documents_may_not_be_readable", reason=f"{_MOST_NAMED:,} are named above, and no more will be")
