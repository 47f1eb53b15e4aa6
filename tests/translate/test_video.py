"""A video in, a video out: images translated, times and sound kept."""

import types
from fractions import Fraction

import numpy as np
import pytest

import ugatit_jax
from tests.helpers.translation import run_translate
from ugatit_jax.errors import UserError
from ugatit_jax.translate import video

av = pytest.importorskip('av', reason='PyAV is not installed: pip install ugatit_jax[video]')

TIMES = [0, 1, 2, 4, 5, 8, 9]  # tenths of seconds, irregular
SIDES = (32, 24)


def write_video(path, sound=True):
    """Frames that brighten from one to the next over a fixed pattern, and a tone."""
    with av.open(str(path), 'w') as made:
        stream = made.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIDES, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 10)
        tone = made.add_stream('aac', rate=8000) if sound else None
        for i, time in enumerate(TIMES):
            pixels = np.full((SIDES[1], SIDES[0], 3), 30 * i, np.uint8)
            pixels[:, 16:] += 40
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = time, Fraction(1, 10)
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
        if sound:
            wave = (8000 * np.sin(np.arange(8192) / 5)).astype(np.int16)
            for start in range(0, 8192, 1024):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], 's16', 'mono')
                frame.sample_rate, frame.pts = 8000, start
                made.mux(tone.encode(frame))
            made.mux(tone.encode())
    return str(path)


def contents(path):
    """Times and images of the frames, bytes of the sound's packets, metadata."""
    with av.open(str(path)) as file:
        frames = [(frame.time, frame.to_ndarray(format='rgb24')) for frame in file.decode(video=0)]
        metadata = dict(file.metadata)
    with av.open(str(path)) as file:
        sound = [bytes(packet) for packet in file.demux(audio=0) if packet.dts is not None] if file.streams.audio else []
    return [time for time, _ in frames], np.stack([pixels for _, pixels in frames]), sound, metadata


class Negative:
    """A translator that inverts brightness."""

    channels = out_channels = 3
    batch_size = 3

    def __init__(self):
        self.largest = 0

    def __call__(self, images, size, fit):
        self.largest = max(self.largest, len(images))
        return 255 - images


@pytest.mark.parametrize('source, target', [('x.mp4', 'y.mp4'), ('x.avi', 'y.mkv')])
def test_frames_are_translated_and_sound_is_copied(tmp_path, source, target):
    negative, done = Negative(), []
    path = write_video(tmp_path / source)
    count = video.translate_video(negative, path, str(tmp_path / target), comment='synthetic', progress=done.append)
    assert count == sum(done) == len(TIMES) and negative.largest == 3  # no more than a batch is ever held
    times, given, sound, _ = contents(path)
    new_times, made, new_sound, metadata = contents(tmp_path / target)
    np.testing.assert_allclose(new_times, times, atol=2e-3)
    assert sound and new_sound == sound
    assert np.mean(abs(made.astype(int) - (255 - given.astype(int)))) < 4 and made[0].mean() > made[-1].mean() + 80
    assert 'synthetic' in {name.lower(): text for name, text in metadata.items()}['comment']
    assert not list(tmp_path.glob('.*partial'))


def test_the_command_takes_videos(workdir, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    write_video(tmp_path / 'in' / 'film.mp4', sound=False)
    (tmp_path / 'in' / 'broken.mp4').write_bytes(b'no video')
    assert run_translate(workdir, tmp_path / 'in', tmp_path / 'out') == 1
    printed = capsys.readouterr()
    assert '1 of 2 translated' in printed.out and 'broken.mp4: ' in printed.err
    _, given, _, _ = contents(tmp_path / 'in' / 'film.mp4')
    _, made, _, metadata = contents(tmp_path / 'out' / 'film.mp4')
    assert 'a2b' in metadata['comment'] and sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['film.mp4']
    expected = ugatit_jax.load(workdir)(given)
    assert made.shape == given.shape
    difference = abs(made.astype(int) - expected).mean(axis=(1, 2, 3))
    assert (difference < 25).all() and difference.mean() < abs(given.astype(int) - expected).mean() / 2
    assert run_translate(workdir, tmp_path / 'in', tmp_path / 'out') == 2 and '--overwrite' in capsys.readouterr().err
    assert run_translate(workdir, tmp_path / 'in' / 'film.mp4', tmp_path / 'new', '--strip') == 2
    assert 'are for images' in capsys.readouterr().err


@pytest.mark.parametrize('rotation, corner', [(0, (0, 0)), (-90, (0, -1)), (90, (-1, 0)), (180, (-1, -1))])
def test_frames_are_turned_as_players_turn_them(rotation, corner):
    """A positive rotation is anticlockwise: the top left corner of a frame at -90 is the top right one to see."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    frame = types.SimpleNamespace(
        rotation=rotation, colorspace=video.BT709, height=4, to_ndarray=lambda format, src_colorspace: pixels
    )
    assert (video.upright(frame, 'rgb24')[corner] == 255).all()


def test_files_without_images_are_refused(tmp_path):
    with av.open(str(tmp_path / 'x.mp4'), 'w') as made:
        tone = made.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), 's16', 'mono')
        frame.sample_rate, frame.pts = 8000, 0
        made.mux(tone.encode(frame))
        made.mux(tone.encode())
    with pytest.raises(UserError, match='no video'):
        video.translate_video(Negative(), str(tmp_path / 'x.mp4'), str(tmp_path / 'y.mp4'))
    assert not (tmp_path / 'y.mp4').exists()
