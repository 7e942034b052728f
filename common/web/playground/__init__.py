"""Conditions in, synthetic records out: at once, from a released ``generator.onnx``."""

from .pages import add

__all__ = ["add"]
