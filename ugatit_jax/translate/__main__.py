"""Images and videos through a trained generator.

    python -m ugatit_jax.translate --checkpoint=WORKDIR --input=FILE|DIR|GLOB --output=DIR --direction=a2b

WORKDIR may be WORKDIR/checkpoints/STEP. Results keep the names of the inputs, and their size and aspect. Each image
goes through the generator at the size it was trained at (--size=train), or as it is (--size=original).
"""

import argparse
import logging
import sys

from ugatit_jax.command import configure_logging, configure_process, run_command
from ugatit_jax.data.preprocess import FIT_MODES
from ugatit_jax.errors import UserError, printable
from ugatit_jax.translate.files import translate
from ugatit_jax.translate.outputs import FORMATS, PAGE
from ugatit_jax.translate.translator import DIRECTIONS, load


def number_or_name(text: str) -> int | str:
    """A flag's value: a number where it is one."""
    return int(text) if text.isdecimal() else text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog='python -m ugatit_jax.translate', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--checkpoint', required=True, metavar='WORKDIR_OR_STEP', help='a workdir, or one of its checkpoints/STEP')
    add('--input', required=True, nargs='+', metavar='FILE|DIR|GLOB', help='images or videos, one or more of these')
    add('--output', required=True, metavar='DIR', help='where results go; made where it is missing')
    add('--direction', required=True, choices=tuple(DIRECTIONS), help='which domain the inputs are of, and become')
    add('--step', type=number_or_name, default='latest', help="'latest' (default), 'best' or a number")
    add('--weights', choices=('auto', 'ema', 'raw'), default='auto', help='default: averaged ones where there are some')
    add(
        '--size',
        type=number_or_name,
        default='train',
        metavar='train|original|N',
        help='what the generator sees: squares of the size it was trained at (default) or of N, or the image as it is',
    )
    add('--fit', choices=FIT_MODES, help='how images become squares (default: as in training)')
    add('--format', choices=tuple(FORMATS), default='png', help='of images (default: png)')
    add('--quality', type=int, default=95, help='of jpg and webp, 1 to 100 (default: 95)')
    add('--batch_size', type=int, help='images at once (default: 8, on CPU 1)')
    add(
        '--tile',
        type=int,
        default=512,
        metavar='SIDE',
        help='images above (2 * SIDE)^2 pixels go by tiles, with the same result; 0 for never (default: 512)',
    )
    add('--heatmap', action='store_true', help='also write NAME.heatmap: where the generator looked')
    add('--strip', action='store_true', help='also write NAME.strip: input, heatmap, output, and back again')
    add('--compare', action='store_true', help=f'also write {PAGE}: inputs beside outputs, in one file')
    add('--overwrite', action='store_true', help='replace results that exist (never inputs)')
    add('--no_metadata', action='store_true', help='leave out that an image is synthetic, and of which model')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where some files failed, 2 where nothing could be done."""
    options = parse(arguments)
    configure_logging(logging.WARNING)
    return run_command(lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Translates as the flags say; returns 1 where some files failed."""
    configure_process()
    if not 1 <= options.quality <= 100:
        raise UserError(f'--quality={options.quality}: it is from 1 to 100')
    translator = load(
        options.checkpoint,
        options.direction,
        step=options.step,
        weights=options.weights,
        tile=options.tile,
        batch_size=options.batch_size,
    )
    count, failures = translate(
        translator,
        options.input,
        options.output,
        size=options.size,
        fit=options.fit,
        suffix=options.format,
        quality=options.quality,
        heatmap=options.heatmap,
        strip=options.strip,
        compare=options.compare,
        overwrite=options.overwrite,
        metadata=not options.no_metadata,
    )
    print(f'{count - len(failures)} of {count} translated into {options.output}')
    if failures:
        print(f'ugatit_jax: {len(failures)} of {count} files could not be translated:', file=sys.stderr)
        for name, reason in failures:
            print(printable(f'  {name}: {reason}'), file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
