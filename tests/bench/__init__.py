"""Measurements that need the secure sum taken out: never part of the product, nor of a test run."""
