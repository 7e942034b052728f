"""Conditions in, synthetic records out: at once, from a released ``generator.onnx``."""

from .pages import add, address

__all__ = ["add", "address"]
