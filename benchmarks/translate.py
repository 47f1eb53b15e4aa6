"""Speed of translation: images per second of one light generator, beside the official PyTorch one where it is at hand.

    python benchmarks/translate.py                                     # ours alone
    python benchmarks/translate.py --reference=PATH --json=out.json    # PATH: a checkout of the official PyTorch code
    python benchmarks/translate.py --seams=1280                        # also tiled against untiled at that size

Both get the same weights and the same float32 pictures from the host and give theirs back to it; --reference also says how
far their outputs are apart. The two take turns, several rounds; the medians are reported. The first call is not counted.
"""
import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import FrozenConfigDict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from ugatit_jax import default_config
from ugatit_jax.config import resolve
from ugatit_jax.errors import UserError, named_line
from ugatit_jax.networks import make_networks
from ugatit_jax.official import write_networks
from ugatit_jax.released import make_layout
from ugatit_jax.trained import Trained
from ugatit_jax.translator import Translator

Run = Callable[[np.ndarray], np.ndarray]


def make_translator(options: argparse.Namespace, batch_size: int, tile: int = 0) -> Translator:
    """Our light model of the PyTorch release's kind with random weights."""
    config = default_config.get_config()
    config.model.reference, config.model.weight_init = 'pytorch', 'normal'
    config.model.n_layers_global = config.model.n_layers_local = 2  # no discriminator is made: any size may be asked for
    config.model.ch, config.model.n_res, config.data.image_size = options.ch, options.n_res, options.image_size
    config.training.compute_dtype, config.training.scan_blocks = options.compute_dtype, options.scan_blocks
    config = FrozenConfigDict(resolve(config))
    generator = make_networks(config).genA2B
    x = np.zeros((1, 32, 32, 3), np.float32)
    params = jax.device_get(jax.jit(generator.init)(jax.random.key(0, impl='unsafe_rbg'), x)['params'])
    # biases and rho off their defaults, and larger weights: a difference should show
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda w: w + 0.05 * rng.standard_normal(w.shape, np.float32), params)
    return Translator(Trained('none/checkpoints/0', 0, config, 'raw', {'genA2B': params}), 'a2b', tile, batch_size)


def load_reference(translator: Translator, options: argparse.Namespace) -> tuple[Run, dict[str, str]]:
    """The official generator with our weights as a function of NHWC pictures, and versions; raises UserError."""
    try:
        import torch
    except ImportError as error:
        raise UserError('--reference needs torch: pip install torch, or ugatit_jax[torch]') from error
    file = pathlib.Path(options.reference, 'networks.py')
    if not file.is_file():
        raise UserError(f'--reference={options.reference} has no networks.py; it is a checkout of the official PyTorch code')
    spec = importlib.util.spec_from_file_location('official_networks', file)
    module = importlib.util.module_from_spec(spec)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    config = translator.trained.config
    try:
        spec.loader.exec_module(module)
        network = module.ResnetGenerator(
            input_nc=3, output_nc=3, ngf=options.ch, n_blocks=options.n_res, img_size=options.image_size, light=True)
        arrays = write_networks(make_layout('pytorch', config), translator.trained.generator)
        weights = {name.removeprefix('genA2B/'): torch.from_numpy(value.copy()) for name, value in arrays.items()}
        network.load_state_dict(weights)
    except Exception as error:  # whatever foreign code raises
        raise UserError(f'{file} is not the official generator: {named_line(error)}') from error
    network = network.to(device).eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
            return network(x)[0].permute(0, 2, 3, 1).cpu().numpy()
    name = torch.cuda.get_device_name() if device == 'cuda' else 'cpu'
    return run, {'torch': torch.__version__, 'torch_device': name, 'torch_threads': str(torch.get_num_threads())}


