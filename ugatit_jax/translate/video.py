"""Translates video files with PyAV: frame by frame in batches, audio copied as it is.

Frames are independent of each other, as images are, unless --temporal averages them along the motion (temporal.py).
"""

import functools
import logging
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import atomic_file
from ugatit_jax.data.decode import MAX_PIXELS, convert_channels
from ugatit_jax.translate.temporal import FilmTranslator
from ugatit_jax.translate.video_writer import OutputStreams, container_format, known_audio

if TYPE_CHECKING:
    import av

    from ugatit_jax.translate.translator import Translator

logger = logging.getLogger(__name__)

# FFmpeg opens what a file's content says, whatever its name: without these lists also playlists and scripts, which name
# other files and addresses
CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv'  # those of SUFFIXES, by FFmpeg's names
READER_OPTIONS = {'format_whitelist': CONTAINERS, 'protocol_whitelist': 'file'}
SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp')
OUTPUT_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm')  # others become .mkv, which takes any audio
UNSPECIFIED = 2  # FFmpeg's number of a colour space that a file does not name
HD_HEIGHT = 720  # rows of the smallest high-definition format
ALPHA_DECODERS = {'vp8': 'libvpx', 'vp9': 'libvpx-vp9'}  # of .webm: FFmpeg's own decoders leave out what is transparent
PIXEL_FORMATS = {1: 'gray', 3: 'rgb24'}  # by channels


def is_video(path: str) -> bool:
    """Whether a file is a video, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def output_suffix(path: str) -> str:
    """The suffix of a video's translation."""
    suffix = pathlib.Path(path).suffix.lower()
    return suffix if suffix in OUTPUT_SUFFIXES else '.mkv'


