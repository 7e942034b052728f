"""A table's schema as SDV metadata, version V1: what users of that library have as input. Written by hand:
SDV itself is not open source and is never imported.

Source: SDV's documentation, "Metadata JSON"; keys ``METADATA_SPEC_VERSION``, ``tables``, ``relationships``.
"""

from __future__ import annotations

from typing import Any

from ..columns import CategoryColumn, Column
from ..schema import TableSchema


def sdv_metadata(schema: TableSchema) -> dict[str, Any]:
    """The metadata as JSON-ready content; one table, named like the schema."""
    columns = {column.name: _column(column) for column in schema.columns}
    return {"METADATA_SPEC_VERSION": "V1", "tables": {schema.name: {"columns": columns}}, "relationships": []}


def _column(column: Column) -> dict[str, Any]:
    if isinstance(column, CategoryColumn):
        order = {"order": list(column.categories)} if column.ordered else {}
        return {"sdtype": "categorical", **order}
    if column.kind == "date":
        return {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"}
    return {"sdtype": "numerical", "computer_representation": "Int64" if column.decimals == 0 else "Float"}
