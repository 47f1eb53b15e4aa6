"""Frames a second of a translated film, beside the generator alone on the same frames in memory.

    python -m benchmarks.film_speed --checkpoint=emoji --side=256 --frames=120

The film is made here of test images of the model's domain (benchmarks/film.py, H.264). Both sides run in turn; the medians
of all rounds are compared. 1 would be a film whose decoding and encoding cost no time.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile

import ugatit_jax
from benchmarks.common import make_parser, timed, versions
from benchmarks.film import in_turn, make_film, write_film
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.translate.video import translate_video


def measure(options: argparse.Namespace) -> None:
    """Prints the medians and their ratio."""
    configure_process()
    translator = ugatit_jax.load(options.checkpoint, options.direction)
    film = make_film(translator, 'camera', options.frames, options.side)
    seconds = {'generator': [], 'film': []}
    with tempfile.TemporaryDirectory() as folder:
        path, target = f'{folder}/film.mp4', f'{folder}/translated.mp4'
        write_film(path, film)
        sides = {
            'generator': lambda: in_turn(lambda frames: translator(frames, size='original'), film, translator.batch_size),
            'film': lambda: translate_video(translator, path, target, size='original'),
        }
        sides['generator']()  # compiles
        for _ in range(options.rounds):
            for name, side in sides.items():
                seconds[name].append(timed(side)[1])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f'{name}: {len(film) / value:.1f} frames a second')
    print(f'film: {medians["generator"] / medians["film"]:.3f} of the generator alone')
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({'about': versions(), 'seconds': seconds}, indent=1) + '\n')


def main() -> int:
    """The command line; returns the exit code."""
    parser = make_parser('film_speed', __doc__)
    parser.add_argument('--checkpoint', default='emoji', metavar='MODEL')
    parser.add_argument('--direction', default='a2b', choices=('a2b', 'b2a'))
    parser.add_argument('--side', type=int, default=256, help='pixels (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=120, help='(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=5, help='(default: %(default)s)')
    options = parser.parse_args()
    return run_command(lambda: measure(options))


if __name__ == '__main__':
    sys.exit(main())
