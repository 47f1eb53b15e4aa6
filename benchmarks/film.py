"""Flicker of translated films: frame by frame, averaged along the motion (--temporal), and averaged in place.

    python -m benchmarks.film --checkpoint=emoji --direction=a2b --frames=48

The films are made here of test images of the model's domain, two shots with a cut between them: `camera` pans and zooms over
images laid side by side; in `objects` three images move over a plain background, which is empty at first. Warping error:
mean |frame_t - frame_(t-1) warped by the optical flow of the input| of values in [0, 1], where the input itself fits (as Lai
et al. 2018, Learning Blind Video Temporal Consistency); flow by OpenCV's DIS. Sharpness: mean magnitude of the gradient, as
a share of frame by frame. Needs opencv-python-headless. --save writes what was compared as one film, side by side.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

import ugatit_jax
from benchmarks.common import make_parser, table
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.models.networks import source_of
from ugatit_jax.translate.temporal import FilmTranslator, colour_histogram, histogram_distance
from ugatit_jax.translate.translator import Translator

CELLS = 5  # images in a row and a column of what the camera sees
FIT = 0.1  # largest difference, of values in [0, 1], of the warped input where the flow is believed


def film_of_objects(images: np.ndarray, frames: int, side: int) -> np.ndarray:
    """uint8 [frames, side, side, 3]: images uint8 [n, h, w, 3], without their white, enter and cross a background."""
    film, rng = [], np.random.default_rng(0)
    for background in ((230, 240, 255), (255, 255, 255)):
        chosen = rng.choice(len(images), 3, replace=False)
        for t in np.linspace(0, 1, frames // 2):
            canvas = Image.new('RGB', (side, side), background)
            for j, i in enumerate(chosen):
                shape = Image.fromarray((images[i].min(axis=-1) < 245).astype(np.uint8) * 255)
                scale = images.shape[1] / (0.56 * side)
                x, y = (1.72 * t - 0.47 * j - 0.62) * side, (0.08 + 0.2 * j) * side
                placed = [
                    one.transform((side, side), Image.Transform.AFFINE, (scale, 0, -x * scale, 0, scale, -y * scale), 3)
                    for one in (Image.fromarray(images[i]), shape)
                ]
                canvas.paste(placed[0], (0, 0), placed[1])
            film.append(np.asarray(canvas))
    return np.stack(film)


def film_of_a_camera(images: np.ndarray, frames: int, side: int) -> np.ndarray:
    """uint8 [frames, side, side, 3] of a camera over images uint8 [n, h, w, 3]."""
    shots = []
    for shot in range(2):
        chosen = np.random.default_rng(shot).choice(len(images), CELLS**2, replace=len(images) < CELLS**2)
        rows = [np.concatenate(images[chosen[i : i + CELLS]], axis=1) for i in range(0, CELLS**2, CELLS)]
        board = Image.fromarray(np.concatenate(rows))
        n = frames // 2
        for t in np.linspace(0, 1, n):
            width = board.width / CELLS * (1.6 - 0.5 * t)  # zooms in
            x, y = (board.width - width) * (0.1 + 0.5 * t), (board.height - width) * (0.3 + 0.3 * np.sin(3 * t))
            box = (x, y, x + width, y + width)
            shots.append(np.asarray(board.resize((side, side), Image.Resampling.BICUBIC, box)))
    return np.stack(shots)


FILMS = {'camera': film_of_a_camera, 'objects': film_of_objects}


def make_film(translator: Translator, film: str, frames: int, side: int) -> np.ndarray:
    """One of FILMS, uint8 [frames, side, side, 3], of test images of the domain that a model translates."""
    source = open_source(resolve(translator.loaded.config), source_of(translator.direction), 'test')
    return FILMS[film](np.stack([source.read(i) for i in range(len(source))]), frames, side)


def flows(film: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each frame but the first: where its pixels were in the one before [h, w, 2], and where that fits [h, w]."""
    import cv2

    finder, result = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), []
    grid = np.stack(np.meshgrid(*map(np.arange, film.shape[2:0:-1])), axis=-1).astype(np.float32)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film]
    for t in range(1, len(film)):
        places = grid + finder.calc(grey[t], grey[t - 1], None)
        inside = ((places >= 0) & (places <= np.array(film.shape[2:0:-1]) - 1)).all(axis=-1)
        fits = np.abs(warp(film[t - 1] / 255, places) - film[t] / 255).max(axis=-1) < FIT
        result.append((places, inside & fits))
    return result


