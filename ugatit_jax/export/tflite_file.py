"""Writes .tflite files by TensorFlow's converter, and runs them with LiteRT."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ugatit_jax.common.command import hide_gpus_from_tensorflow
from ugatit_jax.common.compiler import portable
from ugatit_jax.common.images import normalize
from ugatit_jax.export.portable_generator import portable_generator
from ugatit_jax.export.target import Run, Target


def write(target: Target, path: str, calibration: np.ndarray | None) -> None:
    """Writes the file. float16 is the weights'; int8 are weights and activations, inputs and outputs stay float32."""
    hide_gpus_from_tensorflow()
    import tensorflow as tf
    from jax.experimental import jax2tf

    shape = (target.batch, target.size, target.size, target.channels)

    def representative() -> Iterator[list[np.ndarray]]:
        for image in normalize(calibration):
            yield [np.repeat(image[None], target.batch, 0)]  # a broadcast view crashes it

    module = tf.Module()
    with portable():
        converted = jax2tf.convert(
            portable_generator(target, 'float32'), with_gradient=False, native_serialization_platforms=('cpu',)
        )
        module.translate = tf.function(
            converted, autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32, name='image')]
        )
        concrete = module.translate.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if target.dtype != 'float32':
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if target.dtype == 'float16':
        converter.target_spec.supported_types = [tf.float16]
    if target.dtype == 'int8':
        converter.representative_dataset = representative
    with quiet_stderr():
        content = converter.convert()
    pathlib.Path(path).write_bytes(content)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what C++ libraries write to stderr: notes on their own working, whatever level is set."""
    kept = os.dup(2)
    try:
        with open(os.devnull, 'w') as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def interpreter(path: str) -> Interpreter:
    """The file's interpreter, ready to run."""
    with quiet_stderr():
        made = Interpreter(model_path=path)
        made.allocate_tensors()
    return made


def load(path: str) -> Run:
    """The file as a function of images [B, h, w, C]."""
    running = interpreter(path)

    def run(images: np.ndarray) -> np.ndarray:
        running.set_tensor(running.get_input_details()[0]['index'], images)
        running.invoke()
        return running.get_tensor(running.get_output_details()[0]['index'])

    return run


def signature(path: str) -> str:
    """Input and output in words."""
    running = interpreter(path)
    shapes = [details[0]['shape'].tolist() for details in (running.get_input_details(), running.get_output_details())]
    return f'{shapes[0]} -> {shapes[1]}, float32 in [-1, 1]'
