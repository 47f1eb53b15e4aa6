"""What an ONNX graph is put together from: nodes, constants, and the layers of the generators (NCHW)."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ugatit_jax.models.adalin import EPS
from ugatit_jax.models.ops.padding import Padding

OPSET = 18  # Pad takes axes from there on; onnxruntime-web 1.30 runs it with wasm and WebGPU
IR_VERSION = 8  # the one that came with OPSET
SPACE = np.array([2, 3])  # axes of an NCHW map
CHANNELS = np.array([1])
END = np.iinfo(np.int64).max  # of a slice: up to the last element


class Nodes:
    """Nodes and constants in the order of their computation; values are known by their names.

    dtype: of convolutions, their weights and the maps between them. Statistics and the MLP are float32, as in JAX.
    """

    def __init__(self, dtype: str):
        self.dtype = np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str | np.ndarray | float, **attributes: Any) -> str:
        """A node; inputs are names, arrays as they are, or numbers as float32. Returns the name of its output."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = f'{op}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(op, names, [output], output, **attributes))
        return output

    def constant(self, value: np.ndarray | float) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(value) if isinstance(value, np.ndarray) else np.float32(value)
        key = (array.dtype.str, array.shape, array.tobytes() if array.size < 100 else len(self.constants))  # 100: no weights
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(np.asarray(array), f'constant_{len(self.constants)}')
        return self.constants[key].name

    def to_float32(self, x: str) -> str:
        """x in float32."""
        return x if self.dtype == np.float32 else self.add('Cast', x, to=onnx.TensorProto.FLOAT)

    def to_dtype(self, x: str) -> str:
        """A float32 x in the dtype of the convolutions."""
        return x if self.dtype == np.float32 else self.add('Cast', x, to=helper.np_dtype_to_tensor_dtype(self.dtype))

    def conv(
        self,
        x: str,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        padding: Padding = (0, 0),
        stride: int = 1,
        mode: str = '',
        groups: int = 1,
    ) -> str:
        """Padding by `mode`, reflect by default, then convolution with kernel [k, k, in / groups, out] and bias [out]."""
        if padding != (0, 0):
            before, after = padding
            x = self.add('Pad', x, np.array([0, 0, before, before, 0, 0, after, after]), mode=mode or 'reflect')
        weights = [kernel.transpose(3, 2, 0, 1)] + ([] if bias is None else [bias])
        return self.add('Conv', x, *(w.astype(self.dtype) for w in weights), strides=[stride, stride], group=groups)

    def up_depthwise(self, x: str, kernel: np.ndarray, bias: np.ndarray | None) -> str:
        """Nearest x2, reflect pad 1 and a depthwise convolution with kernel [3, 3, 1, C]."""
        x = self.add(
            'Resize',
            x,
            '',
            np.array([1, 1, 2, 2], np.float32),
            mode='nearest',
            nearest_mode='floor',
            coordinate_transformation_mode='asymmetric',
        )
        return self.conv(x, kernel, bias, (1, 1), groups=kernel.shape[3])

    def moments(self, x: str) -> tuple[str, str, str]:
        """Mean, x - mean, and biased variance over space of a float32 map."""
        mean = self.add('ReduceMean', x, SPACE)
        centred = self.add('Sub', x, mean)
        return mean, centred, self.add('ReduceMean', self.add('Mul', centred, centred), SPACE)

    def inverse_deviation(self, variance: str) -> str:
        """1 / sqrt(variance + EPS)."""
        return self.add('Reciprocal', self.deviation(variance))

    def deviation(self, variance: str) -> str:
        """sqrt(variance + EPS)."""
        return self.add('Sqrt', self.add('Add', variance, EPS))

    def unbiased(self, variance: str, x: str, channels: int, ddof: int) -> str:
        """variance * n / (n - ddof), n being the pixels of the map x times `channels`."""
        if not ddof:
            return variance
        pixels = self.add('ReduceProd', self.add('Shape', x, start=2, end=4), keepdims=0)
        n = self.add('Mul', self.add('Cast', pixels, to=onnx.TensorProto.FLOAT), float(channels))
        return self.add('Mul', variance, self.add('Div', n, self.add('Sub', n, float(ddof))))

    def finish_norm(self, centred: str, factor: str, offset: str, relu: bool) -> str:
        """centred * factor + offset, then ReLU where `relu`, in the dtype of the convolutions."""
        y = self.add('Add', self.add('Mul', centred, factor), offset)
        return self.to_dtype(self.add('Relu', y) if relu else y)

    def instance_norm(self, x: str, scale: np.ndarray, bias: np.ndarray, relu: bool) -> str:
        """Instance norm with scale and bias [C] of a map."""
        y = self.add('InstanceNormalization', self.to_float32(x), scale, bias, epsilon=EPS)
        return self.to_dtype(self.add('Relu', y) if relu else y)

    def adalin(
        self,
        x: str,
        rho: np.ndarray,
        gamma: str | np.ndarray,
        beta: str | np.ndarray,
        ddof: int,
        relu: bool,
    ) -> str:
        """AdaLIN (see models/adalin.py) with rho [C] as it is used; gamma, beta [1 or B, C, 1, 1]."""
        x, channels, rho = self.to_float32(x), rho.size, rho.reshape(1, -1, 1, 1)
        mean, centred, variance = self.moments(x)
        layer_mean = self.add('ReduceMean', mean, CHANNELS)
        distance = self.add('Sub', mean, layer_mean)
        layer_variance = self.add('ReduceMean', self.add('Add', variance, self.add('Mul', distance, distance)), CHANNELS)
        variance = self.unbiased(variance, x, 1, ddof)
        layer_variance = self.unbiased(layer_variance, x, channels, ddof)
        instance = self.add('Mul', rho, self.inverse_deviation(variance))
        layer = self.add('Mul', np.float32(1) - rho, self.inverse_deviation(layer_variance))
        factor = self.add('Mul', gamma, self.add('Add', instance, layer))
        offset = self.add('Add', beta, self.add('Mul', self.add('Mul', gamma, layer), distance))
        return self.finish_norm(centred, factor, offset, relu)

    def group_norm(
        self,
        x: str,
        groups: int,
        channels: int,
        gamma: str | np.ndarray,
        beta: str | np.ndarray,
        ddof: int,
        relu: bool,
    ) -> str:
        """Group norm of a map with `channels` channels (see models/decoder_norm.py); gamma, beta [1 or B, C, 1, 1]."""
        x, size = self.to_float32(x), channels // groups
        mean, centred, variance = self.moments(x)
        by_group, by_channel = np.array([0, groups, size, 1]), np.array([0, channels, 1, 1])  # 0: the batch, as it is
        means, variances = self.add('Reshape', mean, by_group), self.add('Reshape', variance, by_group)
        group_mean = self.add('ReduceMean', means, np.array([2]))
        distance = self.add('Sub', means, group_mean)
        spread = self.add('Add', variances, self.add('Mul', distance, distance))
        group_variance = self.unbiased(self.add('ReduceMean', spread, np.array([2])), x, size, ddof)
        of_group = self.add('Mul', self.inverse_deviation(group_variance), np.ones((1, 1, size, 1), np.float32))
        scale = self.add('Mul', gamma, self.add('Reshape', of_group, by_channel))
        offset = self.add('Add', beta, self.add('Mul', scale, self.add('Reshape', distance, by_channel)))
        return self.finish_norm(centred, scale, offset, relu)

    def depth_to_space(self, x: str) -> str:
        """The four phases of an up-sampling convolution, [B, (row, column, F), h + 1, w + 1] -> [B, F, 2h, 2w].

        Phase (i, j) is read from row i and column j on (see models.ops.convolution.UpConv).
        """
        corners = [(i, j) for i in (0, 1) for j in (0, 1)]
        split = self.add('Split', x, axis=1, num_outputs=4)
        names = [f'{split}_{i}{j}' for i, j in corners]
        self.nodes[-1].output[:] = names
        phases = [
            self.add('Slice', name, np.array([i, j]), np.array([END if i else -1, END if j else -1]), SPACE)
            for name, (i, j) in zip(names, corners)
        ]
        return self.add('DepthToSpace', self.add('Concat', *phases, axis=1), blocksize=2, mode='DCR')

    def pooling_matrix(self, n: str, k: int) -> str:
        """The [k, n] matrix that averages n (int64 [1]) values into k cells, as models.generator.pool_to."""
        cells = np.arange(k)[:, None]
        start = self.add('Div', self.add('Mul', cells, n), np.array(k))
        stop = self.add('Div', self.add('Add', self.add('Mul', cells + 1, n), np.array(k - 1)), np.array(k))
        places = self.add('Range', np.array(0), self.add('Squeeze', n), np.array(1))
        inside = self.add('And', self.add('GreaterOrEqual', places, start), self.add('Less', places, stop))
        float32 = {'to': onnx.TensorProto.FLOAT}
        return self.add(
            'Div', self.add('Cast', inside, **float32), self.add('Cast', self.add('Sub', stop, start), **float32)
        )

    def pool_to(self, x: str, k: int) -> str:
        """Adaptive average pool of a float32 map to [B, C, k, k]."""
        rows, columns = (self.pooling_matrix(self.add('Shape', x, start=axis, end=axis + 1), k) for axis in (2, 3))
        return self.add('MatMul', self.add('MatMul', rows, x), self.add('Transpose', columns, perm=[1, 0]))

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The model of what was added."""
        graph = helper.make_graph(self.nodes, 'generator', inputs, outputs, list(self.constants.values()))
        opset = helper.make_opsetid('', OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name='ugatit_jax')
