"""Translates video files with PyAV: frame by frame in batches, audio copied as it is.

Frames are independent of each other, as images are, unless --temporal averages them along the motion (temporal.py).
"""

import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ugatit_jax.data.decode import MAX_PIXELS
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.files import atomic_file
from ugatit_jax.translate.temporal import FilmTranslator

if TYPE_CHECKING:
    import av

    from ugatit_jax.translate.translator import Translator

# FFmpeg opens what a file's content says, whatever its name: without these lists also playlists and scripts, which name
# other files and addresses
CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv'  # those of SUFFIXES, by FFmpeg's names
READER_OPTIONS = {'format_whitelist': CONTAINERS, 'protocol_whitelist': 'file'}
SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp')
OUTPUT_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm')  # others become .mkv, which takes any audio
ENCODER_OPTIONS = {  # constant quality, with hardly any visible loss
    'libx264': {'crf': '16', 'preset': 'medium'},  # FFmpeg's guide: 17 or 18 is visually lossless or nearly so
    'libvpx-vp9': {'crf': '18', 'b:v': '0'},  # of 0 to 63; b:v 0 turns the limit on the bit rate off
}
BT709, UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces, of primaries and of transfer functions alike
HD_HEIGHT = 720  # rows of the smallest high-definition format
DEFAULT_FRAME_RATE = Fraction(25)  # where a file gives none: frames keep their own times anyway
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
) -> int:
    """Translates every frame of `source` into the file `target` and returns their number; raises UserError.

    H.264, or VP9 in .webm, with the input's timestamps; audio streams are copied, subtitles left out. Frames are upright and
    as large as in the input, with fit='short_side_crop' their middle square. Only batch_size frames are held at a time.
    temporal: frames to average over, 0 for none. comment: metadata of the file. progress: called with the
    number of frames done since the last call.
    """
    require_av()
    import av

    if not {translator.channels, translator.out_channels} <= PIXEL_FORMATS.keys():
        raise UserError(
            f'{translator.loaded.where} has images of {translator.channels} and {translator.out_channels} '
            'channels; videos have 3 or 1'
        )
    try:
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
            return translate_streams(reader, writer, translator, frames, target, progress)
    except (av.FFmpegError, OSError) as error:
        raise UserError(first_line(error)) from error


def validate_streams(reader: 'av.container.InputContainer') -> None:
    """Raises UserError where there is no video, or one whose frames are too large to decode."""
    if not reader.streams.video:
        raise UserError('there is no video in it')
    video = reader.streams.video[0]
    if video.width * video.height > MAX_PIXELS:
        raise UserError(f'frames of {video.width}x{video.height} pixels: over the limit of {MAX_PIXELS:,}')


def container_format(path: str) -> str:
    """FFmpeg's name of the container, by the suffix."""
    return {'.mkv': 'matroska', '.webm': 'webm', '.mov': 'mov'}.get(pathlib.Path(path).suffix.lower(), 'mp4')


def translate_streams(
    reader: 'av.container.InputContainer',
    writer: 'av.container.OutputContainer',
    translator: 'Translator',
    translate: Callable[[np.ndarray], np.ndarray],
    target: str,
    progress: Callable[[int], Any],
) -> int:
    """Frames through `translate`, audio packets as they come; returns the number of frames."""
    video = reader.streams.video[0]
    video.thread_type = 'AUTO'
    codec = 'libvpx-vp9' if target.lower().endswith('.webm') else 'libx264'
    audio = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams.audio}
    stream, count, pending = None, 0, []  # audio is pending until the first frames tell the size of the video
    for packets, frames in read_batches(reader, video, translator.batch_size):
        if frames:
            images = np.stack([upright(frame, PIXEL_FORMATS[translator.channels]) for frame in frames])
            images = translate(images.reshape(*images.shape[:3], -1))
            if stream is None:
                stream = add_video_stream(writer, codec, images.shape[2], images.shape[1], video)
            for frame, image in zip(frames, images):
                writer.mux(stream.encode(make_frame(image, frame, stream.pix_fmt)))
            count += len(frames)
            progress(len(frames))
        pending += packets
        if stream is not None:
            for packet in pending:
                packet.stream = audio[packet.stream.index]
                writer.mux(packet)
            pending = []
    if stream is None:
        raise UserError('there is no frame in it that can be read')
    writer.mux(stream.encode())
    return count


def read_batches(
    reader: 'av.container.InputContainer', video: 'av.VideoStream', batch_size: int
) -> Iterator[tuple[list['av.Packet'], list['av.VideoFrame']]]:
    """(audio packets, frames) in the file's order, at most batch_size frames, of one size, at a time; raises UserError."""
    packets, frames = [], []
    for packet in reader.demux([video, *reader.streams.audio]):
        if packet.stream.type == 'audio':
            if packet.dts is not None:  # the empty packet that demux ends with
                packets.append(packet)
            continue
        for frame in packet.decode():
            if frames and (frame.width, frame.height) != (frames[0].width, frames[0].height):
                raise UserError(
                    f'frames change their size, from {frames[0].width}x{frames[0].height} to {frame.width}x{frame.height}'
                )
            frames.append(frame)
            if len(frames) == batch_size:
                yield packets, frames
                packets, frames = [], []
    yield packets, frames


def upright(frame: 'av.VideoFrame', pixel_format: str) -> np.ndarray:
    """uint8 [h, w, 3] (or [h, w]) of a frame, rotated as players rotate it."""
    # where a file does not name its colour space, players take BT.709 for high definition and FFmpeg does not
    unnamed = frame.colorspace == UNSPECIFIED and frame.height >= HD_HEIGHT
    image = frame.to_ndarray(format=pixel_format, src_colorspace='ITU709' if unnamed else None)
    return np.rot90(image, round(frame.rotation / 90) % 4)


def add_video_stream(
    writer: 'av.container.OutputContainer', codec: str, width: int, height: int, video: 'av.VideoStream'
) -> 'av.VideoStream':
    """Adds the stream of the translated frames."""
    rate = video.average_rate or video.guessed_rate or DEFAULT_FRAME_RATE
    stream = writer.add_stream(codec, rate=rate, options=ENCODER_OPTIONS[codec])
    stream.width, stream.height = width, height
    # most players show 4:2:0 only, which has colours at half the resolution and so needs even sides
    stream.pix_fmt = 'yuv444p' if width % 2 or height % 2 else 'yuv420p'
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.time_base = video.time_base  # the input's timestamps, even where they are irregular
    return stream


def make_frame(image: np.ndarray, source: 'av.VideoFrame', pixel_format: str) -> 'av.VideoFrame':
    """A translated image, uint8 [h, w, 1 or 3], as a frame with the timestamp of `source`."""
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image.repeat(3 // image.shape[-1], axis=-1)))
    frame = frame.reformat(format=pixel_format, dst_colorspace='ITU709')
    frame.colorspace = BT709
    frame.pts, frame.time_base = source.pts, source.time_base
    return frame
