"""What is in an ONNX file, read before a runtime does: operators that generators have, tensors in the file.

Without it, a foreign file could have other files read into its output, or loop for ever.

An ONNX file is a protobuf message; field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

OPERATORS = frozenset(
    [
        "Add",
        "Concat",
        "Conv",
        "Gather",
        "Gemm",
        "Identity",
        "LeakyRelu",
        "MatMul",
        "Mul",
        "ReduceSum",
        "Reshape",
        "Softmax",
        "Split",
        "Sub",
        "Tanh",
    ]
)
"""Of the graphs that are released."""

_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of NodeProto
_NUMBERS = {1, 2, 3, 4, 7, 8, 13, 20, 21}  # of AttributeProto: a name, a number, a text, or lists of them
_EXTERNAL, _LOCATION = 13, 14  # of TensorProto
_MOST_NODES = 1 << 16


def check_form(raw: bytes) -> None:
    """Raise ValueError unless the file is a graph as this program writes them."""
    view = memoryview(raw)
    fields = list(_fields(view))
    graphs = [value for number, value in fields if number == _GRAPH]
    if len(graphs) != 1 or any(number in (_TRAINING, _FUNCTIONS) for number, _ in fields):
        raise ValueError("not one graph")
    nodes = 0
    for number, value in _fields(graphs[0]):
        if number == _NODE:
            _check_node(value)
            nodes += 1
        elif number == _INITIALIZER:
            if any(field in (_EXTERNAL, _LOCATION) for field, _ in _fields(value)):
                raise ValueError("a tensor outside the file")
        elif number == _SPARSE or nodes > _MOST_NODES:
            raise ValueError("a graph of another kind")


def _check_node(node: memoryview) -> None:
    for number, value in _fields(node):
        if number == _OPERATOR and bytes(value).decode() not in OPERATORS:
            raise ValueError("an operator that no generator has")
        if number == _DOMAIN and len(value):
            raise ValueError("an operator of somebody's own")
        if number == _ATTRIBUTE and any(field not in _NUMBERS for field, _ in _fields(value)):
            raise ValueError("an attribute that is a tensor or a graph")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field; an empty content for numbers. Raises ValueError if it is cut off."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key >= 1 << 32:
            raise ValueError("no protobuf")
        kind, content = key & 7, message[:0]
        if kind == 0:
            _, place = _varint(message, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        elif kind == 2:
            length, place = _varint(message, place)
            content, place = message[place : place + length], place + length
        else:
            raise ValueError("no protobuf")
        if place > len(message):
            raise ValueError("cut off")
        yield key >> 3, content


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number and where it ends."""
    found = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("cut off")
        byte = message[place]
        place += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, place
    raise ValueError("no protobuf")
