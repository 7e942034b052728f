"""Conditional generators and discriminators; no normalisation layers, so records never mix."""
