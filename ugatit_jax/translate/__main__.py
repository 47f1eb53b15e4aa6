"""Translates images and videos with a trained generator.

    python -m ugatit_jax.translate --checkpoint=WORKDIR --input=FILE|DIR|GLOB --output=DIR --direction=a2b
    python -m ugatit_jax.translate --checkpoint=WORKDIR --input=photo.jpg --output=out.png   (or film.mov, out.mp4)

WORKDIR may be WORKDIR/checkpoints/STEP. Results have the names, sizes and aspect ratios of the inputs. The generator sees
each image at the size of training (--size=train) or at the image's own (--size=original).
"""

import argparse
import logging
import os
import sys

from ugatit_jax.common.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.common.errors import UserError, printable
from ugatit_jax.data.preprocess import FIT_MODES
from ugatit_jax.translate.defaults import DEFAULT_BATCH_SIZE, DEFAULT_TILE, DIRECTIONS, FACE_MODES
from ugatit_jax.translate.output_files import DEFAULT_QUALITY, FORMATS, PAGE_NAME
from ugatit_jax.translate.provenance import parse_credentials


def number_or_name(text: str) -> int | str:
    """A flag's value as an int where it is a number."""
    return int(text) if text.isdecimal() else text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The flags."""
    parser = argument_parser('ugatit_jax.translate', __doc__)
    add = parser.add_argument
    add('--checkpoint', required=True, metavar='WORKDIR_OR_STEP', help='a workdir, or one of its checkpoints/STEP')
    add('--input', required=True, nargs='+', action='extend', metavar='FILE|DIR|GLOB', help='images or videos')
    add(
        '--output',
        required=True,
        metavar='DIR|FILE',
        help='the folder for results, created if it is missing; of one image or video a file',
    )
    add('--direction', type=str.lower, choices=DIRECTIONS, help='from which domain to which (default for one file: a2b)')
    add('--step', type=number_or_name, default='latest', help="'latest' (default), 'best' or a number")
    add(
        '--weights',
        choices=('auto', 'ema', 'raw'),
        default='auto',
        help='auto (default): the averaged ones (ema) if there are any',
    )
    add(
        '--size',
        type=number_or_name,
        default='train',
        metavar='train|original|N',
        help='what the generator sees: squares of the size of training (default) or of N pixels, or the image as it is',
    )
    add('--fit', choices=FIT_MODES, help='how images become squares (default: as in training)')
    add('--format', choices=tuple(FORMATS), default='png', help='of image files (default: png)')
    add('--quality', type=int, default=DEFAULT_QUALITY, help='of jpg and webp, 1 to 100 (default: %(default)s)')
    add('--batch_size', type=int, help=f'images at once (default: {DEFAULT_BATCH_SIZE}, on CPU 1)')
    add(
        '--tile',
        type=int,
        default=DEFAULT_TILE,
        metavar='SIDE',
        help='images above (2 * SIDE)^2 pixels go by tiles, with the same result; 0 for never (default: %(default)s)',
    )
    add(
        '--temporal',
        type=int,
        default=0,
        metavar='FRAMES',
        help='of videos: average about so many frames along the motion, against flicker; 0 (default) for none',
    )
    add('--heatmap', action='store_true', help='also write NAME.heatmap: where the generator looked')
    add('--strip', action='store_true', help='also write NAME.strip: input, heatmap, output, and output translated back')
    add('--compare', action='store_true', help=f'also write {PAGE_NAME}: inputs beside outputs, in one file')
    add(
        '--faces',
        nargs='?',
        choices=FACE_MODES,
        const=FACE_MODES[0],
        default='',
        help='find the faces in photos, translate them with the margin of training sets, and paste them back (paste; also '
        'where nothing follows), or write them as NAME.face1, NAME.face2 ... (crops). Not with videos, --fit, '
        '--size=original, --heatmap or --strip; --compare with paste only (docs/faces.md)',
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument('--overwrite', action='store_true', help='replace results that exist (never inputs)')
    existing.add_argument(
        '--skip_existing',
        action='store_true',
        help='keep results that exist, whatever made them, and make missing ones: for the same command again after '
        'it was killed (a result is there when it is complete)',
    )
    add('--no_metadata', action='store_true', help='do not write into results that they are synthetic, and by which model')
    add(
        '--sign',
        default='',
        metavar='CERT,KEY',
        help='put Content Credentials (C2PA) into images: a signed statement that a generative model made them. Two PEM '
        "files: a certificate, followed by its issuers', and its private key, unencrypted (docs/responsible_use.md)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where some files failed, 2 where nothing could be done."""
    options = parse(arguments)
    configure_logging(logging.WARNING)
    return run_command(lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Translates as the flags say; returns 1 where some files failed, else 0."""
    if not 1 <= options.quality <= 100:
        raise UserError(f'--quality={options.quality}: it is from 1 to 100')
    credentials = parse_credentials(options.sign, options.no_metadata)
    if options.direction is None:
        if len(options.input) > 1 or not os.path.isfile(options.input[0]):
            from ugatit_jax.translate.input_files import expand

            for pattern in options.input:
                expand(pattern)  # a file that is not there is refused as such
            raise UserError(f'--direction is missing: {" or ".join(DIRECTIONS)}')
        options.direction = DIRECTIONS[0]
        print(f'--direction={options.direction}, as none was given; the other is {DIRECTIONS[1]}', file=sys.stderr)
    configure_process()
    from ugatit_jax.translate.translate_files import translate_files
    from ugatit_jax.translate.translator import load

    translator = load(
        options.checkpoint,
        options.direction,
        step=options.step,
        weights=options.weights,
        tile=options.tile,
        batch_size=options.batch_size,
    )
    outcome = translate_files(
        translator,
        options.input,
        options.output,
        size=options.size,
        fit=options.fit,
        temporal=options.temporal,
        image_format=options.format,
        quality=options.quality,
        heatmap=options.heatmap,
        strip=options.strip,
        compare=options.compare,
        overwrite=options.overwrite,
        skip_existing=options.skip_existing,
        faces=options.faces,
        metadata=not options.no_metadata,
        credentials=credentials,
    )
    made, failures = outcome.total - outcome.skipped - len(outcome.failures), outcome.failures
    kept = f', {outcome.skipped} were there already' if options.skip_existing else ''
    print(f'{made} of {outcome.total} translated into {options.output}{kept}')
    if failures:
        print(f'ugatit_jax: {len(failures)} of {outcome.total} files could not be translated:', file=sys.stderr)
        for name, reason in failures:
            print(printable(f'  {name}: {reason}'), file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
