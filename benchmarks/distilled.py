"""Trained students beside their teacher: how near they come to its images and to the true ones, on the test emoji.

    python -m benchmarks.distilled --teacher=emoji runs/students/*

For each workdir, checkpoint or model folder: weights of one generator, L1 and perceptual distance to the true images of both
directions, how much larger the L1 is than the teacher's, and PSNR to the teacher's images. Images are uint8, L1 is of 1.
"""

import pathlib
import sys

import jax

import ugatit_jax
from benchmarks.common import make_parser, publish, table, versions
from benchmarks.results_emoji import all_images, test_sources, translate_all
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import make_mesh
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import find_effnet
from ugatit_jax.evaluate.truth import compare
from ugatit_jax.models.names import target_of
from ugatit_jax.translate.defaults import DIRECTIONS

HEAD = ['', 'steps', 'weights', 'L1 a2b', 'b2a', "to the teacher's", '', 'perceptual a2b', 'b2a', 'PSNR dB a2b', 'b2a']


def step_and_weights(path: str) -> tuple[int, int]:
    """Step and number of weights of genA2B."""
    translator = ugatit_jax.load(path, direction='a2b')
    return translator.loaded.step, sum(leaf.size for leaf in jax.tree.leaves(translator.loaded.generator['genA2B']))


def measure(teacher: str, students: list[str]) -> list[list]:
    """Rows of the table, the teacher's first."""
    weights, reason = find_effnet(None)
    if weights is None:
        raise UserError(f'the table has perceptual distances: {reason}')
    effnet = EffnetExtractor(weights, make_mesh(1))
    images = {domain: all_images(source) for domain, source in test_sources().items()}
    taught, teachers, rows = {}, [], []  # the teacher's images, their L1
    for path in [teacher, *students]:
        fakes = translate_all(path, images)
        truth = [compare(fakes[direction], images[target_of(direction)], effnet) for direction in DIRECTIONS]
        l1 = [float(found['l1'].mean()) / 2 for found in truth]  # values in [-1, 1] are twice as far apart
        if not rows:
            taught, teachers, nearness = fakes, l1, ['', '']
        else:
            found = [compare(fakes[direction], taught[direction], None)['psnr'].mean() for direction in DIRECTIONS]
            nearness = [f'{value:.1f}' for value in found]
        rows.append(
            [
                pathlib.Path(path).name,
                *step_and_weights(path),
                *(f'{value:.4f}' for value in l1),
                *(f'{ours / theirs:.3f}' for ours, theirs in zip(l1, teachers)),
                *(f'{found["perceptual"].mean():.3f}' for found in truth),
                *nearness,
            ]
        )
    return rows


def main() -> int:
    """The command line."""
    parser = make_parser('distilled', __doc__)
    parser.add_argument('students', nargs='+', metavar='WORKDIR', help='trained students')
    parser.add_argument('--teacher', default='emoji', help='(default: %(default)s)')
    options = parser.parse_args()
    configure_process()

    def run() -> None:
        info, rows = versions(), measure(options.teacher, options.students)
        print(table(HEAD, rows))
        publish(info, options, rows)

    return run_command(run)


if __name__ == '__main__':
    sys.exit(main())
