"""The agreed, public description of what sites hold. It is declared by people, never fitted to records.

Because nothing in it is measured, it costs no privacy; because it fixes categories, bins, sizes and units,
every site encodes a record in the same way.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .columns import CategoryColumn, Column, Real, Whole
from .constraints import MOST_CONSTRAINTS, Constraint, check_constraints
from .errors import SchemaError, SchemaVersionError, UnknownConditionError
from .privacy.mechanism import Unit
from .toml_file import first_hint, first_problem, read_content

VERSION: Literal[1] = 1
"""Of the form that schemas are written in."""

SCHEMA_LIMIT = 1 << 20
"""Bytes of a schema, as JSON or TOML."""

MOST_CODES = 1 << 15
"""Codes of all columns together, cells of numbers included; what is counted by pairs are their groups."""

MOST_CLASSES = 256
"""Values of a label of images or signals."""

MOST_VALUES = 1 << 17
"""Values of one image or signal, all channels together."""

_LARGEST_BOUND, _LEAST_WIDTH = 1e30, 1e-6  # of a channel's values, which are float32; width: relative
_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Schema(BaseModel):
    """What all kinds of schema share: a name, conditions, and whose record it is.

    version: of this form; subject: a column that says whose record it is (never modelled, never sent)
    """

    model_config = _MODEL
    version: Literal[1] = VERSION
    name: str
    description: str = ""
    subject: str | None = None

    @property
    def conditions(self) -> list[CategoryColumn]:
        """The columns the generator takes as inputs."""
        raise NotImplementedError

    @property
    def nobodys(self) -> Self:
        """The same of generated records, which have no subject."""
        return self.model_copy(update={"subject": None})

    @property
    def unit(self) -> Unit:
        """Whom a plan for this schema protects: the subject if it names one, else the single record."""
        return "add/remove one subject" if self.subject else "add/remove one record"

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON form."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def condition_codes(self, wanted: dict[str, str]) -> dict[str, int]:
        """The codes of conditions given by name and value. Raises UnknownConditionError."""
        allowed = {c.name: [str(v) for v in c.categories] for c in self.conditions}
        codes = {}
        for name, value in wanted.items():
            if name not in allowed:
                raise UnknownConditionError(
                    f"{name!r} is not a condition of this generator",
                    hint="conditions are: " + ", ".join(allowed),
                )
            if value not in allowed[name]:
                raise UnknownConditionError(
                    f"{name} has no value {value!r}",
                    hint=f"allowed values of {name}: " + ", ".join(allowed[name]),
                )
            codes[name] = allowed[name].index(value)
        return codes

    @staticmethod
    def load(path: Path) -> Schema:
        """Read a TOML schema; its ``kind`` says of what, a table if there is none.

        Raises SchemaError, SchemaVersionError.
        """
        content = read_content(path, SchemaError, SCHEMA_LIMIT)
        try:
            return of_kind(content)
        except ValidationError as error:
            raise SchemaError(f"{path}: {first_problem(error)}", hint=first_hint(error)) from error

    @staticmethod
    def from_json(raw: bytes) -> Schema:
        """Read the canonical JSON form. Raises SchemaError, SchemaVersionError."""
        if len(raw) > SCHEMA_LIMIT:
            raise SchemaError(f"a schema of {len(raw)} bytes, at most {SCHEMA_LIMIT} are allowed")
        try:
            kind = _kind_of(json.loads(raw))
            return kind.model_validate_json(raw)
        except ValidationError as error:
            raise SchemaError(f"this is not a schema: {first_problem(error)}") from error
        except (ValueError, RecursionError) as error:
            raise SchemaError("this is not a schema: no JSON") from error

    def to_toml(self) -> str:
        """The schema as TOML, without what equals its default."""
        return tomli_w.dumps(self._content())

    def _content(self) -> dict[str, Any]:
        return {"version": VERSION, **self.model_dump(mode="json", exclude_defaults=True)}


class TableSchema(Schema):
    """A table: its columns in order, and what holds between them in every record.

    subject: a column outside ``columns``
    """

    kind: Literal["table"] = "table"
    columns: tuple[Column, ...] = Field(min_length=2)
    constraints: tuple[Constraint, ...] = Field(default=(), max_length=MOST_CONSTRAINTS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names) or self.subject in names:
            raise ValueError("column names must differ, and differ from the subject")
        if not self.conditions:
            raise ValueError("at least one category column must have condition = true")
        if len(self.conditions) == len(self.columns):
            raise ValueError("at least one column must not be a condition")
        if sum(self.sizes) > MOST_CODES:
            raise ValueError(f"the columns have {sum(self.sizes)} codes together, at most {MOST_CODES} fit")
        check_constraints(self.constraints, {column.name: column for column in self.columns})
        return self

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def conditions(self) -> list[CategoryColumn]:
        """The columns the generator takes as inputs."""
        return [c for c in self.columns if isinstance(c, CategoryColumn) and c.condition]

    @property
    def sizes(self) -> list[int]:
        """Codes of each column, as records are encoded."""
        return [column.size for column in self.columns]

    @property
    def groups(self) -> list[int]:
        """Codes the models have room for, of each column; fewer where bins or categories are left open."""
        return [column.groups for column in self.columns]

    def _content(self) -> dict[str, Any]:
        content = super()._content()
        for column, model in zip(content["columns"], self.columns, strict=True):
            column["kind"] = model.kind
            for key in ("cuts", "atoms"):  # pydantic keeps defaults of fields that it is told how to write
                if not column.get(key, True):
                    del column[key]
            if model.kind == "date":
                del column["decimals"]
        for written, constraint in zip(content.get("constraints", []), self.constraints, strict=True):
            written["kind"] = constraint.kind
        return content


class ArraySchema(Schema):
    """Records of one size and one class each: images or signals.

    label: the class, the generator's condition; subject: beside the label in a CSV, an npz or a Parquet file
    """

    label: CategoryColumn

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.label.missing or self.label.keep is not None:
            raise ValueError("the label cannot be missing or grouped: it is the condition")
        if self.subject == self.label.name:
            raise ValueError("label and subject must differ")
        if self.label.size > MOST_CLASSES:
            raise ValueError(f"a label has at most {MOST_CLASSES} values")
        return self

    @property
    def conditions(self) -> list[CategoryColumn]:
        """The label."""
        return [self.label]

    @property
    def classes(self) -> int:
        """Values of the label."""
        return self.label.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a record: channels, then height and width, or the length."""
        raise NotImplementedError


