"""Every option of a generator gives the same images from the ONNX graph as from JAX."""

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.helpers.random_generator import SIDE, random_generator, run
from ugatit_jax.common.errors import UserError
from ugatit_jax.export import onnx_graph
from ugatit_jax.export.onnx_graph import generator_model

NO_LOSSES = dict(loss__cam_weight=0.0, loss__identity_weight=0.0)
VARIANTS = {
    'paper': dict(model__n_res=2),
    'pytorch': dict(model__reference='pytorch', model__n_res=2),
    'full': dict(model__mlp_pool='full', model__reference='pytorch'),
    'pooled': dict(model__mlp_pool='3'),  # cells of two sizes: 8 pixels in 3
    'no CAM, grey to RGBA': dict(model__generator_cam=False, data__channels_A=1, data__channels_B=4, **NO_LOSSES),
    'no stem norm, no blocks': dict(model__stem_norm=False, model__n_res=0, model__mlp_width=5),
    'IN': dict(model__decoder_norm='in', model__up_norm='in', model__variance_ddof=1),
    'LN': dict(model__decoder_norm='ln', model__up_norm='ln', model__variance_ddof=1),
    'GN': dict(model__decoder_norm='gn', model__up_norm='gn', model__norm_groups=2, model__variance_ddof=1),
    'AdaIN': dict(model__decoder_norm='adain'),
    'student': dict(
        model__separable=True,
        model__n_down=3,
        model__stem_kernel=3,
        model__n_res=2,
        model__generator_cam=False,
        **NO_LOSSES,
    ),
    'pixels as channels': dict(
        model__separable=True,
        model__n_down=1,
        model__pixel_unshuffle=2,
        model__image_skip=True,
        model__stem_kernel=3,
        model__generator_cam=False,
        **NO_LOSSES,
    ),
    'full, three halvings': dict(
        model__mlp_pool='full', model__n_down=3, model__separable=True, model__generator_bias=False
    ),
    'others': dict(
        model__cam_shared=True,
        model__cam_bias=False,
        model__instance_norm_affine=False,
        model__rho_smoothing=0.2,
        model__down_padding=(0, 1),
    ),
}


def run_onnx(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """The model on images [B, h, w, C], loaded as others would."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return session.run(None, {'image': images.transpose(0, 3, 1, 2)})[0].transpose(0, 2, 3, 1)


@pytest.mark.parametrize('name', VARIANTS)
def test_every_option_gives_the_images_of_jax(name):
    module, params, images, translated = random_generator(**VARIANTS[name])
    size = SIDE if module.mlp_pool == 0 else None
    write = dict(channels=images.shape[-1], batch=None, size=size)
    found = run_onnx(generator_model(module, params, **write), images)
    np.testing.assert_allclose(found, translated, atol=1e-4)
    half = run_onnx(generator_model(module, params, dtype='float16', **write), images)
    assert 1e-5 < np.abs(half - translated).max() < 0.05  # in float16, and right
    assert np.std(translated) > 0.1  # or there would be nothing to compare


@pytest.mark.parametrize('name', ['pytorch', 'pooled', 'GN'])  # whose graphs depend on the sides
def test_other_sizes_and_batches(name):
    module, params, images, _ = random_generator(**VARIANTS[name])
    model = generator_model(module, params, channels=3, batch=None, size=None)
    other = np.pad(images[:1], ((0, 0), (0, 8), (0, 20), (0, 0)), 'reflect')
    np.testing.assert_allclose(run_onnx(model, other), run(module, params, other), atol=1e-4)


def test_names_shapes_and_opset_are_those_of_the_documentation():
    module, params, *_ = random_generator()
    model = generator_model(module, params, channels=3, batch=None, size=None)
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)

    def shapes(model: onnx.ModelProto) -> dict[str, list]:
        values = [*model.graph.input, *model.graph.output]
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    assert shapes(model) == {'image': ['batch', 3, 'height', 'width'], 'translated': ['batch', 3, 'height', 'width']}
    fixed = generator_model(module, params, channels=3, batch=2, size=48)
    assert shapes(fixed) == {'image': [2, 3, 48, 48], 'translated': [2, 3, 48, 48]}


def test_more_than_a_file_holds_is_one_line(monkeypatch):
    module, params, *_ = random_generator()
    monkeypatch.setattr(onnx_graph, 'MAX_BYTES', 50_000)
    with pytest.raises(UserError, match='at most 2 GB'):
        generator_model(module, params, channels=3, batch=None, size=None)
    generator_model(module, params, channels=3, batch=None, size=None, dtype='float16')
