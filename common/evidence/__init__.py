"""A release's evidence for people: one page, and the same numbers as JSON."""
