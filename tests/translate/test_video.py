"""A video in, a video out: images translated, times and sound kept."""

import os
import pathlib
import threading
import types

import jax
import numpy as np
import pytest

import ugatit_jax
from tests.helpers.translation import run_translate
from tests.helpers.videos import SIDES, TIMES, contents, write_video
from ugatit_jax.common.errors import UserError
from ugatit_jax.translate import video
from ugatit_jax.translate.translator import Translator
from ugatit_jax.translate.video_writer import BT709

av = pytest.importorskip('av', reason='PyAV is not installed: pip install ugatit_jax[video]')


class Negative:
    """A translator that inverts brightness."""

    channels = out_channels = 3
    batch_size = 3
    background = (0, 128, 255)

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


SCRIPTS = {  # what FFmpeg would follow to other files and addresses
    'ffconcat': b"ffconcat version 1.0\nfile '%s'\n",
    'hls': b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n',
    'hls over http': b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n',
    'sdp': b'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n'
    b'a=rtpmap:96 H264/90000\n',
    'dash': b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    b'mimeType="video/mp4"><Representation id="1"><BaseURL>%s</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize('name', SCRIPTS)
def test_scripts_that_name_other_files_are_not_followed(tmp_path, name):
    other = write_video(tmp_path / 'other.mp4', sound=False)
    (tmp_path / 'film.mp4').write_bytes(SCRIPTS[name].replace(b'%s', other.encode()))
    if name == 'ffconcat':  # FFmpeg alone would follow it
        (tmp_path / 'near.mp4').write_bytes(SCRIPTS[name].replace(b'%s', b'other.mp4'))
        with av.open(str(tmp_path / 'near.mp4'), options={'safe': '0'}) as followed:
            assert followed.streams.video
        (tmp_path / 'near.mp4').rename(tmp_path / 'film.mp4')
    with pytest.raises(UserError) as error:
        video.translate_video(Negative(), str(tmp_path / 'film.mp4'), str(tmp_path / 'out.mp4'))
    assert '\n' not in str(error.value) and not (tmp_path / 'out.mp4').exists()


@pytest.mark.parametrize('name', ['12:30 film.mp4', 'http:film.mp4', 'concat:a|b.mp4', '-i.mp4', 'pipe:0.mp4'])
def test_any_name_of_a_file_is_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / 'x.mp4', sound=False)
    (tmp_path / 'x.mp4').rename(tmp_path / name)
    (tmp_path / 'out').mkdir()
    monkeypatch.chdir(tmp_path / 'out')
    assert video.translate_video(Negative(), f'../{name}', name) == len(TIMES)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == [name]
    monkeypatch.chdir(tmp_path)
    assert video.translate_video(Negative(), name, f'2{name}') == len(TIMES)


