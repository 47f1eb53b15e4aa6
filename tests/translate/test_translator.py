"""The Python API: what goes in, what comes out, and what is refused."""

import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import ugatit_jax
from tests.helpers.paths import ROOT
from tests.helpers.translation import STEP, noise_image, write_checkpoint
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.translate.translator import LARGEST_SIDE


@pytest.fixture(scope='module')
def translator(workdir):
    return ugatit_jax.load(workdir)


def test_importing_the_package_imports_no_jax():
    code = "import sys, ugatit_jax; assert 'jax' not in sys.modules; print(ugatit_jax.load.__module__)"
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True)
    assert result.stdout.strip() == 'ugatit_jax.translate.translator', result.stderr


def test_form_of_the_input_is_that_of_the_output(translator):
    x = np.stack([noise_image(16, 16, seed=i) for i in range(3)])
    many = translator(x)
    assert many.shape == (3, 16, 16, 3) and many.dtype == np.uint8 and many.std() > 5
    single = translator(x[0])
    assert single.shape == (16, 16, 3) and abs(single.astype(int) - many[0]).max() <= 1
    unit = translator(normalize(x))
    assert unit.dtype == np.float32 and abs((unit + 1) * 127.5 - many).max() <= 0.6
    assert translator(normalize(x).astype(np.float64)).dtype == np.float32


def test_weights_and_directions_differ(workdir, translator):
    x = normalize(noise_image(16, 16))
    assert translator.loaded.weights == 'ema' and translator.loaded.step == STEP
    assert translator.loaded.generator.keys() == {'genA2B'}  # one network is read
    raw = ugatit_jax.load(workdir, weights='raw')
    assert abs(raw(x) - translator(x)).max() > 0.1
    back = ugatit_jax.load(f'{workdir}/checkpoints/{STEP}', direction='B2A')  # capitals, as convert has them
    assert back.direction == 'b2a'
    size = f'{back.image_size}x{back.image_size} pixels or any other size'
    where = f'{workdir}/checkpoints/{STEP}'
    assert repr(back) == f'<Translator b2a: täst step {STEP} ema, {size}, 3 to 3 channels, from {where}>'
    np.testing.assert_allclose(translator.cycle(x), back(translator(x)), atol=1e-3)


@pytest.mark.parametrize(
    'size, fit, shape',
    [
        ('train', None, (30, 46)),
        ('train', 'pad', (30, 46)),
        ('train', 'short_side_crop', (30, 30)),
        ('original', None, (30, 46)),
        (32, None, (30, 46)),
    ],
)
def test_sizes_come_back(translator, size, fit, shape):
    x = noise_image(30, 46)
    for images in (x, normalize(x)[None])[: 2 if size == 'train' else 1]:  # each type is a program of its own
        out, heatmap = translator(images, size=size, fit=fit), translator.heatmap(images, size=size, fit=fit)
        assert out.shape == (*images.shape[:-3], *shape, 3) and out.dtype == images.dtype
        assert heatmap.shape == out.shape[:-1] and heatmap.dtype == np.float32 and heatmap.min() >= 0 and heatmap.std() > 0


def test_original_size_is_padded_by_reflection_and_cropped(translator):
    x = noise_image(30, 46)
    padded = np.pad(x, ((0, 2), (0, 2), (0, 0)), 'reflect')
    np.testing.assert_array_equal(translator(x, size='original'), translator(padded, size='original')[:30, :46])
    tiny = translator(noise_image(3, 2), size='original')
    assert tiny.shape == (3, 2, 3)


def test_one_compilation_for_a_size_and_a_power_of_two(workdir):
    compiled_generator.cache_clear()  # generators that are alike share their programs
    translator = ugatit_jax.load(workdir, batch_size=4)
    for n in (3, 4, 7):  # 7 is 4 and 3
        translator(np.stack([noise_image(16, 16, seed=i) for i in range(n)]))
    assert translator.forward._cache_size() == 1
    translator(noise_image(15, 20), size='original')
    translator(noise_image(16, 18), size='original')  # both go as 16 x 20
    assert translator.forward._cache_size() == 2


def test_large_images_go_by_tiles_with_the_same_result(workdir, translator):
    compiled_generator.cache_clear()
    tiled = ugatit_jax.load(workdir, tile=8)
    x = normalize(noise_image(30, 46))[None]
    np.testing.assert_allclose(tiled(x, size='original'), translator(x, size='original'), atol=1e-4)
    assert tiled.forward._cache_size() == 0


