"""A release as a bundle: a manifest of hashes, signatures over it, and how all of it is verified offline."""