def require_av() -> None:
    """Raises UserError where PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError('videos need PyAV: pip install av, or ugatit_jax[video]') from error


def translate_video(
    translator: 'Translator',
    source: str,
    target: str,
    *,
    size: int | str = 'train',
    fit: str | None = None,
    temporal: int = 0,
    comment: str = '',
    progress: Callable[[int], Any] = lambda frames: None,
    say: Callable[[str], Any] = logger.warning,
) -> int:
    """Translates every frame of `source` into the file `target` and returns their number; raises UserError.

    H.264, or VP9 in .webm, with the input's timestamps; audio streams that FFmpeg knows are copied, subtitles left out.
    Frames are upright and as large as in the input, with fit='short_side_crop' their middle square. Three times batch_size
    frames are held at most. temporal: frames to average over, 0 for none. comment: metadata of the file. progress: called
    with the number of frames done since the last call. say: called with a line about damaged packets, which are left out.
    """
    require_av()
    import av

    if not {translator.channels, translator.out_channels} <= PIXEL_FORMATS.keys():
        raise UserError(
            f'{translator.loaded.where} has images of {translator.channels} and {translator.out_channels} '
            'channels; videos have 3 or 1'
        )
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise UserError('not a regular file')  # opening a named pipe would block
        with (
            atomic_file(os.path.abspath(target)) as partial,  # a relative path may look like a URL: 12:30 film.mp4
            av.open(os.path.abspath(source), options=READER_OPTIONS) as reader,
            av.open(partial, 'w', format=container_format(target)) as writer,
        ):
            validate_streams(reader)
            if comment:
                writer.metadata['comment'] = comment
            translate = FilmTranslator(translator, temporal) if temporal else translator
            frames = functools.partial(translate, size=size, fit=fit)
            return translate_streams(reader, writer, translator, frames, target, progress, say)
    except (av.FFmpegError, OSError) as error:
        raise UserError(re.sub(r'^\[Errno \d+\] ', '', first_line(error))) from error  # FFmpeg's numbers say nothing


def validate_streams(reader: 'av.container.InputContainer') -> None:
    """Raises UserError where there is no video, one of an unknown kind, or one whose frames are too large to decode."""
    if not reader.streams.video:
        raise UserError('there is no video in it')
    video = reader.streams.video[0]
    if video.codec_context is None:
        raise UserError('its video is of a kind that FFmpeg does not know')
    if video.width * video.height > MAX_PIXELS:
        raise UserError(f'frames of {video.width}x{video.height} pixels: over the limit of {MAX_PIXELS:,}')


class Batch(NamedTuple):
    """What lies between two batches of frames in a file, and those that follow it."""

    packets: list['av.Packet']  # of audio
    frames: list['av.VideoFrame']  # of one size
    images: np.ndarray  # of the frames, upright: uint8 [n, h, w, C]


def translate_streams(
    reader: 'av.container.InputContainer',
    writer: 'av.container.OutputContainer',
    translator: 'Translator',
    translate: Callable[[np.ndarray], np.ndarray],
    target: str,
    progress: Callable[[int], Any],
    say: Callable[[str], Any],
) -> int:
    """Frames through `translate`, audio packets as they come; returns the number of frames.

    While one batch is computed, a thread decodes the next one and another encodes the one before.
    """
    video = reader.streams.video[0]
    video.thread_type = 'AUTO'
    batches = read_batches(reader, video, translator, say)
    output, count = OutputStreams(reader, writer, video, target), 0
    with ThreadPoolExecutor(1) as decoding, ThreadPoolExecutor(1) as encoding:
        ahead, written = decoding.submit(next, batches, None), encoding.submit(output.write, [], [], [])
        while (batch := ahead.result()) is not None:
            ahead = decoding.submit(next, batches, None)
            images = translate(batch.images) if batch.frames else []
            written.result()  # so at most one batch waits, and an error ends the work
            written = encoding.submit(output.write, batch.packets, batch.frames, images)
            count += len(batch.frames)
            progress(len(batch.frames))
        written.result()
    if not count:
        raise UserError('there is no frame in it that can be read')
    output.finish()
    return count


def read_batches(
    reader: 'av.container.InputContainer', video: 'av.VideoStream', translator: 'Translator', say: Callable[[str], Any]
) -> Iterator[Batch]:
    """Audio packets and frames in the file's order, at most batch_size frames at a time; raises UserError.

    Packets that cannot be decoded are left out, and `say` is called with a line about them.
    """
    import av

    def batch() -> Batch:
        images = [upright(frame, translator.channels, translator.background) for frame in frames]
        return Batch(packets, frames, np.stack(images) if images else np.zeros(0, np.uint8))

    packets, frames, size, decoder = [], [], None, decoder_of(video)
    total = damaged = 0
    for packet in reader.demux([video, *known_audio(reader)]):
        if packet.stream.type == 'audio':
            if packet.dts is not None:  # the empty packet that demux ends with
                packets.append(packet)
            continue
        total += packet.size > 0  # not the empty packet at the end
        try:
            decoded = decoder.decode(packet)
        except av.error.InvalidDataError:
            decoded, damaged = [], damaged + 1
        for frame in decoded:
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise UserError(
                    f'frames change their size, from {size[0]}x{size[1]} to {frame.width}x{frame.height}; convert it to one '
                    'size first: ffmpeg -i FILE -vf scale=WIDTH:HEIGHT NEW'
                )
            frames.append(frame)
            if len(frames) == translator.batch_size:
                yield batch()
                packets, frames = [], []
    if damaged:
        name = os.path.basename(reader.name)
        say(f'{name}: {damaged} of {total} packets are damaged: their frames and those that build on them are left out')
    yield batch()


def decoder_of(video: 'av.VideoStream') -> 'av.VideoCodecContext':
    """The decoder of a stream's packets."""
    import av

    name = ALPHA_DECODERS.get(video.codec_context.name)
    if video.metadata.get('alpha_mode') != '1' or name not in av.codecs_available:
        return video.codec_context
    decoder = av.CodecContext.create(name, 'r')
    decoder.thread_type = 'AUTO'
    return decoder


def upright(frame: 'av.VideoFrame', channels: int, background: tuple[int, int, int]) -> np.ndarray:
    """uint8 [h, w, channels] of a frame, rotated as players rotate it, and over `background` where it is transparent."""
    # where a file does not name its colour space, players take BT.709 for high definition and FFmpeg does not
    unnamed = frame.colorspace == UNSPECIFIED and frame.height >= HD_HEIGHT
    transparent = any(component.is_alpha for component in frame.format.components)
    pixel_format = 'rgba' if transparent else PIXEL_FORMATS[channels]
    image = frame.to_ndarray(format=pixel_format, src_colorspace='ITU709' if unnamed else None)
    if transparent:
        image = np.asarray(convert_channels(Image.fromarray(image), channels, background))
    return np.rot90(image.reshape(*image.shape[:2], channels), round(frame.rotation / 90) % 4)
