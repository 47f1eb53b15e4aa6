"""Writes a static page that runs a generator in the visitor's browser: the files of web/, the models, ONNX Runtime Web."""

import gzip
import importlib.resources
import json
import os
import pathlib
import shutil
from typing import Any

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import is_installed, partial_folder, partial_name
from ugatit_jax.export.sample_images import sample_images
from ugatit_jax.export.single_file import compare, make_target
from ugatit_jax.export.web_runtime import KINDS, runtime_files
from ugatit_jax.models.generator import min_side, side_multiple
from ugatit_jax.models.names import direction_of, generator_of, source_of

FORMAT = 'ugatit_jax page 1'
SOURCES = ('index.html', 'page.css', 'page.js', 'worker.js', 'resize.js', 'licenses.txt')  # of the folder web
CHANNELS = (1, 3)  # of images that the page reads and shows
MAX_DIFFERENCE = 1.0  # of 255, of the model: resizing and rounding in the browser add less than another
LARGE = 15e6  # bytes of a download that visitors on phones wait long for


def export_page(
    checkpoint: str,
    to: str,
    *,
    step: str = 'latest',
    weights: str = 'auto',
    direction: str = 'both',
    dtype: str = 'float16',
    images: str = '',
    runtime: str = '',
    overwrite: bool = False,
) -> list[str]:
    """Writes the folder `to`, complete or not at all, and returns lines to print.

    dtype: of the weights in the files; the page computes in float32. images: what the models are compared with JAX on, by
    default test images of the run's data. runtime: see `runtime_files`. overwrite: replaces a page. Raises UserError.
    """
    validate_place(to, overwrite)
    loaded = load_generators(
        checkpoint, parse_step(step), weights, None if direction == 'both' else (generator_of(direction),)
    )
    for name in loaded.generator:
        validate_channels(loaded, name)
    files = runtime_files(runtime)
    try:
        with partial_folder(pathlib.Path(to).absolute().parent) as folder:
            compared = {name: write_model(folder, loaded, name, dtype, images) for name in loaded.generator}
            write_sources(folder, files)
            about = description(folder, loaded)
            (folder / 'model.json').write_text(json.dumps(about, indent=1) + '\n', encoding='utf-8')
            put_in_place(folder, to)
    except OSError as error:
        raise UserError(f'--to={to} cannot be written: {first_line(error)}') from error
    lines = [f'wrote {to}: a page with step {loaded.step} {loaded.weights} of {loaded.where}']
    for name, line in compared.items():
        lines.append(
            f'  {file_of(name)}: {os.path.getsize(os.path.join(to, file_of(name))) / 1e6:.1f} MB, weights in {dtype}; {line}'
        )
    return [*lines, *sizes(pathlib.Path(to), files), f'  look at it: python -m http.server --directory={to}']


def validate_place(to: str, overwrite: bool) -> None:
    """Raises UserError where packages are missing, and for places where something else is; reads no checkpoint."""
    if missing := [module for module in ('onnx', 'onnxruntime') if not is_installed(module)]:
        raise UserError(f'a page needs {" and ".join(missing)} to be made; hint: pip install -e .[onnx]')
    if not os.path.lexists(to):
        return
    if not is_page(to):
        raise UserError(f'--to={to} exists already, and is no page of this command; name another')
    if not overwrite:
        raise UserError(f'--to={to} exists already; add --overwrite to replace it')


def is_page(folder: str) -> bool:
    """Whether a folder is one that `export_page` wrote."""
    try:
        return json.loads(pathlib.Path(folder, 'model.json').read_text(encoding='utf-8'))['format'] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def validate_channels(loaded: LoadedGenerators, name: str) -> None:
    """Raises UserError for images that the page cannot show."""
    for domain in ('A', 'B'):
        if (channels := loaded.config.data[f'channels_{domain}']) not in CHANNELS:
            raise UserError(
                f'{loaded.where}: images of {channels} channels; a page has those of {" or ".join(map(str, CHANNELS))}'
            )


