"""The portable generator of a bundle, if there is one: that it says it belongs to this plan and schema."""

from __future__ import annotations

import importlib.util
import json
from typing import Any, Literal

from ..errors import DamagedGeneratorError, DisagreementError
from .bundle import Bundle

ONNX = "generator.onnx"
_LIMIT = 1 << 31

Found = Literal["absent", "not looked at", "agrees"]


def check_onnx(bundle: Bundle) -> Found:
    """``not looked at`` where neither onnx nor onnxruntime is installed.

    Raises DamagedGeneratorError or DisagreementError.
    """
    if not bundle.has(ONNX):
        return "absent"
    if not any(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        return "not looked at"
    said = _metadata(bundle.read(ONNX, _LIMIT))
    if (said.get("plan"), said.get("schema_hash")) != (bundle.manifest.plan, bundle.manifest.schema_hash):
        raise DisagreementError(f"{ONNX} is of another plan or schema")
    return "agrees"


def _metadata(raw: bytes) -> dict[str, Any]:
    """Plan and schema as the file's metadata say them, where every value is JSON."""
    try:
        said = _properties(raw)
        return {key: json.loads(said[key]) for key in ("plan", "schema_hash") if key in said}
    except Exception as error:  # protobuf and the runtime have no common error
        raise DamagedGeneratorError(f"{ONNX} cannot be read") from error


def _properties(raw: bytes) -> dict[str, str]:
    if importlib.util.find_spec("onnx"):
        from onnx import load_model_from_string

        return {entry.key: entry.value for entry in load_model_from_string(raw).metadata_props}
    from onnxruntime import InferenceSession

    session = InferenceSession(raw, providers=["CPUExecutionProvider"])
    return dict(session.get_modelmeta().custom_metadata_map)
