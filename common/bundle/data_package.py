"""The synthetic records as a Frictionless Data Package: what is in which file, with which types and bounds.

Source: Data Package 2.0 and Table Schema 2.0 (datapackage.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..columns import CategoryColumn, Column, iso_date
from ..schema import Schema, TableSchema
from .manifest import File


def data_package(
    schema: Schema, files: Iterable[File], *, version: str, made: str, licence: str | None
) -> dict[str, Any]:
    """The descriptor as JSON-ready content.

    files: of synthetic records; version: major.minor.patch; made: day, ISO; licence: a name
    """
    package: dict[str, Any] = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": slug(schema.name),
        "title": f"Synthetic records: {schema.name}",
        "description": schema.description
        or "Synthetic records, drawn from a generator; no record is a person's.",
        "version": version,
        "created": f"{made}T00:00:00Z",
        "keywords": ["synthetic"],
        "resources": [_resource(schema, file) for file in files],
    }
    if licence:
        package["licenses"] = [{"name": slug(licence), "title": licence}]
    return package


def slug(name: str) -> str:
    """A name of lower-case letters, digits, ``-``, ``_`` and ``.``, as these formats want it."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "records"


def _resource(schema: Schema, file: File) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": slug(file.path.removeprefix("synthetic/").replace("/", "-")),
        "path": file.path,
        "format": file.path.rpartition(".")[2],
        "mediatype": file.media,
        "bytes": file.size,
        "hash": f"sha256:{file.sha256}",
    }
    if isinstance(schema, TableSchema) and file.media == "text/csv":
        fields = [_field(column) for column in schema.columns]
        resource |= {
            "type": "table",
            "encoding": "utf-8",
            "schema": {"fields": fields, "missingValues": [""]},
        }
    return resource


def _field(column: Column) -> dict[str, Any]:
    field: dict[str, Any] = {"name": column.name, "constraints": {"required": not column.missing}}
    if column.description:
        field["description"] = column.description
    if isinstance(column, CategoryColumn):
        field["type"] = "string" if isinstance(column.categories[0], str) else "integer"
        field["constraints"]["enum"] = list(column.categories)
        if column.ordered:
            field |= {"categories": list(column.categories), "categoriesOrdered": True}
        return field
    low, high = column.bounds
    if column.kind == "date":
        field["type"] = "date"
        field["constraints"] |= {"minimum": iso_date(low), "maximum": iso_date(high)}
        return field
    whole = column.decimals == 0
    field["type"] = "integer" if whole else "number"
    field["constraints"] |= {"minimum": int(low) if whole else low, "maximum": int(high) if whole else high}
    if column.unit:
        field["unit"] = column.unit
    return field