class ImageSchema(ArraySchema):
    """Square images of 8 bits a value.

    size: height and width in pixels; channels: 1 (grey) or 3 (red, green, blue)
    """

    kind: Literal["image"]
    size: Whole = Field(ge=28, le=128, multiple_of=4)
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.size, self.size


class Channel(BaseModel):
    """One channel of a signal. bounds: smallest and largest allowed value, in ``unit``."""

    model_config = _MODEL
    name: str = Field(min_length=1)
    unit: str
    bounds: tuple[Real, Real]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"channel {self.name}: bounds must ascend")
        largest, apart = max(map(abs, self.bounds)), self.bounds[1] - self.bounds[0]
        if largest > _LARGEST_BOUND or apart < max(1 / _LARGEST_BOUND, _LEAST_WIDTH * largest):
            raise ValueError(f"channel {self.name}: bounds that float32 cannot tell apart, or hold")
        return self


class SignalSchema(ArraySchema):
    """Signals of one length. sampling_rate: in Hz; length: samples of each channel."""

    kind: Literal["signal"]
    sampling_rate: Real = Field(gt=0)
    length: Whole = Field(ge=16, le=65536)
    channels: tuple[Channel, ...] = Field(min_length=1, max_length=12)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("channel names must differ")
        if {self.label.name, self.subject} & set(names):
            raise ValueError("a channel cannot have the name of the label or the subject")
        if len(names) * self.length > MOST_VALUES:
            raise ValueError(f"a signal has at most {MOST_VALUES} values in all channels")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Channels, length."""
        return len(self.channels), self.length


_KINDS: dict[str, type[TableSchema | ImageSchema | SignalSchema]] = {
    "table": TableSchema,
    "image": ImageSchema,
    "signal": SignalSchema,
}


def _kind_of(content: Any) -> type[Schema]:
    kind = content.get("kind", "table") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        kinds = ", ".join(_KINDS)
        raise SchemaError(f"this is not a schema: kinds are {kinds}", hint='e.g. kind = "table"')
    version = content.get("version", VERSION)
    if version != VERSION:
        raise SchemaVersionError(
            f"a schema of version {version!r:.20}, this program reads version {VERSION}",
            hint="use the program it was made for, or write the schema anew",
        )
    return _KINDS[kind]


def of_kind(content: Any) -> Schema:
    """The schema of parsed TOML or JSON. Raises SchemaError or pydantic's ValidationError."""
    return _kind_of(content).model_validate(content)
