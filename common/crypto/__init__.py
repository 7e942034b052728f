"""The secure sum: exact integer sums under threshold BFV; nobody holds the key."""
