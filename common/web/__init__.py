"""What both dashboards stand on: a page on this machine alone, for whoever holds its one-time link."""
