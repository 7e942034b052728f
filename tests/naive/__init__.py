"""The whole secure sum once more, in Python integers, written to be read beside ``docs/protocol.md``.

Nothing here is fast, nothing here is shared with the package: no numpy, no TenSEAL, none of its modules.
Read it in this order: ``ring``, ``batching``, ``packing``, ``streams``, ``keys``, ``cipher``, ``masks``,
``tags``, ``boxes``, ``frames``, ``noise``, ``proof``; ``federation`` plays a whole run from one seed,
and ``wire`` offers all of it as functions from bytes to bytes.

A polynomial is a list of rows, one for each prime, in NTT form. A ciphertext is a list of chunks
``[c0, c1]``; a half (c1 of a sum, a mask, a partial decryption) is a list of polynomials.
"""