def test_a_full_model_takes_its_own_size_only(tmp_path):
    translator = ugatit_jax.load(write_checkpoint(tmp_path, model__mlp_pool='full', training__ema_decay=0.0))
    assert translator.loaded.weights == 'raw' and translator.tiled is None
    assert translator(noise_image(30, 46)).shape == (30, 46, 3)
    for size in ('original', 32):
        with pytest.raises(UserError, match="16x16 pixels; size='train'"):
            translator(noise_image(30, 46), size=size)


def test_a_generator_without_cam_has_no_heatmap(tmp_path):
    translator = ugatit_jax.load(write_checkpoint(tmp_path, model__generator_cam=False))
    assert translator(noise_image(16, 16)).shape == (16, 16, 3)
    with pytest.raises(UserError, match='no CAM'):
        translator.heatmap(noise_image(16, 16))


def test_channels_of_the_domains(tmp_path):
    workdir = write_checkpoint(tmp_path, data__channels_A=1, data__channels_B=4)
    translator = ugatit_jax.load(workdir)
    x = noise_image(20, 16, 1)
    assert translator(x, fit='pad').shape == (20, 16, 4) and translator.cycle(x).shape == (20, 16, 1)
    with pytest.raises(UserError, match=r'20, 16, 3\].*takes \[h, w, 1\]'):
        translator(noise_image(20, 16))


@pytest.mark.parametrize(
    'images, message',
    [
        (np.zeros((16, 16), np.uint8), 'shape'),
        (np.zeros((16, 16, 3), np.int32), 'int32'),
        (np.full((16, 16, 3), 200.0), 'divide by 127.5'),
        (np.full((16, 16, 3), np.nan), 'nan'),
        (np.zeros((0, 16, 16, 3), np.uint8), 'shape'),
        ([noise_image(16, 16), noise_image(16, 17)], 'several shapes'),
    ],
)
def test_what_is_no_image_is_refused(translator, images, message):
    with pytest.raises(UserError, match=message):
        translator(images)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(direction='a2a'), "direction='a2a': it is one of 'a2b', 'b2a'"),
        (dict(tile=12), 'multiple of 8'),
        (dict(batch_size=0), '1 or more'),
        (dict(step=3), 'no step 3'),
        (dict(weights='ema', step=8), 'no step 8'),
        (dict(direction=None), "direction=None: it is one of 'a2b', 'b2a'"),
        (dict(step=str(STEP)), f"step='{STEP}': it is 'latest', 'best' or a number"),
        (dict(step=float(STEP)), "it is 'latest', 'best' or a number"),
        (dict(weights='EMA'), "weights='EMA': it is one of 'auto', 'raw', 'ema'"),
    ],
)
def test_what_cannot_be_loaded_is_refused(workdir, options, message):
    with pytest.raises(UserError, match=message):
        ugatit_jax.load(workdir, **options)


def test_paths_and_numbers_of_other_types(workdir, translator):
    x = noise_image(16, 16)
    loaded = ugatit_jax.load(pathlib.Path(workdir), step=np.int64(STEP))
    np.testing.assert_array_equal(loaded(x, size=np.int64(16)), translator(x, size=16))
    half = jnp.asarray(normalize(x), jnp.bfloat16)
    np.testing.assert_array_equal(translator(half), translator(np.asarray(half, np.float32)))


def test_a_size_above_that_of_any_image_is_refused(translator):
    """Its arrays would take all memory, and the system end the process without a word."""
    assert translator.network_side(LARGEST_SIDE) == LARGEST_SIDE
    assert LARGEST_SIDE**2 <= 2 * Image.MAX_IMAGE_PIXELS < (LARGEST_SIDE + 4) ** 2
    with pytest.raises(UserError, match=f'size=100000: .* from 16 to {LARGEST_SIDE}'):
        translator.network_side(100_000)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(size='large'), "'train', 'original' or a multiple of 4"),
        (dict(size=18), 'multiple of 4'),
        (dict(fit='crop'), 'stretch'),
        (dict(size='original', fit='pad'), "fit='pad' has no effect with size='original'"),
    ],
)
def test_sizes_and_fits_that_are_none(translator, options, message):
    with pytest.raises(UserError, match=message):
        translator(noise_image(16, 16), **options)