@pytest.mark.parametrize('suffix', video.SUFFIXES)
def test_all_containers_of_the_listed_suffixes_are_read(tmp_path, suffix):
    muxer = {'.wmv': 'asf', '.ts': 'mpegts', '.m4v': 'mp4', '.mpg': 'mpeg', '.3gp': 'mp4'}.get(suffix)
    codec = {'.mpg': 'mpeg1video', '.mpeg': 'mpeg1video', '.webm': 'libvpx-vp9', '.flv': 'flv', '.ts': 'mpeg2video'}
    with av.open(str(tmp_path / f'x{suffix}'), 'w', format=muxer) as made:
        stream = made.add_stream(codec.get(suffix, 'mpeg4'), rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIDES, 'yuv420p'
        for i in range(3):  # noise: of a file of a few bytes the format cannot be told
            noise = np.random.default_rng(i).integers(0, 256, (SIDES[1], SIDES[0], 3), np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        made.mux(stream.encode())
    assert video.translate_video(Negative(), str(tmp_path / f'x{suffix}'), str(tmp_path / 'out.mp4')) == 3


def write_one_frame(path, codec, pixel_format, image, frames=1, muxer=None):
    """A film of one image: uint8 [h, w, 3], or [h, w, 4] with alpha."""
    with av.open(str(path), 'w', format=muxer) as made:
        stream = made.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], pixel_format
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(image, format='rgba' if image.shape[-1] == 4 else 'rgb24')
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize('name, codec, pixel_format', [('x.mkv', 'ffv1', 'bgra'), ('x.webm', 'libvpx-vp9', 'yuva420p')])
def test_transparent_frames_are_seen_over_the_background(tmp_path, name, codec, pixel_format):
    """Hidden colours, here red, are not seen, as in images."""
    image = np.zeros((24, 32, 4), np.uint8) + np.uint8([255, 0, 0, 0])
    image[:, :16] = 10, 200, 30, 255
    write_one_frame(tmp_path / name, codec, pixel_format, image, frames=4)
    assert video.translate_video(Negative(), str(tmp_path / name), str(tmp_path / 'out.mp4')) == 4
    made = 255 - contents(tmp_path / 'out.mp4')[1][0].astype(int)
    assert abs(made[4:20, 4:12] - (10, 200, 30)).max() < 8 and abs(made[4:20, 20:28] - Negative.background).max() < 8


def test_damaged_packets_are_left_out_and_named(tmp_path):
    path, lines = pathlib.Path(write_video(tmp_path / 'x.mp4')), []
    with av.open(str(path)) as film:
        places = [(packet.pos, packet.size) for packet in film.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    place, size = places[3]
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    count = video.translate_video(Negative(), str(path), str(tmp_path / 'y.mp4'), say=lines.append)
    times, _, sound, _ = contents(tmp_path / 'y.mp4')
    np.testing.assert_allclose(times, np.delete(TIMES, 3) / 10, atol=2e-3)
    assert count == len(TIMES) - 1 and sound
    assert lines == ['x.mp4: 1 of 7 packets are damaged: their frames and those that build on them are left out']
    for place, size in places:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(UserError, match='no frame in it that can be read'):
        video.translate_video(Negative(), str(path), str(tmp_path / 'z.mp4'), say=lines.append)
    assert not (tmp_path / 'z.mp4').exists() and not list(tmp_path.glob('.*partial'))


def test_films_of_ten_bits_are_read(tmp_path):
    image = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    write_one_frame(tmp_path / 'x.mkv', 'ffv1', 'yuv422p10le', image)
    assert video.translate_video(Negative(), str(tmp_path / 'x.mkv'), str(tmp_path / 'out.mp4')) == 1
    assert abs(255 - contents(tmp_path / 'out.mp4')[1].astype(int) - image).max() < 8


@pytest.mark.parametrize('batch_size', [1, 3])
def test_films_whose_size_changes_are_refused(tmp_path, monkeypatch, batch_size):
    """As recordings of calls: with any batch size, and nothing is left behind."""
    monkeypatch.setattr(Negative, 'batch_size', batch_size)
    shots = [
        write_one_frame(tmp_path / f'{side}.ts', 'mpeg2video', 'yuv420p', np.zeros((side, side, 3), np.uint8), frames=3)
        for side in (32, 48)
    ]
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'x.ts').write_bytes(b''.join(shots))
    with pytest.raises(UserError, match='size, from 32x32 to 48x48; convert it'):
        video.translate_video(Negative(), str(tmp_path / 'in' / 'x.ts'), str(tmp_path / 'in' / 'out.mp4'))
    assert [path.name for path in (tmp_path / 'in').iterdir()] == ['x.ts']


def test_the_next_batch_is_decoded_while_one_is_computed(tmp_path, monkeypatch):
    """Translating the first batch waits until the second one is decoded, and the second until the first is encoded."""
    events = {name: [threading.Event() for _ in range(3)] for name in ('decoded', 'encoded')}
    read_batches, write = video.read_batches, video.OutputStreams.write

    def read(*arguments):
        for batch, event in zip(read_batches(*arguments), events['decoded']):
            event.set()
            yield batch

    def encode(self, packets, frames, images):
        write(self, packets, frames, images)
        if frames:
            next(event for event in events['encoded'] if not event.is_set()).set()

    monkeypatch.setattr(video, 'read_batches', read)
    monkeypatch.setattr(video.OutputStreams, 'write', encode)
    waited = iter([events['decoded'][1], events['encoded'][0], events['encoded'][1]])

    class Waiting(Negative):
        def __call__(self, images, size, fit):
            assert next(waited).wait(20)
            return super().__call__(images, size, fit)

    path = write_video(tmp_path / 'x.mp4')
    assert video.translate_video(Waiting(), path, str(tmp_path / 'y.mp4')) == len(TIMES)


def test_an_error_of_the_encoder_ends_the_work(tmp_path, monkeypatch):
    """Not when the whole film is translated: at most one batch waits for the encoder."""
    done = []

    def fail(self, packets, frames, images):
        if frames:
            raise OSError(28, 'No space left on device')

    monkeypatch.setattr(video.OutputStreams, 'write', fail)
    path = write_video(tmp_path / 'x.mp4', sound=False, frames=np.zeros((24, 24, 32, 3), np.uint8), times=range(24))
    with pytest.raises(UserError, match='No space left'):
        video.translate_video(Negative(), path, str(tmp_path / 'y.mp4'), progress=done.append)
    assert len(done) <= 2 and not list(tmp_path.glob('*y.mp4*'))


def test_frames_too_large_to_decode_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(video, 'MAX_PIXELS', SIDES[0] * SIDES[1] - 1)
    path = write_video(tmp_path / 'x.mp4', sound=False)
    with pytest.raises(UserError, match='frames of 32x24 pixels: over the limit'):
        video.translate_video(Negative(), path, str(tmp_path / 'out.mp4'))


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
        rotation=rotation,
        colorspace=BT709,
        height=4,
        format=types.SimpleNamespace(components=()),
        to_ndarray=lambda format, src_colorspace: pixels,
    )
    assert (video.upright(frame, 3, (0, 0, 0))[corner] == 255).all()


