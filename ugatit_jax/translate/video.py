"""Videos, a file in and a file out, by PyAV: frames are translated as they come, the sound is copied.

A frame's image depends on its own statistics alone, as a single image's; nothing holds neighbours together.
"""

import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ugatit_jax.errors import UserError, first_line
from ugatit_jax.files import atomic_file

if TYPE_CHECKING:
    import av

    from ugatit_jax.translate.translator import Translator

SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.wmv', '.flv', '.3gp')
KEPT_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm')  # others become .mkv, which takes any sound
QUALITY = {'libx264': {'crf': '16', 'preset': 'medium'}, 'libvpx-vp9': {'crf': '18', 'b:v': '0'}}  # hardly any loss seen
BT709, UNSPECIFIED = 1, 2  # FFmpeg's numbers of ways to code colours
PIXELS = {1: 'gray', 3: 'rgb24'}


def is_video(path: str) -> bool:
    """By the name's end."""
    return path.lower().endswith(SUFFIXES)


def output_suffix(path: str) -> str:
    """The end of the name that a video's translation gets."""
    suffix = pathlib.Path(path).suffix.lower()
    return suffix if suffix in KEPT_SUFFIXES else '.mkv'


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
    comment: str = '',
    progress: Callable[[int], Any] = lambda frames: None,
) -> int:
    """Translates every frame of `source` into the file `target` and returns their number; raises UserError.

    H.264, or VP9 in .webm, at the input's times; sound streams are copied as they are, subtitles left out. Frames are
    upright and as large as in the input, but for fit='short_side_crop' their middle square. Only batch_size frames are
    held at a time. comment: metadata of the file. progress: called with the number of frames done since the last call.
    """
    require_av()
    import av

    if not {translator.channels, translator.out_channels} <= PIXELS.keys():
        raise UserError(
            f'{translator.loaded.where} has images of {translator.channels} and {translator.out_channels} '
            'channels; videos have 3 or 1'
        )
    try:
        with (
            atomic_file(target) as partial,
            av.open(source) as given,
            av.open(partial, 'w', format=container_format(target)) as made,
        ):
            if not given.streams.video:
                raise UserError('there is no video in it')
            if comment:
                made.metadata['comment'] = comment
            return copy_streams(given, made, translator, size, fit, target, progress)
    except (av.FFmpegError, OSError) as error:
        raise UserError(first_line(error)) from error


def container_format(path: str) -> str:
    """FFmpeg's name of the container, by the name's end."""
    return {'.mkv': 'matroska', '.webm': 'webm', '.mov': 'mov'}.get(pathlib.Path(path).suffix.lower(), 'mp4')


def copy_streams(
    given: 'av.container.InputContainer',
    made: 'av.container.OutputContainer',
    translator: 'Translator',
    size: int | str,
    fit: str | None,
    target: str,
    progress: Callable[[int], Any],
) -> int:
    """Frames through the translator, sound packets as they come; returns the number of frames."""
    video = given.streams.video[0]
    video.thread_type = 'AUTO'
    codec = 'libvpx-vp9' if target.lower().endswith('.webm') else 'libx264'
    sound = {stream.index: made.add_stream_from_template(stream) for stream in given.streams.audio}
    stream, count, waiting = None, 0, []  # sound waits until the first images tell the video's size
    for packets, frames in batches(given, video, translator.batch_size):
        if frames:
            images = np.stack([upright(frame, PIXELS[translator.channels]) for frame in frames])
            images = translator(images.reshape(*images.shape[:3], -1), size=size, fit=fit)
            if stream is None:
                stream = add_video(made, codec, images.shape[2], images.shape[1], video)
            for frame, image in zip(frames, images):
                made.mux(stream.encode(as_frame(image, frame, stream.pix_fmt)))
            count += len(frames)
            progress(len(frames))
        waiting += packets
        if stream is not None:
            for packet in waiting:
                packet.stream = sound[packet.stream.index]
                made.mux(packet)
            waiting = []
    if stream is None:
        raise UserError('there is no frame in it that can be read')
    made.mux(stream.encode())
    return count


def batches(
    given: 'av.container.InputContainer', video: 'av.VideoStream', batch_size: int
) -> Iterator[tuple[list['av.Packet'], list['av.VideoFrame']]]:
    """(sound packets, frames), as the file has them, at most batch_size frames of one size at a time."""
    packets, frames = [], []
    for packet in given.demux([video, *given.streams.audio]):
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


def upright(frame: 'av.VideoFrame', pixels: str) -> np.ndarray:
    """uint8 [h, w, 3] (or [h, w]) of a frame, turned as its player would."""
    # where a file does not say how colours are coded, players take BT.709 for high definition and FFmpeg does not
    unsaid = frame.colorspace == UNSPECIFIED and frame.height >= 720
    image = frame.to_ndarray(format=pixels, src_colorspace='ITU709' if unsaid else None)
    return np.rot90(image, round(frame.rotation / 90) % 4)


def add_video(
    made: 'av.container.OutputContainer', codec: str, width: int, height: int, video: 'av.VideoStream'
) -> 'av.VideoStream':
    """The stream that translated frames go to."""
    stream = made.add_stream(codec, rate=video.average_rate or video.guessed_rate or Fraction(25), options=QUALITY[codec])
    stream.width, stream.height = width, height
    # most players show nothing else; it halves the colours' resolution and so needs even sides
    stream.pix_fmt = 'yuv444p' if width % 2 or height % 2 else 'yuv420p'
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.time_base = video.time_base  # the frames' own times, even where they are irregular
    return stream


def as_frame(image: np.ndarray, given: 'av.VideoFrame', pix_fmt: str) -> 'av.VideoFrame':
    """A translated image, uint8 [h, w, 1 or 3], at the time of the frame it was made of."""
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image.repeat(3 // image.shape[-1], axis=-1)))
    frame = frame.reformat(format=pix_fmt, dst_colorspace='ITU709')
    frame.colorspace = BT709
    frame.pts, frame.time_base = given.pts, given.time_base
    return frame
