"""Privacy as arithmetic: mechanisms are data, the ledger is a file, a receipt is needed to send.

Everywhere: add/remove adjacency, the unit is one record, Poisson sampling.
"""