def write_with_sound(path, codec, muxer=None):
    """A film of three frames with sound in a codec."""
    with av.open(str(path), 'w', format=muxer) as made:
        stream, tone = made.add_stream('mpeg4', rate=25), made.add_stream(codec, rate=8000, layout='mono')
        stream.width, stream.height, stream.pix_fmt = *SIDES, 'yuv420p'
        for _ in range(3):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((SIDES[1], SIDES[0], 3), np.uint8))))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), 's16', 'mono')
        frame.sample_rate, frame.pts = 8000, 0
        made.mux([*tone.encode(frame), *stream.encode(), *tone.encode()])


def test_sound_that_the_result_cannot_hold_is_named(tmp_path):
    write_with_sound(tmp_path / 'x.mp4', 'pcm_mulaw', muxer='mov')
    with pytest.raises(UserError, match='its sound is pcm_mulaw, which cannot be copied into mp4; convert it first: ffmpeg'):
        video.translate_video(Negative(), str(tmp_path / 'x.mp4'), str(tmp_path / 'y.mp4'))
    assert [path.name for path in tmp_path.iterdir()] == ['x.mp4']
    with pytest.raises(UserError, match='copied into webm; convert it first: ffmpeg -i FILE -c:v copy -c:a libopus'):
        video.translate_video(Negative(), str(tmp_path / 'x.mp4'), str(tmp_path / 'y.webm'))


