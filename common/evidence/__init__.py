"""A release's evidence for people: a page, cards and statements, what it was made with; and JSON of it."""
