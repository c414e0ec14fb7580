"""Routes: which batch types there are, and files to fill in for them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from batchbus_service.http.operator.schemas import BatchType, BatchTypeList, Found, TemplateColumn, TemplateColumnList
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, ApiState
from batchbus_strategies.registry import RegistryEntry, Strategy
from batchbus_strategies.templates import xlsx_template

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-types", tags=["batch types"])

_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_Format = Annotated[Literal["csv", "xlsx"], Query()]


@router.get("", responses=answers(BatchTypeList))
async def list_types(api: ApiState, _caller: Reader) -> Response:
    """Every batch type that this process knows, which strategy serves it, and where that was found."""
    return BatchTypeList(batch_types=[_on_the_wire(entry) for entry in api.service.registry.entries]).response()


@router.get("/{type}/template", response_class=Response, responses=answers(media=("text/csv", _XLSX)))
async def template(type: str, api: ApiState, _caller: Reader, format: _Format = "csv") -> Response:
    """The file to fill in for a batch type; an XLSX explains its columns on a second sheet."""
    batch_type = segment(type)
    strategy = _strategy(api, batch_type)
    if format == "xlsx":
        offered = format in strategy.template_formats
        content = await xlsx_template(await api.service.executor.call(strategy.explain_columns)) if offered else None
    else:
        content = await api.service.executor.call(strategy.build_template)
    if content is None:
        raise not_found(f"There is no template for the type {batch_type}" + (" as XLSX" if format == "xlsx" else ""))
    headers = {"content-disposition": f'attachment; filename="{batch_type}-template.{format}"'}
    return Response(content, media_type=_XLSX if format == "xlsx" else "text/csv; charset=utf-8", headers=headers)


@router.get("/{type}/columns", responses=answers(TemplateColumnList))
async def columns(type: str, api: ApiState, _caller: Reader) -> Response:
    """The columns of the file to fill in, in words, each with an example."""
    batch_type = segment(type)
    found = await api.service.executor.call(_strategy(api, batch_type).explain_columns)
    if not found:
        raise not_found(f"The type {batch_type} does not explain its columns")
    explained = [TemplateColumn(name=each.name, says=each.says, example=each.example) for each in found]
    return TemplateColumnList(columns=explained).response()


def _strategy(api: Api, batch_type: str) -> Strategy:
    """Raises `ApiError` if there is none."""
    strategy = api.service.registry.get(batch_type)
    if strategy is None:
        raise not_found(f"Unable to find a BatchJob strategy with the type {batch_type[:100]}")
    return strategy


def _on_the_wire(entry: RegistryEntry) -> BatchType:
    return BatchType(
        type=entry.batch_type,
        identifier=entry.identifier,
        origin=entry.origin,
        overrides=[Found(identifier=other.identifier, origin=other.origin) for other in entry.overrides],
        context_schema=entry.strategy_class.context_model.model_json_schema(),
        file_fields=list(entry.strategy_class.file_fields),
    )
