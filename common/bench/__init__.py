"""Measurements anyone can repeat. Not part of a run: here, and only here, one process plays all parties."""
