"""Federations on one machine: the same ServerApp and ClientApp, the same encryption."""
