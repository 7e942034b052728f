"""Systems that make synthetic tables, measured side by side: each in its own process and environment."""
