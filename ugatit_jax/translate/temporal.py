"""Films without flicker: each frame is blended with the one before, moved to where its parts are now.

The generator sees each frame on its own, so what does not move may still change from frame to frame. Optical flow of the
input says where each pixel was in the frame before; where the input there looks the same, the output may look the same, too.
So the output is an exponential mean along the motion. It begins again at cuts, and where the flow does not fit. Means of the
norms' statistics over frames, gamma and beta included, were tried first: docs/performance-log.md says what came of it.
"""

from typing import TYPE_CHECKING

import numpy as np

from ugatit_jax.common.errors import UserError

if TYPE_CHECKING:
    from ugatit_jax.translate.translator import Translator

HISTOGRAM_BINS = 16  # of each channel
CUT_DISTANCE = 0.3  # histogram_distance above which a frame begins another shot
FLOW_SIDE = 512  # the longer side of the images that flow is found in: it is smooth, and takes long in large ones
FLOW_MIN_SIDE = 16  # smaller images are enlarged: the method refuses some of them
FIT = 12.0  # of 0 to 255: a moved pixel that differs by so much keeps exp(-1) of its weight
FLICKER = 48.0  # likewise, of the outputs: what differs more is another look, whose trace would be seen


class FilmTranslator:
    """A Translator for the frames of one film, in their order."""

    def __init__(self, translator: 'Translator', frames: int):
        """frames: that the means reach over, 1 or more; 1 is frame by frame. Raises UserError as validate_temporal."""
        validate_temporal(frames)
        self.translator, self.keep = translator, 1 - 2 / (frames + 1)  # as pandas' ewm(span=frames)
        self.last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # input, its histogram, output as float32

    def __call__(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """The next frames, uint8 [T, h, w, C] -> the same translated, uint8."""
        translated = self.translator(images, size=size, fit=fit)
        h, w = translated.shape[1:3]  # smaller where fit is short_side_crop, the middle square
        top, left = (images.shape[1] - h) // 2, (images.shape[2] - w) // 2
        return np.stack([self.blend(*pair) for pair in zip(images[:, top : top + h, left : left + w], translated)])

    def blend(self, image: np.ndarray, translated: np.ndarray) -> np.ndarray:
        """The next frame's input and output, uint8 [h, w, C] -> the output blended with those before."""
        histogram, made = colour_histogram(image), translated.astype(np.float32)
        if self.last is not None:
            last_image, last_histogram, last_made = self.last
            if histogram_distance(histogram, last_histogram) <= CUT_DISTANCE:
                places = motion(image, last_image)
                differs = np.abs(image - move(last_image.astype(np.float32), places)).max(axis=-1, keepdims=True)
                change = move(last_made, places) - made
                largest = np.abs(change).max(axis=-1, keepdims=True)
                fits = np.exp(-np.square(differs / FIT) - np.square(largest / FLICKER))
                made += self.keep * fits * inside(places) * change
        self.last = image, histogram, made
        return made.round().clip(0, 255).astype(np.uint8)


def validate_temporal(frames: int) -> None:
    """Raises UserError for numbers below 1, and where OpenCV is not installed."""
    if frames < 1:
        raise UserError(f'--temporal={frames}: it is a number of frames, 1 or more')
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UserError("--temporal needs OpenCV: pip install 'ugatit_jax[temporal]'") from error


def motion(image: np.ndarray, last_image: np.ndarray) -> np.ndarray:
    """Where each pixel of an image uint8 [h, w, C] was in the one before: float32 [h, w, 2], (x, y)."""
    import cv2

    shape = image.shape[:2]
    scale = min(1.0, FLOW_SIDE / max(shape))
    size = tuple(max(FLOW_MIN_SIDE, round(side * scale)) for side in shape[::-1])
    grey = [cv2.resize(grey_of(one), size, interpolation=cv2.INTER_AREA) for one in (image, last_image)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    flow = cv2.resize(flow, shape[::-1]) * np.float32([shape[1] / size[0], shape[0] / size[1]])
    return flow + np.stack(np.meshgrid(*map(np.arange, shape[::-1])), axis=-1).astype(np.float32)


def grey_of(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w, C] of 1 or 3 channels as [h, w]."""
    import cv2

    return image[..., 0] if image.shape[-1] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def move(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """float32 [h, w, C] read at places [h, w, 2]; cubic, as blur adds up from frame to frame."""
    import cv2

    return cv2.remap(image, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).reshape(image.shape)


def inside(places: np.ndarray) -> np.ndarray:
    """Whether places [h, w, 2] were in the picture: bool [h, w, 1]."""
    return ((places >= 0) & (places <= np.array(places.shape[1::-1]) - 1)).all(axis=-1, keepdims=True)


def colour_histogram(frame: np.ndarray) -> np.ndarray:
    """Shares of the values of a frame uint8 [h, w, C], by channel: [C, HISTOGRAM_BINS], whose sum is 1."""
    bins = frame.reshape(-1, frame.shape[-1]) // (256 // HISTOGRAM_BINS)
    counts = [np.bincount(channel, minlength=HISTOGRAM_BINS) for channel in bins.T]
    return np.stack(counts) / bins.size


def histogram_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the L1 distance of two histograms: 0 for equal ones to 1."""
    return float(np.abs(a - b).sum() / 2)
