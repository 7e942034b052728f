"""Records that do not fit the schema, or the plan."""

from __future__ import annotations

from .base import FedcganError


class DataError(FedcganError):
    """Records that do not fit the schema."""

    code = "data"
    exit_code = 3


class ColumnError(DataError):
    """A column is missing, extra or of another type."""

    code = "data-columns"


class ValueNotAllowedError(DataError):
    """A value outside its declared bounds or categories."""

    code = "data-value"


class MissingValueError(DataError):
    """A missing value where the schema allows none."""

    code = "data-missing"


class ConstraintError(DataError):
    """A record in which something the schema says of several columns does not hold."""

    code = "data-constraint"


class UnreadableFileError(DataError):
    """A file of records that is damaged, cut off or of another format."""

    code = "data-file"


class ShapeError(DataError):
    """An image or signal of another size, other channels or another number type than the schema says."""

    code = "data-shape"


class SamplingRateError(DataError):
    """A signal sampled at another rate, or in another unit, than the schema says."""

    code = "data-sampling-rate"


class IdentifiedError(DataError):
    """A file that carries somebody's identity beside the record."""

    code = "data-identified"


class EmptyClassError(DataError):
    """A declared condition of which there is no record."""

    code = "data-empty-class"


class TooFewRecordsError(DataError):
    """A site holds fewer records than the plan needs."""

    code = "data-too-few"


class TooManyRecordsError(DataError):
    """A site holds more records than the plan's headroom was chosen for."""

    code = "data-too-many"


class RecordsChangedError(DataError):
    """Other records are held out of training than when a run began."""

    code = "data-changed"
