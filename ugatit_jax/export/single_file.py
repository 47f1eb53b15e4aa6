"""Writes a generator as one file for other programs, and runs it beside the JAX generator before it has its name."""

import importlib
import os

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.common.errors import UserError, first_line, short_line
from ugatit_jax.common.files import atomic_file, is_installed
from ugatit_jax.common.images import normalize
from ugatit_jax.config.derived import model_name
from ugatit_jax.export.formats import FORMATS, Format, suffix_of
from ugatit_jax.export.sample_images import SampleImages, sample_images
from ugatit_jax.export.target import Run, Target
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.generator import min_side, side_multiple
from ugatit_jax.models.names import generator_of, source_of
from ugatit_jax.models.networks import make_networks

# Of 255. float32 differs by the order of sums, float16 by 11 bits. One wrong layer changes hundreds
MAX_DIFFERENCE = {'float32': 0.5, 'float16': 8.0}
MIN_PSNR = 25.0  # dB, of int8, where an edge that moves by a pixel is a large difference: below it errors are plain to see


def export_file(
    checkpoint: str,
    to: str,
    *,
    step: str = 'latest',
    weights: str = 'auto',
    direction: str = 'both',
    dtype: str = 'float32',
    size: str = '',
    batch: str = '',
    images: str = '',
    overwrite: bool = False,
) -> list[str]:
    """Writes the file `to`, complete and compared or not at all, and returns lines to print.

    size, batch: a number, 'any', or '' for what the model and the format allow. images: what to compare on, by default test
    images of the run's data. Raises UserError.
    """
    suffix = suffix_of(to)
    form = FORMATS[suffix]
    validate_target(to, suffix, form, direction, dtype, overwrite)
    loaded = load_generators(checkpoint, parse_step(step), weights, (generator_of(direction),))
    target = make_target(loaded, direction, dtype, parse_size(size, loaded, form, suffix), parse_batch(batch, form, suffix))
    samples = sample_images(loaded.config, direction, target.size or target.image_size, images)
    if dtype == 'int8' and samples.calibration is None:
        raise UserError('--dtype=int8 needs images of the domain, and the data of training is not here; add --images=DIR')
    module = importlib.import_module(f'ugatit_jax.export.{form.module}')
    try:
        with atomic_file(to) as partial:
            module.write(target, partial, samples.calibration)
            try:
                compared = compare(target, module.load(partial), samples, loaded.where)
            except RuntimeError as error:  # LiteRT's, where an int8 divisor is 0
                raise UserError(
                    f'--dtype={dtype} of {loaded.where} is refused: the file does not run ({short_line(error)})'
                    + ('; take --dtype=float16' if dtype == 'int8' else '')
                ) from error
            lines = [
                f'wrote {to}: {direction} of step {loaded.step} {loaded.weights} of {loaded.where}, {dtype}, '
                f'{os.path.getsize(partial) / 1e6:.1f} MB',
                f'  {module.signature(partial)}',
                f'  {compared}',
            ]
    except OSError as error:
        raise UserError(f'--to={to} cannot be written: {first_line(error)}') from error
    return lines


def validate_target(to: str, suffix: str, form: Format, direction: str, dtype: str, overwrite: bool) -> None:
    """Raises UserError for flags that do not work and for packages that are not there; reads no checkpoint."""
    if os.path.isdir(to):
        raise UserError(f'--to={to} is a folder; name a file')
    if os.path.lexists(to) and not overwrite:
        raise UserError(f'--to={to} exists already; add --overwrite to replace it')
    if direction == 'both':
        raise UserError(f'--to={to}: a {suffix} file holds one generator; add --direction=a2b or --direction=b2a')
    if dtype not in form.dtypes:
        raise UserError(f'--dtype={dtype}: {suffix} files are {", ".join(form.dtypes)}')
    if missing := [module for module in form.packages if not is_installed(module)]:
        raise UserError(f'{suffix} files need {" and ".join(missing)}; hint: pip install -e .[{form.extra}]')