def warp(frame: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The frame [h, w, C] read at `places` [h, w, 2]."""
    import cv2

    return cv2.remap(frame.astype(np.float32), places, None, cv2.INTER_LINEAR)


def warping_error(film: np.ndarray, found: list[tuple[np.ndarray, np.ndarray]], cut: int) -> float:
    """The mean over frames, without that of the cut."""
    errors = [
        np.abs(film[t] / 255 - warp(film[t - 1] / 255, places))[fits].mean()
        for t, (places, fits) in enumerate(found, start=1)
        if t != cut
    ]
    return float(np.mean(errors))


def sharpness(film: np.ndarray) -> float:
    """Mean magnitude of the gradient of values in [0, 1]."""
    dy, dx = np.gradient(film.astype(np.float64) / 255, axis=(1, 2))
    return float(np.hypot(dx, dy).mean())


def blur(film: np.ndarray, frames: int, cut: int) -> np.ndarray:
    """The exponential mean over frames of the film itself, started again at the cut."""
    keep, mean, result = 1 - 2 / (frames + 1), None, []
    for t, frame in enumerate(film.astype(np.float64)):
        mean = frame if mean is None or t == cut else keep * mean + (1 - keep) * frame
        result.append(mean)
    return np.stack(result).round().astype(np.uint8)


def methods(translator: Translator, spans: list[int], cut: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Film -> translated film, by name."""
    result = {'frame by frame': lambda film: in_turn(translator, film)}
    for span in spans:
        result[f'--temporal={span}'] = lambda film, span=span: in_turn(FilmTranslator(translator, span), film)
        result[f'in place over {span}'] = lambda film, span=span: blur(in_turn(translator, film), span, cut)
    return result


def in_turn(translate: Callable[..., np.ndarray], film: np.ndarray, batch_size: int = 8) -> np.ndarray:
    """Frames in batches, as a video is read."""
    return np.concatenate([translate(film[i : i + batch_size]) for i in range(0, len(film), batch_size)])


def measure(options: argparse.Namespace) -> None:
    """Prints the table."""
    configure_process()
    translator = ugatit_jax.load(options.checkpoint, options.direction, batch_size=8)
    film = make_film(translator, options.film, options.frames, translator.image_size)
    found, cut = flows(film), len(film) // 2
    distances = [histogram_distance(colour_histogram(film[t]), colour_histogram(film[t - 1])) for t in range(1, len(film))]
    results, films = [], {'input': film}
    results.append({'method': 'input', 'warping': warping_error(film, found, cut), 'sharpness': sharpness(film)})
    for name, translate in methods(translator, options.spans, cut).items():
        films[name] = made = translate(film)
        results.append({'method': name, 'warping': warping_error(made, found, cut), 'sharpness': sharpness(made)})
    base = results[1]
    rows = [
        (
            row['method'],
            f'{row["warping"]:.4f}',
            f'{row["warping"] / base["warping"]:.2f}',
            f'{row["sharpness"] / base["sharpness"]:.2f}',
        )
        for row in results
    ]
    print(table(('', 'warping error', 'of frame by frame', 'sharpness'), rows))
    print(f'colour histograms of consecutive frames differ by at most {max(np.delete(distances, cut - 1)):.2f}, ', end='')
    print(f'at the cut by {distances[cut - 1]:.2f}')
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + '\n')
    if options.save:
        write_film(options.save, np.concatenate(list(films.values()), axis=2))


def write_film(path: str, film: np.ndarray) -> None:
    """Writes frames uint8 [T, h, w, 3] as a video of 12 frames a second."""
    import av

    with av.open(path, 'w') as writer:
        stream = writer.add_stream('libx264', rate=12, options={'crf': '12'})
        stream.width, stream.height, stream.pix_fmt = film.shape[2], film.shape[1], 'yuv420p'
        for frame in film:
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))))
        writer.mux(stream.encode())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = make_parser('film', __doc__)
    parser.add_argument('--checkpoint', default='emoji', metavar='MODEL')
    parser.add_argument('--direction', default='a2b', choices=('a2b', 'b2a'))
    parser.add_argument('--film', default='camera', choices=FILMS)
    parser.add_argument('--frames', type=int, default=48)
    parser.add_argument('--spans', type=int, nargs='+', default=[4, 8, 16, 32], metavar='FRAMES')
    parser.add_argument('--save', metavar='FILE.mp4')
    options = parser.parse_args(arguments)
    return run_command(lambda: measure(options))


if __name__ == '__main__':
    sys.exit(main())
