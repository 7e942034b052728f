"""Schemas that ship with the project."""