def parse_size(text: str, loaded: LoadedGenerators, form: Format, suffix: str) -> int | None:
    """The value of --size: the side of squares, or None for any; raises UserError."""
    side, full = loaded.config.data.image_size, loaded.config.model.mlp_pool == 'full'
    if not text:
        return None if form.dynamic and not full else side
    if full and text != str(side):
        raise UserError(
            f'--size={text}: {loaded.where} is a full model, whose weights are tied to {side}x{side} pixels; leave it out'
        )
    if text == 'any':
        validate_dynamic('--size=any', form, suffix)
        return None
    model = loaded.config.model
    multiple = side_multiple(model.n_down, model.pixel_unshuffle)
    smallest = min_side(multiple)
    if not text.isdecimal() or int(text) % multiple or int(text) < smallest:
        raise UserError(f'--size={text}: it is any, or a multiple of {multiple} from {smallest} on')
    return int(text)


def parse_batch(text: str, form: Format, suffix: str) -> int | None:
    """The value of --batch: a number of images, or None for any; raises UserError."""
    if not text:
        return None if form.dynamic else 1
    if text == 'any':
        validate_dynamic('--batch=any', form, suffix)
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f'--batch={text}: it is any, or a number from 1 on')
    return int(text)


def validate_dynamic(flag: str, form: Format, suffix: str) -> None:
    """Raises UserError where a format has fixed shapes alone."""
    if not form.dynamic:
        raise UserError(f'{flag}: {suffix} files have a fixed size and batch; give a number')


def make_target(loaded: LoadedGenerators, direction: str, dtype: str, size: int | None, batch: int | None) -> Target:
    """The generator of a direction as a format takes it."""
    config, name = loaded.config, generator_of(direction)
    generator = make_networks(config).module(name).clone(dtype=jnp.float32)
    notes = {
        'model': f'{model_name(config)} U-GAT-IT generator {name}',
        'weights': f'step {loaded.step} {loaded.weights} of {loaded.name}',
        'image_size': str(config.data.image_size),
    }
    channels = config.data[f'channels_{source_of(direction)}']
    return Target(generator, loaded.generator[name], channels, batch, size, config.data.image_size, dtype, notes)


def compare(target: Target, run: Run, samples: SampleImages, where: str, most: float | None = None) -> str:
    """Runs the file and the JAX generator on the same images; a line on it. Raises UserError where they differ too much.

    most: the largest difference that is allowed, of 255; by default that of the dtype.
    """
    differences = np.concatenate([(run(images) - run_jax(target, images)).ravel() for images in batches(target, samples)])
    largest = float(np.abs(differences).max()) * 127.5
    psnr = float(10 * np.log10(4 / max(np.square(differences, dtype=np.float64).mean(), 1e-10)))  # 1e-10: 106 dB at most
    line = f'largest difference from JAX on {samples.what}: {largest:.3g} of 255, PSNR {psnr:.1f} dB'
    if target.dtype == 'int8':
        fits, bound = psnr >= MIN_PSNR, f'the PSNR has to be {MIN_PSNR:g} dB or more; take --dtype=float16'
    else:
        most = MAX_DIFFERENCE[target.dtype] if most is None else most
        fits = largest <= most  # False for NaN
        bound = f'at most {most:g} is allowed' + (
            '; take --dtype=float32' if target.dtype != 'float32' else ', so the file would be wrong'
        )
    if not fits:
        raise UserError(f'--dtype={target.dtype} of {where} is refused: {line}; {bound}')
    return line


def batches(target: Target, samples: SampleImages) -> list[np.ndarray]:
    """float32 images in [-1, 1] to compare on, in batches that the file takes; where sizes may be any, of two shapes."""
    images = normalize(samples.compared)
    n = target.batch or len(images)
    batches = [np.resize(images[i : i + n], (n, *images.shape[1:])) for i in range(0, len(images), n)]
    if target.size is None:
        wide = np.pad(images[:1], ((0, 0), (0, 0), (0, target.generator.side_multiple), (0, 0)), 'reflect')
        batches.append(np.resize(wide, (target.batch or 1, *wide.shape[1:])))
    return batches


def run_jax(target: Target, images: np.ndarray) -> np.ndarray:
    """The JAX generator on images [B, h, w, C], one after another: a full-size map of a large model takes 256 MB."""
    forward = compiled_generator(target.generator)
    with jax.default_matmul_precision('highest'):  # a TPU's own is bfloat16
        return np.concatenate([np.asarray(forward(target.params, image[None]).image) for image in images])
