"""Routes: which batch types there are, and files to fill in for them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from batchbus_service.http.medusa.schemas import BatchType, BatchTypeList, Found
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import ApiState
from batchbus_strategies.registry import RegistryEntry

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-types", tags=["batch types"])


@router.get("", responses=answers(BatchTypeList))
async def list_types(api: ApiState, _caller: Reader) -> Response:
    """Every batch type that this process knows, which strategy serves it, and where that was found."""
    return BatchTypeList(batch_types=[_on_the_wire(entry) for entry in api.service.registry.entries]).response()


@router.get("/{type}/template", response_class=Response, responses=answers(media="text/csv"))
async def template(type: str, api: ApiState, _caller: Reader) -> Response:
    """The file to fill in for a batch type."""
    batch_type = segment(type)
    strategy = api.service.registry.get(batch_type)
    if strategy is None:
        raise not_found(f"Unable to find a BatchJob strategy with the type {batch_type[:100]}")
    content = await api.service.executor.call(strategy.build_template)
    if content is None:
        raise not_found(f"There is no template for the type {batch_type}")
    headers = {"content-disposition": f'attachment; filename="{batch_type}-template.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


def _on_the_wire(entry: RegistryEntry) -> BatchType:
    return BatchType(
        type=entry.batch_type,
        identifier=entry.identifier,
        origin=entry.origin,
        overrides=[Found(identifier=other.identifier, origin=other.origin) for other in entry.overrides],
        context_schema=entry.strategy_class.context_model.model_json_schema(),
        file_fields=list(entry.strategy_class.file_fields),
    )
