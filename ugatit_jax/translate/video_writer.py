"""Writes translated frames as H.264 or VP9, and copies the sound beside them, with PyAV."""

import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ugatit_jax.common.errors import UserError

if TYPE_CHECKING:
    import av

ENCODER_OPTIONS = {  # constant quality, with hardly any visible loss
    'libx264': {'crf': '16', 'preset': 'medium'},  # FFmpeg's guide: 17 or 18 is visually lossless or nearly so
    'libvpx-vp9': {'crf': '18', 'b:v': '0'},  # of 0 to 63; b:v 0 turns the limit on the bit rate off
}
BT709 = 1  # FFmpeg's number of colour spaces, of primaries and of transfer functions alike
DEFAULT_FRAME_RATE = Fraction(25)  # where a file gives none: frames keep their own times anyway


def known_audio(reader: 'av.container.InputContainer') -> list['av.AudioStream']:
    """The audio streams that can be copied: phones add some of kinds that FFmpeg does not know."""
    return [stream for stream in reader.streams.audio if stream.codec_context is not None]


def container_format(path: str) -> str:
    """FFmpeg's name of the container, by the suffix."""
    return {'.mkv': 'matroska', '.webm': 'webm', '.mov': 'mov'}.get(pathlib.Path(path).suffix.lower(), 'mp4')


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
