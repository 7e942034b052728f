"""The only reader of records."""

from __future__ import annotations

from pathlib import Path

from common.errors import TooFewRecordsError, TooManyRecordsError
from common.modalities.tabular import Codes, encode
from common.plan import Plan
from common.schema import Schema
from common.tables import read_table


def load_records(path: Path, schema: Schema, plan: Plan) -> Codes:
    """A site's records as codes, ``int64[records, columns]``.

    Raises DataError's kinds; TooFew- and TooManyRecordsError do not say how many.
    """
    codes = encode(read_table(path, schema), schema)
    if len(codes) < plan.min_records:
        raise TooFewRecordsError(
            f"the site holds fewer than the {plan.min_records} records this plan needs",
            hint="join a plan with a smaller min_records, or bring more records",
        )
    if len(codes) > plan.max_records:
        raise TooManyRecordsError(
            f"the site holds more than the {plan.max_records} records this plan has room for",
            hint="join a plan with a larger max_records, or bring fewer records",
        )
    return codes
