"""Draw records from a released ``generator.onnx``. Needs numpy and ONNX Runtime only.

``load(path)`` reads a generator, ``sample(...)`` draws a table. Also shipped alone, as ``fedcgan-sample``.
"""
