"""The synthetic records in Croissant 1.0 with its vocabulary for responsible AI: what data catalogues read.

Source: docs.mlcommons.org/croissant, specifications "Croissant Format 1.0" and "RAI 1.0".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..columns import CategoryColumn, Column
from ..schema import Schema, TableSchema
from .data_package import slug
from .manifest import File

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    schema: Schema,
    files: Iterable[File],
    *,
    version: str,
    made: str,
    licence: str | None,
    cite: str,
    responsible: dict[str, str],
) -> dict[str, Any]:
    """The metadata as JSON-ready content.

    files: of synthetic records; version: major.minor.patch; made: day, ISO; cite: how; responsible: fields
    of the RAI vocabulary, without prefix
    """
    listed = list(files)
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": slug(schema.name),
        "description": schema.description
        or "Synthetic records, drawn from a generator; no record is a person's.",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": version,
        "citeAs": cite,
        "datePublished": made,
        "keywords": ["synthetic"],
        "isLiveDataset": False,
        **({"license": licence} if licence else {}),
        **{f"rai:{name}": text for name, text in responsible.items()},
        "distribution": [_file(file) for file in listed],
    }
    tables = [file for file in listed if file.media == "text/csv"]
    if isinstance(schema, TableSchema) and tables:
        content["recordSet"] = [_records(schema, tables[0])]
    return content


def _file(file: File) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": file.media,
        "sha256": file.sha256,
    }


def _records(schema: TableSchema, file: File) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "field": [_field(column, file) for column in schema.columns],
    }


def _field(column: Column, file: File) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"records/{column.name}",
        "name": f"records/{column.name}",
        "description": _about(column),
        "dataType": _type(column),
        "source": {"fileObject": {"@id": file.path}, "extract": {"column": column.name}},
    }


def _type(column: Column) -> str:
    if isinstance(column, CategoryColumn):
        return "sc:Text" if isinstance(column.categories[0], str) else "sc:Integer"
    if column.kind == "date":
        return "sc:Date"
    return "sc:Integer" if column.decimals == 0 else "sc:Float"


def _about(column: Column) -> str:
    if isinstance(column, CategoryColumn):
        known = f"one of {len(column.categories)} categories"
    else:
        known = column.reach
    missing = "; may be missing" if column.missing else ""
    return f"{column.description}; {known}{missing}" if column.description else known + missing