def file_of(name: str) -> str:
    """The model's file of 'genA2B': 'a2b.onnx'."""
    return f'{direction_of(name).lower()}.onnx'


def write_model(folder: pathlib.Path, loaded: LoadedGenerators, name: str, dtype: str, images: str) -> str:
    """Writes one generator and compares it with JAX; returns a line on that, or raises UserError."""
    from ugatit_jax.export import onnx_file  # needs the extra

    config, direction = loaded.config, direction_of(name).lower()
    side = config.data.image_size
    target = make_target(loaded, direction, 'float32', side if config.model.mlp_pool == 'full' else None, 1)
    path = str(folder / file_of(name))
    onnx_file.write(target, path, None)
    if dtype == 'float16':
        onnx_file.store_weights_in_float16(path)
    samples = sample_images(config, direction, side, images)
    return compare(target._replace(dtype=dtype), onnx_file.load(path), samples, loaded.where, MAX_DIFFERENCE)


def write_sources(folder: pathlib.Path, runtime: dict[str, bytes]) -> None:
    """Writes the page's own files and the runtime, whose large files are compressed here: not every server does."""
    sources = importlib.resources.files('ugatit_jax.export') / 'web'
    for name in SOURCES:
        (folder / name).write_bytes((sources / name).read_bytes())
    for name, content in runtime.items():
        if name.endswith('.wasm'):
            (folder / f'{name}.gz').write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)


def description(folder: pathlib.Path, loaded: LoadedGenerators) -> dict[str, Any]:
    """What model.json tells the page."""
    data, model = loaded.config.data, loaded.config.model
    multiple = side_multiple(model.n_down, model.pixel_unshuffle)
    models = {
        direction_of(name).lower(): {
            'file': file_of(name),
            'bytes': (folder / file_of(name)).stat().st_size,
            'channels': data[f'channels_{source_of(name)}'],
        }
        for name in loaded.generator
    }
    return {
        'format': FORMAT,
        'name': loaded.name,
        'step': loaded.step,
        'weights': loaded.weights,
        'image_size': data.image_size,
        'side_multiple': multiple,
        'min_side': min_side(multiple),
        'fixed_size': model.mlp_pool == 'full',
        'fit': data.fit,
        'background': list(data.background),
        'models': models,
        'runtimes': {kind: sum(size_of_runtime(folder, kind)) for kind in KINDS},
    }


def size_of_runtime(folder: pathlib.Path, kind: str) -> list[int]:
    """Bytes of the files of the runtime for 'wasm' or 'webgpu', as they travel."""
    return [(folder / (f'{name}.gz' if name.endswith('.wasm') else name)).stat().st_size for name in KINDS[kind]]


def sizes(folder: pathlib.Path, runtime: dict[str, bytes]) -> list[str]:
    """Lines on how much a visitor downloads, all models included."""
    rest = sum((folder / name).stat().st_size for name in (*SOURCES, 'model.json'))
    rest += sum(path.stat().st_size for path in folder.glob('*.onnx'))
    travels = {kind: rest + sum(size_of_runtime(folder, kind)) for kind in KINDS}
    unpacked = {kind: rest + sum(len(runtime[name]) for name in KINDS[kind]) for kind in KINDS}
    wasm, webgpu = (f'{travels[kind] / 1e6:.1f} MB ({unpacked[kind] / 1e6:.1f} MB once decompressed)' for kind in KINDS)
    lines = [f'  a visitor downloads {wasm}, or {webgpu} where a GPU is used']
    if travels['webgpu'] > LARGE:
        lines.append(f'  more than {LARGE / 1e6:.0f} MB is long on a phone; --direction=a2b takes one model alone')
    return lines


def put_in_place(folder: pathlib.Path, to: str) -> None:
    """Gives a complete folder its name; the page that was there before is removed then."""
    if not os.path.lexists(to):
        folder.rename(to)
        return
    old = pathlib.Path(to).absolute().parent / partial_name()
    os.rename(to, old)
    try:
        folder.rename(to)
    except OSError:
        os.rename(old, to)
        raise
    shutil.rmtree(old, ignore_errors=True)
