"""What both sides must agree on: words, guarantees, the wire. Imports neither side."""
