"""InceptionV3 against torch-fidelity's features, and against the mistakes that are made in porting it."""

import jax
import numpy as np
import pytest
from jax import lax
from PIL import Image

from tests.helpers.paths import REFERENCE
from tests.helpers.random_inception import random_squares, state_dict
from ugatit_jax.evaluate import inception, resize
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import params_from_state_dict
from ugatit_jax.evaluate.resize import inception_input

TOLERANCE = 5e-5


def error(extractor, golden, images, params=None):
    """Largest difference from the golden features for prepared images [3, 299, 299, 3]."""
    images = np.concatenate([images, images[:1]]).astype(np.float32)  # the batch that is compiled already
    return np.abs(np.asarray(extractor.apply(params or extractor.params, images))[:3] - golden['f2048']).max()


def test_features_are_those_of_torch_fidelity(extractor, golden):
    ours = extractor(golden['x'], 'fidelity')
    assert ours.dtype == np.float32 and golden['f2048'].std() > 0.1  # weights that make all features 0 prove nothing
    np.testing.assert_allclose(ours, golden['f2048'], atol=TOLERANCE, rtol=0)


def half_pixel_bilinear(pixels):
    x = jax.image.resize(pixels.astype(np.float32), (299, 299, 3), 'bilinear', antialias=False)
    return (np.asarray(x) - 128) / 128


def bicubic(pixels):
    return (np.asarray(Image.fromarray(pixels).resize((299, 299), Image.Resampling.BICUBIC), np.float32) - 128) / 128


MISTAKES = {
    'scaled to -1 .. 1': lambda pixels: resize.tensorflow_bilinear(pixels) / 127.5 - 1,
    'bicubic': bicubic,
    'half pixel bilinear': half_pixel_bilinear,
    'BGR': lambda pixels: inception_input(pixels, 'fidelity')[..., ::-1],
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes_in_the_input_are_seen(mistake, extractor, golden):
    assert error(extractor, golden, np.stack([MISTAKES[mistake](pixels) for pixels in golden['x']])) > 100 * TOLERANCE


def test_mistakes_in_the_weights_are_seen(extractor, golden, monkeypatch):
    images = np.stack([inception_input(pixels, 'fidelity') for pixels in golden['x']])
    monkeypatch.setattr(inception, 'BN_EPS', 1e-5)
    eps = params_from_state_dict(state_dict(), 'x')
    assert error(extractor, golden, images, jax.device_put(eps)) > 100 * TOLERANCE
    swapped = dict(extractor.params)  # two branches of one block with kernels of the same shape
    a, b = (f'Mixed_7c.{name}' for name in ('branch3x3_2a', 'branch3x3dbl_3a'))
    swapped[a], swapped[b] = swapped[b], swapped[a]
    assert error(extractor, golden, images, swapped) > 100 * TOLERANCE


def padding_counted(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'SAME') / 9


@pytest.mark.slow
@pytest.mark.parametrize('mistake', ['padding counted', 'average pool in 7c', 'branches in another order'])
def test_mistakes_in_the_network_are_seen(mistake, extractor, golden, monkeypatch):
    if mistake == 'padding counted':
        monkeypatch.setattr(inception, 'average_pool', padding_counted)
    elif mistake == 'average pool in 7c':
        monkeypatch.setattr(inception, 'BLOCKS', (*inception.BLOCKS[:-1], inception.block_e('Mixed_7c', 'average')))
    else:
        last = inception.BLOCKS[-1]
        monkeypatch.setattr(inception, 'BLOCKS', (*inception.BLOCKS[:-1], last._replace(branches=last.branches[::-1])))
    wrong = FeatureExtractor(extractor.weights, extractor.mesh, batch_size=4)
    wrong.apply = jax.jit(lambda params, x: inception.features(params, x))
    images = np.stack([inception_input(pixels, 'fidelity') for pixels in golden['x']])
    assert error(wrong, golden, images) > 100 * TOLERANCE


def test_shapes_are_those_of_the_reference():
    path = REFERENCE / 'inception_shapes.json'
    if not path.exists():
        pytest.skip(f'{path} is not there')
    import json

    assert {name: list(value.shape) for name, value in state_dict().items()} == json.loads(path.read_text())


def test_any_number_and_mixed_sizes(extractor):
    """Each image's features are its own, whatever stands beside it in a batch and however the batch is filled up."""
    images = [
        random_squares('A')[0],
        random_squares('B')[0][:20, :33],
        random_squares('A')[1],
        random_squares('B')[1],
        random_squares('A')[0][5:],
        random_squares('B')[2],
    ]
    together = extractor(images, 'clean')
    assert together.shape == (6, 2048)
    np.testing.assert_allclose(extractor(images[4:5], 'clean'), together[4:5], atol=1e-5)
