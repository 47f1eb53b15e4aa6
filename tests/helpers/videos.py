"""Small videos, written and read by PyAV."""

from fractions import Fraction

import numpy as np

TIMES = [0, 1, 2, 4, 5, 8, 9]  # tenths of seconds, irregular
SIDES = (32, 24)


def brightening_frames():
    """Frames that brighten from one to the next over a fixed pattern: uint8 [n, h, w, 3]."""
    frames = np.stack([np.full((SIDES[1], SIDES[0], 3), 30 * i, np.uint8) for i in range(len(TIMES))])
    frames[:, :, 16:] += 40
    return frames


def write_video(path, sound=True, frames=None, times=TIMES):
    """Frames uint8 [n, h, w, 3], by default brightening_frames, at `times` in tenths of seconds, and a tone."""
    import av

    frames = brightening_frames() if frames is None else frames
    with av.open(str(path), 'w') as made:
        stream = made.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 10)
        tone = made.add_stream('aac', rate=8000) if sound else None
        for pixels, time in zip(frames, times):
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
    import av

    with av.open(str(path)) as file:
        frames = [(frame.time, frame.to_ndarray(format='rgb24')) for frame in file.decode(video=0)]
        metadata = dict(file.metadata)
    with av.open(str(path)) as file:
        sound = [bytes(packet) for packet in file.demux(audio=0) if packet.dts is not None] if file.streams.audio else []
    return [time for time, _ in frames], np.stack([pixels for _, pixels in frames]), sound, metadata
