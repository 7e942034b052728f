"""Generators as ONNX graphs, node by node: no tracing, and only operators that every runtime has.

B batch. Tables: points and condition codes to probabilities; images and signals: noise and labels to values.
Every graph is compared with its network before it is written (``onnx_export``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.functional import interpolate

from common.errors import ExportError
from common.models.array_generator import ArrayGenerator
from common.models.arrays import ConvolutionalGenerator
from common.models.film import FilmTrunk, ImageFilm, SignalFilm
from common.models.tabular import Generator

_OPSET, _IR = 17, 8  # of 2022: older runtimes read it, too
_SLOPE = 0.2


class _Graph:
    """Nodes in the order they are added; a value is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | torch.Tensor) -> str:
        """A tensor that is part of the file."""
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; returns the name of its output, or a list of them."""
        names = [f"n{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, value: str, layer: nn.Linear) -> str:
        """[B, in] to [B, out]."""
        bias = [self.constant(layer.bias)] if _biased(layer) else []
        return str(self.add("Gemm", value, self.constant(layer.weight), *bias, transB=1))

    def looked_up(self, codes: str, layer: nn.Linear) -> str:
        """A layer on one-hot codes, int64[B, n] with offsets: the sum of some columns, [B, out]."""
        rows = self.add("Gather", self.constant(layer.weight.T), codes, axis=0)
        found = self.add("ReduceSum", rows, self.constant(np.array([1])), keepdims=0)
        return str(self.add("Add", found, self.constant(layer.bias)) if _biased(layer) else found)

    def film(self, value: str, codes: str, layers: nn.ModuleList, films: nn.ModuleList) -> str:
        """Hidden layers that conditions scale and shift."""
        one = self.constant(np.ones((), np.float32))
        for layer, film in zip(layers, films, strict=True):
            assert isinstance(layer, nn.Linear)
            assert isinstance(film, nn.Linear)
            sizes = self.constant(np.full(2, layer.out_features))
            scale, shift = self.add("Split", self.looked_up(codes, film), sizes, outputs=2, axis=1)
            scaled = self.add("Mul", self.linear(value, layer), self.add("Add", scale, one))
            value = self.add("LeakyRelu", self.add("Add", scaled, shift), alpha=_SLOPE)
        return value

    def reshaped(self, value: str, *shape: int) -> str:
        """[B, *shape]."""
        return str(self.add("Reshape", value, self.constant(np.array([-1, *shape]))))

    def model(self, inputs: Sequence[Any], outputs: dict[str, tuple[str, Sequence[int]]]) -> onnx.ModelProto:
        """The whole. outputs: by name, the value and its shape without the batch."""
        renamed = [helper.make_node("Identity", [value], [name]) for name, (value, _) in outputs.items()]
        shapes = [_float(name, *shape) for name, (_, shape) in outputs.items()]
        graph = helper.make_graph(
            [*self._nodes, *renamed], "fedcgan", list(inputs), shapes, initializer=self._constants
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR, producer_name="fedcgan")
        onnx.checker.check_model(model)
        return model


def table_model(
    generator: Generator,
    widths: Sequence[int],
    conditions: Sequence[int],
    groups: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> onnx.ModelProto:
    """latent int64[B], conditions int64[B, n] to ``groups`` and ``codes``, a distribution for each column.

    widths: groups of each generated column; conditions: values of each; groups: of each code of the generated
    columns, counted through all of them; shares: of its group
    """
    graph = _Graph()
    offsets = np.concatenate([[0], np.cumsum(conditions)[:-1]]).astype(np.int64)
    codes = graph.add("Add", "conditions", graph.constant(offsets))
    noise = graph.add("Gather", graph.constant(generator.latents), "latent", axis=0)
    hidden = graph.film(noise, codes, generator.hidden, generator.film)
    direct = graph.add("Add", graph.linear(hidden, generator.output), graph.looked_up(codes, generator.prior))
    logits = graph.add("Add", direct, graph.linear(noise, generator.linear))
    parts = graph.add("Split", logits, graph.constant(np.array(widths)), outputs=len(widths), axis=1)
    columns = [parts] if len(widths) == 1 else parts
    chances = graph.add("Concat", *(graph.add("Softmax", part, axis=1) for part in columns), axis=1)
    picked = graph.add("Gather", chances, graph.constant(groups), axis=1)
    shared = graph.add("Mul", picked, graph.constant(shares.astype(np.float32)))
    inputs = [_whole("latent"), _whole("conditions", len(conditions))]
    return graph.model(inputs, {"groups": (chances, [sum(widths)]), "codes": (shared, [len(groups)])})


def array_model(generator: ArrayGenerator, shape: Sequence[int], classes: int) -> onnx.ModelProto:
    """noise float32[B, Z], label int64[B] to ``values`` float32[B, channels, ...] between -1 and 1."""
    graph = _Graph()
    label = graph.reshaped("label", 1)
    if isinstance(generator, ConvolutionalGenerator):
        values = _convolutional(graph, generator, label)
    elif isinstance(generator, ImageFilm):
        values = _image_film(graph, generator, label, classes)
    elif isinstance(generator, SignalFilm):
        values = _signal_film(graph, generator, label)
    else:
        raise ExportError(f"a {type(generator).__name__} has no form in ONNX")
    inputs = [_float("noise", generator.latent), _whole("label")]
    return graph.model(inputs, {"values": (graph.reshaped(values, *shape), shape)})


def _trunk(graph: _Graph, trunk: FilmTrunk, label: str) -> str:
    hidden = graph.film("noise", label, trunk.hidden, trunk.film)
    return str(graph.add("Add", graph.linear(hidden, trunk.output), graph.looked_up(label, trunk.label)))


def _image_film(graph: _Graph, generator: ImageFilm, label: str, classes: int) -> str:
    one_hot = graph.reshaped(
        graph.add("Gather", graph.constant(np.eye(classes, dtype=np.float32)), label), classes, 1
    )
    noise = graph.reshaped("noise", 1, generator.latent)
    beside = graph.reshaped(graph.add("Mul", one_hot, noise), classes * generator.latent)
    start = graph.add("Add", graph.looked_up(label, generator.mean), graph.linear(beside, generator.factor))
    smooth = graph.add("MatMul", start, graph.constant(generator.get_buffer("_inverse")))
    rest = _trunk(graph, generator.trunk, label)
    plane, shape = generator.plane, generator.shape
    if plane != shape:
        rows, columns = (_bilinear(a, b) for a, b in zip(plane[1:], shape[1:], strict=True))
        enlarged = graph.add("MatMul", graph.constant(rows), graph.reshaped(rest, *plane))
        rest = graph.add("MatMul", enlarged, graph.constant(columns.T))
    rest = graph.reshaped(rest, int(np.prod(shape)))
    two, one = (graph.constant(np.array(value, np.float32)) for value in (2.0, 1.0))
    return str(
        graph.add("Tanh", graph.add("Add", graph.add("Sub", smooth, one), graph.add("Mul", rest, two)))
    )


def _signal_film(graph: _Graph, generator: SignalFilm, label: str) -> str:
    waves = generator.get_buffer("_waves")
    channels = generator.trunk.output.out_features // len(waves)
    spectrum = graph.reshaped(_trunk(graph, generator.trunk, label), channels, len(waves))
    return str(graph.add("Tanh", graph.add("MatMul", spectrum, graph.constant(waves))))


def _convolutional(graph: _Graph, generator: ConvolutionalGenerator, label: str) -> str:
    start, sizes = generator.start, generator.sizes
    noise = graph.add("LeakyRelu", graph.linear("noise", generator.project), alpha=_SLOPE)
    beside = graph.reshaped(graph.looked_up(label, generator.label), 1, *start[1:])
    value = graph.add("Concat", graph.reshaped(noise, *start), beside, axis=1)
    for stage, before, after in zip(generator.stages, sizes, sizes[1:], strict=False):
        for axis, (a, b) in enumerate(zip(before, after, strict=True), 2):
            value = graph.add("Gather", value, graph.constant(_nearest(a, b)), axis=axis)
        value = graph.add("LeakyRelu", _convolved(graph, value, stage), alpha=_SLOPE)
    return str(graph.add("Tanh", _convolved(graph, value, generator.output)))


def _convolved(graph: _Graph, value: str, layer: Any) -> str:
    kernel = layer.kernel_size
    pads = [side // 2 for side in kernel] * 2  # "same", of an odd kernel
    weights = graph.constant(layer.weight), graph.constant(layer.bias)
    return str(graph.add("Conv", value, *weights, kernel_shape=kernel, pads=pads))


def _nearest(before: int, after: int) -> NDArray[np.int64]:
    """Which sample torch takes for each of the larger size."""
    places = torch.arange(before, dtype=torch.float64).view(1, 1, -1)
    return np.asarray(interpolate(places, after).view(-1).numpy(), np.int64)


def _bilinear(before: int, after: int) -> NDArray[np.float32]:
    """Weights of one axis as torch has them: [after, before]."""
    unit = torch.eye(before)[None]
    return np.ascontiguousarray(interpolate(unit, after, mode="linear", align_corners=False)[0].T.numpy())


def _float(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _whole(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", *shape])


def _biased(layer: nn.Linear) -> bool:
    return "bias" in dict(layer.named_parameters())
