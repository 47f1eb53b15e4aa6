"""Writes .onnx files, and runs them with onnxruntime."""

import logging
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ugatit_jax.common.images import normalize
from ugatit_jax.export.onnx_graph import INPUT, OUTPUT, generator_model
from ugatit_jax.export.target import Run, Target

SMALL_WEIGHT = 256  # values: what a node more costs
ERROR = 3  # onnxruntime's level of log messages


class Calibration(CalibrationDataReader):
    """uint8 images [n, h, w, C], in batches."""

    def __init__(self, images: np.ndarray, batch: int):
        self.batches = iter(images[i : i + batch] for i in range(0, len(images) // batch * batch, batch))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch as the model takes it."""
        images = next(self.batches, None)
        return None if images is None else {INPUT: channels_first(normalize(images))}


def channels_first(images: np.ndarray) -> np.ndarray:
    """[B, h, w, C] -> [B, C, h, w]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def write(target: Target, path: str, calibration: np.ndarray | None) -> None:
    """Writes the file; calibration: uint8 images [n, h, w, C], for int8."""
    model = generator_model(
        target.generator,
        target.params,
        channels=target.channels,
        batch=target.batch,
        size=target.size,
        dtype='float32' if target.dtype == 'int8' else target.dtype,
    )
    onnx.helper.set_model_props(model, target.notes)
    onnx.checker.check_model(model, full_check=True)
    if target.dtype == 'int8':
        model = quantized(model, calibration, target.batch or 1)
    pathlib.Path(path).write_bytes(model.SerializeToString())


def store_weights_in_float16(path: str) -> None:
    """Stores the large float32 weights of a file in float16; what runs it casts them once, and computes in float32."""
    model = onnx.load(path)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < SMALL_WEIGHT:
            continue
        half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype(np.float16), f'{weight.name}_float16')
        casts.append(onnx.helper.make_node('Cast', [half.name], [weight.name], to=onnx.TensorProto.FLOAT))
        weight.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    pathlib.Path(path).write_bytes(model.SerializeToString())


def quantized(model: onnx.ModelProto, calibration: np.ndarray, batch: int) -> onnx.ModelProto:
    """The model with convolutions in int8 (QDQ, weights by channel), their ranges those of the calibration images."""
    images = calibration if len(calibration) >= batch else np.resize(calibration, (batch, *calibration.shape[1:]))
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises preparations that need another package and change nothing here
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, to = (f'{folder}/{name}.onnx' for name in ('float32', 'int8'))
            onnx.save(model, source)
            quantize_static(
                source,
                to,
                Calibration(images, batch),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=['Conv'],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(to)
    finally:
        root.setLevel(level)


def load(path: str) -> Run:
    """The file as a function of images [B, h, w, C]."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERROR
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda images: session.run([OUTPUT], {INPUT: channels_first(images)})[0].transpose(0, 2, 3, 1)


def signature(path: str) -> str:
    """Inputs and outputs in words."""
    graph = onnx.load(path).graph

    def described(value: onnx.ValueInfoProto) -> str:
        sides = [side.dim_param or str(side.dim_value) for side in value.type.tensor_type.shape.dim]
        return f'{value.name} [{", ".join(sides)}]'

    return f'{described(graph.input[0])} -> {described(graph.output[0])}, float32 in [-1, 1]'
