"""How good synthetic records are, measured on real ones: only where the real ones may be seen."""