def test_streams_of_unknown_kinds(tmp_path):
    """Sound is left out, as of phones that record a second one for themselves; images are refused."""
    write_with_sound(tmp_path / 'x.mov', 'pcm_s16le')
    content = (tmp_path / 'x.mov').read_bytes()
    (tmp_path / 'sound.mov').write_bytes(content.replace(b'sowt', b'zzzz'))
    assert video.translate_video(Negative(), str(tmp_path / 'sound.mov'), str(tmp_path / 'y.mov')) == 3
    assert not contents(tmp_path / 'y.mov')[2]
    (tmp_path / 'images.mov').write_bytes(content.replace(b'mp4v', b'zzzz').replace(b'esds', b'zzzz'))
    with pytest.raises(UserError, match='of a kind that FFmpeg does not know'):
        video.translate_video(Negative(), str(tmp_path / 'images.mov'), str(tmp_path / 'z.mov'))


def test_files_that_are_no_films_are_named_without_numbers(tmp_path):
    (tmp_path / 'text.mp4').write_text('no film')
    os.mkfifo(tmp_path / 'pipe.mp4')
    for name, message in (('text', '^Invalid data'), ('none', '^No such file'), ('pipe', '^not a regular file')):
        with pytest.raises(UserError, match=message):
            video.translate_video(Negative(), str(tmp_path / f'{name}.mp4'), str(tmp_path / 'y.mp4'))


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


def test_a_film_that_takes_too_much_memory_is_named_and_the_others_are_made(workdir, tmp_path, capsys, monkeypatch):
    (tmp_path / 'in').mkdir()
    write_video(tmp_path / 'in' / 'a.mp4', sound=False)
    write_video(tmp_path / 'in' / 'b.mp4', sound=False, frames=np.zeros((2, 40, 40, 3), np.uint8), times=range(2))
    fit_and_run = Translator.fit_and_run

    def run(self, images, size, fit):
        if images.shape[1] == 40:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')
        return fit_and_run(self, images, size, fit)

    monkeypatch.setattr(Translator, 'fit_and_run', run)
    assert run_translate(workdir, tmp_path / 'in', tmp_path / 'out') == 1
    assert 'b.mp4: RESOURCE_EXHAUSTED: out of memory; a smaller --batch_size' in capsys.readouterr().err
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['a.mp4']


def test_one_film_may_have_a_file(workdir, tmp_path, capsys):
    source, target = tmp_path / 'x.avi', tmp_path / 'new' / 'out.mp4'
    write_video(source, sound=False)
    assert run_translate(workdir, source, target) == 0 and f'into {target}' in capsys.readouterr().out
    assert [path.name for path in target.parent.iterdir()] == ['out.mp4'] and len(contents(target)[0]) == len(TIMES)
    assert run_translate(workdir, source, target) == 2 and 'out.mp4 exists; --overwrite' in capsys.readouterr().err
    assert run_translate(workdir, source, source, '--overwrite') == 2  # no .avi is written
    assert 'videos are written as .mp4, .m4v' in capsys.readouterr().err
    assert run_translate(workdir, target, target, '--overwrite') == 2 and 'no input is' in capsys.readouterr().err
    assert run_translate(workdir, tmp_path, tmp_path / 'all.mp4') == 2
    assert 'all.mp4 is one video, and --input=' in capsys.readouterr().err
    assert run_translate(workdir, source, tmp_path / 'x.png') == 2 and 'x.png is one image' in capsys.readouterr().err
    (tmp_path / 'bad.mov').write_text('no film')
    assert run_translate(workdir, tmp_path / 'bad.mov', tmp_path / 'made.mp4') == 1
    assert '  bad.mov: Invalid data' in capsys.readouterr().err and not (tmp_path / 'made.mp4').exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ['bad.mov', 'x.avi']


def test_films_that_are_done_are_kept_with_any_flag(workdir, tmp_path, capsys):
    """The same command again, after it ended."""
    pytest.importorskip('cv2', reason='OpenCV is not installed: pip install ugatit_jax[temporal]')
    write_video(tmp_path / 'x.mp4', sound=False)
    flags = '--temporal=2', '--skip_existing'
    assert [run_translate(workdir, tmp_path / 'x.mp4', tmp_path / 'out', *flags) for _ in range(2)] == [0, 0]
    assert '0 of 1 translated' in capsys.readouterr().out
