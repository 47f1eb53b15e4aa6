"""Averages along the motion: what flickers is calmed, what moves stays sharp, cuts start anew."""

import sys

import cv2
import numpy as np
import pytest

from tests.helpers.translation import run_translate
from tests.helpers.videos import contents, write_video
from ugatit_jax.common.errors import UserError
from ugatit_jax.translate.temporal import FLOW_SIDE, FilmTranslator, motion

FRAMES, SIDE = 12, 64


def texture(seed, height=SIDE, width=2 * SIDE):
    """A smooth random image uint8 [height, width, 3]."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def pan(picture, step=2):
    """Frames [FRAMES, SIDE, SIDE, 3] of a window that moves to the right."""
    return np.stack([picture[:, step * i : step * i + SIDE] for i in range(FRAMES)])


class Flicker:
    """A translator that changes every other frame's brightness by 20, in place of a network."""

    def __init__(self):
        self.count = 0

    def __call__(self, images, size, fit):
        made = []
        for image in images:
            made.append((image * 0.8 + 20 * (self.count % 2)).astype(np.uint8))
            self.count += 1
        return np.stack(made)


def flicker_of(frames):
    """Mean change between frames that are moved onto each other."""
    return np.mean([np.abs(a[:, 2:].astype(float) - b[:, :-2]).mean() for a, b in zip(frames, frames[1:])])


def error_of(frames, film):
    """Mean distance to the translation without flicker, of which half is seen at each frame."""
    return np.abs(frames - (film * 0.8 + 10)).mean()


@pytest.mark.parametrize('batch', [FRAMES, 5])
def test_flicker_is_calmed_along_the_motion(batch):
    film = pan(texture(0))
    film_translator = FilmTranslator(Flicker(), 8)
    made = np.concatenate([film_translator(film[i : i + batch]) for i in range(0, FRAMES, batch)])
    plain = Flicker()(film, 'train', None)
    assert made.dtype == np.uint8 and made.shape == film.shape
    assert flicker_of(made) < 0.5 * flicker_of(plain)
    assert error_of(made[6:], film[6:]) < 0.6 * error_of(plain[6:], film[6:])
    np.testing.assert_array_equal(made[0], plain[0])  # nothing is before the first frame
    sharpness = [np.abs(np.diff(frames[6:].astype(float), axis=2)).mean() for frames in (made, plain)]
    assert sharpness[0] > 0.95 * sharpness[1]


def test_one_frame_is_frame_by_frame():
    film = pan(texture(0))
    np.testing.assert_array_equal(FilmTranslator(Flicker(), 1)(film), Flicker()(film, 'train', None))


def test_a_cut_and_a_large_change_of_the_output_start_anew():
    dark, light = texture(0) // 3, 170 + texture(1) // 3
    film = np.concatenate([pan(dark), pan(light)])
    made, plain = FilmTranslator(Flicker(), 8)(film), Flicker()(film, 'train', None)
    np.testing.assert_array_equal(made[FRAMES], plain[FRAMES])
    assert (made[FRAMES + 1] != plain[FRAMES + 1]).any()
    # the input stands still, the output changes altogether: no ghost of it
    looks = iter(np.stack([np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 250, np.uint8)])[:, None])
    still = FilmTranslator(lambda images, size, fit: next(looks), 8)
    still(film[:1])
    assert still(film[:1]).min() >= 249


def test_what_is_new_in_the_picture_is_not_averaged():
    film = np.repeat(texture(0)[None, :, :SIDE], 2, axis=0)
    film[1, 16:48, 16:48] = 255 - film[1, 16:48, 16:48]  # appears
    made, plain = FilmTranslator(Flicker(), 16)(film), Flicker()(film, 'train', None)
    differs = np.abs(made[1].astype(int) - plain[1]).max(axis=-1)
    assert differs[22:42, 22:42].mean() < 0.25 * differs[:8].mean()


def test_the_motion_of_large_frames_is_found_in_smaller_copies():
    picture = texture(0, FLOW_SIDE, 2 * FLOW_SIDE + 64)
    frames = [picture[:, 12 * i : 12 * i + 2 * FLOW_SIDE] for i in range(2)]
    moved = motion(frames[1], frames[0])[100:-100, 100:-100]
    x = np.arange(2 * FLOW_SIDE)[100:-100]
    assert np.abs(moved[..., 0] - x - 12).mean() < 1
    assert np.abs(moved[..., 1] - np.arange(FLOW_SIDE)[100:-100, None]).mean() < 1


@pytest.mark.parametrize('height, width', [(8, 8), (1, 3), (6, 2000)])
def test_frames_too_small_for_the_flow(height, width):
    film = np.full((3, height, width, 3), 100, np.uint8)
    film[1] += 8
    made = FilmTranslator(lambda images, size, fit: images, 3)(film)
    assert made.shape == film.shape and (film[0] < made[1]).all() and (made[1] < film[1]).all()


def test_grey_frames_and_the_middle_square():
    film = np.concatenate([pan(texture(0)), pan(texture(1))], axis=2)[..., :1]  # twice as wide as high
    middle = slice(SIDE // 2, SIDE // 2 + SIDE)
    square = FilmTranslator(lambda images, size, fit: Flicker()(images[:, :, middle], size, fit), 8)
    whole = FilmTranslator(Flicker(), 8)
    difference = square(film)[:, 8:-8, 8:-8].astype(float) - whole(film)[:, 8:-8, middle][:, :, 8:-8]
    assert np.abs(difference).mean() < 0.5


def test_the_command_averages_videos_and_refuses_images(workdir, tmp_path, capsys, monkeypatch):
    pytest.importorskip('av', reason='PyAV is not installed: pip install ugatit_jax[video]')
    path = write_video(tmp_path / 'film.mp4', sound=False, frames=pan(texture(0)), times=range(FRAMES))
    assert (
        run_translate(workdir, path, tmp_path / 'plain')
        == run_translate(workdir, path, tmp_path / 'calm', '--temporal=8')
        == 0
    )
    plain, calm = (contents(tmp_path / name / 'film.mp4')[1].astype(float) for name in ('plain', 'calm'))
    assert calm.shape == plain.shape
    assert flicker_of(calm) < 0.95 * flicker_of(plain)
    cv2.imwrite(str(tmp_path / 'image.png'), texture(0))
    capsys.readouterr()
    assert run_translate(workdir, tmp_path / 'image.png', tmp_path / 'out', '--temporal=8') == 2
    assert '--temporal is for videos; there are only images' in capsys.readouterr().err
    assert run_translate(workdir, path, tmp_path / 'out', '--temporal=-1') == 2
    assert '--temporal=-1: it is a number of frames, 1 or more' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(UserError, match=r"needs OpenCV: pip install 'ugatit_jax\[temporal\]'"):
        FilmTranslator(None, 4)
