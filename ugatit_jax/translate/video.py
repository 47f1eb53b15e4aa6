"""Translates video files with PyAV: frame by frame in batches, audio copied as it is.

Frames are independent of each other, as images are, unless --temporal averages them along the motion (temporal.py).
"""

import functools
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import atomic_file
from ugatit_jax.data.decode import MAX_PIXELS, convert_channels
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
) -> int:
    """Translates every frame of `source` into the file `target` and returns their number; raises UserError.

    H.264, or VP9 in .webm, with the input's timestamps; audio streams that FFmpeg knows are copied, subtitles left out.
    Frames are upright and as large as in the input, with fit='short_side_crop' their middle square. Three times batch_size
    frames are held at most. temporal: frames to average over, 0 for none. comment: metadata of the file. progress: called
    with the number of frames done since the last call.
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
            return translate_streams(reader, writer, translator, frames, target, progress)
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


def known_audio(reader: 'av.container.InputContainer') -> list['av.AudioStream']:
    """The audio streams that can be copied: phones add some of kinds that FFmpeg does not know."""
    return [stream for stream in reader.streams.audio if stream.codec_context is not None]


def container_format(path: str) -> str:
    """FFmpeg's name of the container, by the suffix."""
    return {'.mkv': 'matroska', '.webm': 'webm', '.mov': 'mov'}.get(pathlib.Path(path).suffix.lower(), 'mp4')


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
) -> int:
    """Frames through `translate`, audio packets as they come; returns the number of frames.

    While one batch is computed, a thread decodes the next one and another encodes the one before.
    """
    video = reader.streams.video[0]
    video.thread_type = 'AUTO'
    batches = read_batches(reader, video, translator)
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


class OutputStreams:
    """The streams of a translated video; the video's own is added when the first frame tells its size."""

    def __init__(
        self,
        reader: 'av.container.InputContainer',
        writer: 'av.container.OutputContainer',
        video: 'av.VideoStream',
        target: str,
    ):
        self.writer, self.video = writer, video
        self.codec = 'libvpx-vp9' if target.lower().endswith('.webm') else 'libx264'
        self.audio = {stream.index: add_audio_stream(writer, stream) for stream in known_audio(reader)}
        self.stream: av.VideoStream | None = None
        self.pending: list[av.Packet] = []  # audio until the video's stream is there

    def write(self, packets: list['av.Packet'], frames: list['av.VideoFrame'], images: Sequence[np.ndarray]) -> None:
        """Encodes translated images, uint8 [h, w, 1 or 3], with the times of their frames, and copies audio packets."""
        if frames and self.stream is None:
            self.stream = add_video_stream(self.writer, self.codec, images[0].shape[1], images[0].shape[0], self.video)
        for frame, image in zip(frames, images):
            self.writer.mux(self.stream.encode(make_frame(image, frame, self.stream.pix_fmt)))
        self.pending += packets
        if self.stream is not None:
            for packet in self.pending:
                packet.stream = self.audio[packet.stream.index]
                self.writer.mux(packet)
            self.pending = []

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        self.writer.mux(self.stream.encode())


def read_batches(
    reader: 'av.container.InputContainer', video: 'av.VideoStream', translator: 'Translator'
) -> Iterator[Batch]:
    """Audio packets and frames in the file's order, at most batch_size frames at a time; raises UserError."""

    def batch() -> Batch:
        images = [upright(frame, translator.channels, translator.background) for frame in frames]
        return Batch(packets, frames, np.stack(images) if images else np.zeros(0, np.uint8))

    packets, frames, size, decoder = [], [], None, decoder_of(video)
    for packet in reader.demux([video, *known_audio(reader)]):
        if packet.stream.type == 'audio':
            if packet.dts is not None:  # the empty packet that demux ends with
                packets.append(packet)
            continue
        for frame in decoder.decode(packet):
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


def add_audio_stream(writer: 'av.container.OutputContainer', source: 'av.AudioStream') -> 'av.AudioStream':
    """Adds a stream for copies of the packets of `source`; raises UserError where the container does not take its kind."""
    try:
        return writer.add_stream_from_template(source)
    except ValueError as error:
        codec = 'libopus' if writer.format.name == 'webm' else 'aac'
        raise UserError(
            f'its sound is {source.codec_context.name}, which cannot be copied into {writer.format.name}; convert it first: '
            f'ffmpeg -i FILE -c:v copy -c:a {codec} NEW.mkv'
        ) from error


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