def take_turns(runs: dict[str, Run], images: np.ndarray, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of each function, by the clock and of the processor, over rounds in which they take turns."""
    for run in runs.values():
        run(images)
    seconds = {name: ([], []) for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            clock, processor = time.perf_counter(), time.process_time()
            run(images)
            seconds[name][0].append(time.perf_counter() - clock)
            seconds[name][1].append(time.process_time() - processor)
    return seconds


def measure_seams(options: argparse.Namespace) -> dict[str, float]:
    """Tiled against untiled on one picture: largest difference in [-1, 1], that of tiles on their own, and seconds."""
    side, tile = options.seams, options.tile
    rng = np.random.default_rng(1)
    small = rng.uniform(-1, 1, (-(-side // 32), -(-side // 32), 3)).astype(np.float32)
    picture = small.repeat(32, 0).repeat(32, 1)[None, :side, :side]  # patches, so that tiles differ in their statistics
    whole, tiled = make_translator(options, 1), make_translator(options, 1, tile)
    runs = {'untiled': lambda x: whole.run(x).image, 'tiled': lambda x: tiled.tiled(x[0])[0][None]}
    out, seconds = {}, {}
    for name, run in runs.items():
        run(picture)
        start = time.perf_counter()
        out[name] = run(picture)
        seconds[name] = time.perf_counter() - start
    alone = np.zeros_like(out['untiled'])
    for i in range(0, side, tile):
        for j in range(0, side, tile):
            alone[:, i:i + tile, j:j + tile] = whole.run(picture[:, i:i + tile, j:j + tile]).image
    return {
        'difference of tiled from untiled': float(abs(out['tiled'] - out['untiled']).max()),
        'difference of tiles with their own statistics': float(abs(alone - out['untiled']).max()),
        **{f'seconds {name}': value for name, value in seconds.items()}}


def versions() -> dict[str, Any]:
    """What the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'device': jax.devices()[0].device_kind, 'cores': cores, 'load': round(os.getloadavg()[0], 1),
        'machine': platform.machine(), 'python': platform.python_version(), 'jax': jax.__version__}


@dataclasses.dataclass
class Row:
    """One line of the table."""
    batch_size: int
    name: str
    median: float  # images/s
    lowest: float
    highest: float
    cpu_seconds: float  # of an image, over all cores: what tells on a machine that others use too


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--reference', help='checkout of the official PyTorch code (its networks.py)')
    parser.add_argument('--batch_sizes', default='1,8')
    parser.add_argument('--image_size', type=int, default=256)
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--n_res', type=int, default=4)
    parser.add_argument('--compute_dtype', default='float32', help='float32 or bfloat16, of ours')
    parser.add_argument(
        '--scan_blocks', action=argparse.BooleanOptionalAction, default=True,
        help='residual blocks as a loop, in ours (default: yes, as in training)')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--seams', type=int, default=0, metavar='SIDE', help='also tiled against untiled at this size')
    parser.add_argument('--tile', type=int, default=512, help='of --seams (default: 512)')
    parser.add_argument('--json', help='also write the figures to this file')
    options = parser.parse_args()
    info, rows, result = versions(), [], {}
    try:
        for batch_size in map(int, options.batch_sizes.split(',')):
            translator = make_translator(options, batch_size)
            runs: dict[str, Run] = {'ugatit_jax': lambda x, t=translator: t.run(x).image}
            images = np.random.default_rng(0).uniform(-1, 1, (batch_size, *2 * [options.image_size], 3)).astype(np.float32)
            if options.reference:
                runs['official PyTorch'], more = load_reference(translator, options)
                info |= more
                result['difference of outputs'] = float(
                    abs(runs['ugatit_jax'](images) - runs['official PyTorch'](images)).max())
            for name, (clock, processor) in take_turns(runs, images, options.rounds).items():
                rates = [batch_size / seconds for seconds in clock]
                rows.append(Row(batch_size, name, statistics.median(rates), min(rates), max(rates),
                                statistics.median(processor) / batch_size))
        if options.seams:
            result |= measure_seams(options)
    except UserError as error:
        print(f'ugatit_jax: {error}', file=sys.stderr)
        return 2
    print(', '.join(f'{key} {value}' for key, value in info.items()))
    print(f'{"batch":>5}  {"":18} images/s  CPU s/image  lowest to highest images/s of {options.rounds}')
    for row in rows:
        print(f'{row.batch_size:5}  {row.name:18} {row.median:8.2f} {row.cpu_seconds:12.2f}  '
              f'{row.lowest:.2f} to {row.highest:.2f}')
    if not options.reference:
        print('the official generator was not run: --reference=PATH was not given')
    for name, value in result.items():
        print(f'{name}: {value:.3g}')
    everything = {'options': vars(options), 'versions': info, 'rows': [dataclasses.asdict(row) for row in rows], **result}
    print(json.dumps(everything))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
