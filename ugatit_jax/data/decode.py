"""Bytes of one image to uint8 pixels: the only place where images are decoded.

Pillow judges by content, never by the name. What it does not do by itself is done here: EXIF orientation, 16 bit greys
scaled instead of clipped, float TIFF, alpha over a colour, limits on the number of pixels, and reasons that say what to
do. Arrays of other channel counts come as .npy files. Embedded colour profiles are applied where that is asked for.
"""

import dataclasses
import io
import math
import struct

import numpy as np
from PIL import Image, ImageCms

MAX_PIXELS = 89_478_485  # Pillow's own warning threshold: an image of 256 MB once decoded as RGB
MIN_SIDE = 2  # a one-pixel image is a tracking pixel or a failed download, never training data
HASH_SIDE = 16  # the perceptual hash has 16 x 16 bits
_NPY_MAGIC = b'\x93NUMPY'
_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF tag 274 -> what makes the image upright
_EXIF_ERRORS = (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, AttributeError, struct.error)
_PILLOW_MODE = {1: 'L', 3: 'RGB', 4: 'RGBA'}


class DecodeError(Exception):
    """An image that cannot be used; the message is the reason, without the file's name."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a scan keeps of a readable image: its size and a perceptual hash (256 bits as hex)."""

    width: int
    height: int
    hash: str


def decode(
    data: bytes,
    channels: int = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    draft_side: int = 0,
    to_srgb: bool = False,
) -> np.ndarray:
    """Decodes an image to uint8 [H, W, channels]; large JPEGs may come smaller, but no side below `draft_side`.

    to_srgb: applies an embedded colour profile, for images that go on to files without one.
    """
    return _decode(data, channels, background, draft_side, to_srgb)[0]


def probe(data: bytes, channels: int = 3) -> Probe:
    """Reads every byte of an image as `decode` does and returns what the scan needs, or raises DecodeError."""
    # At 1/8 scale a JPEG still decodes all its entropy-coded data, so damage is found, at a third of the time.
    pixels, (width, height) = _decode(data, channels, (255, 255, 255), draft_side=2 * HASH_SIDE)
    return Probe(width, height, difference_hash(pixels))


def difference_hash(pixels: np.ndarray) -> str:
    """Hash of uint8 [H, W, C]: is each cell of a 16 x 16 grid brighter than its left neighbour? 64 hex digits."""
    grey = Image.fromarray(pixels[..., :3].mean(axis=-1).astype(np.uint8))
    cells = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BILINEAR), np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def _decode(
    data: bytes, channels: int, background: tuple, draft_side: int, to_srgb: bool = False
) -> tuple[np.ndarray, tuple[int, int]]:
    if not data:
        raise DecodeError('empty file')
    if data.startswith(_NPY_MAGIC):
        pixels = _decode_npy(data, channels)
        return pixels, (pixels.shape[1], pixels.shape[0])
    if channels not in _PILLOW_MODE:
        raise DecodeError(f'images hold 1, 3 or 4 channels, not {channels}: other counts are read from .npy files')
    try:
        return _decode_pillow(data, channels, background, draft_side, to_srgb)
    except DecodeError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their parsing met: OSError, SyntaxError, struct.error ...
        raise DecodeError(_reason(data, error)) from error


def _decode_npy(data: bytes, channels: int) -> np.ndarray:
    stream = io.BytesIO(data)
    try:  # the header first: numpy would allocate what a forged header asks for
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read_header(stream)
    except (ValueError, KeyError) as error:
        raise DecodeError(f'damaged .npy header: {error}') from error
    if dtype not in (np.uint8, np.uint16):
        raise DecodeError(f'.npy array of {dtype}: uint8 or uint16 wanted')
    if len(shape) not in (2, 3):
        raise DecodeError(f'.npy array of shape {shape}: [height, width, channels] wanted')
    found = shape[2] if len(shape) == 3 else 1
    if found != channels:
        raise DecodeError(f'.npy array of {found} channels where the configuration says {channels}')
    _check_size(shape[1], shape[0])
    if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise DecodeError(f'truncated .npy file: {len(data) - stream.tell()} bytes for shape {shape}')
    pixels = np.load(io.BytesIO(data), allow_pickle=False).reshape(*shape[:2], channels)
    return _to_8_bit(pixels) if pixels.dtype == np.uint16 else np.ascontiguousarray(pixels)


def _decode_pillow(data: bytes, channels: int, background: tuple, draft_side: int, to_srgb: bool):
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        _check_size(width, height)
        if draft_side and image.format in ('JPEG', 'MPO'):
            image.draft(None, (draft_side, draft_side))
        image.load()
        orientation = _read_orientation(image)
        image = _to_8_bit_image(image)
        if to_srgb:
            image = _to_srgb(image)
        image = _convert(image, channels, background)
    if orientation in _ORIENTATION:
        image = image.transpose(_ORIENTATION[orientation])
        if orientation >= 5:
            width, height = height, width
    pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], channels), (width, height)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DecodeError(f'{width}x{height} pixels: over the limit of {MAX_PIXELS:,} (a decompression bomb?)')
    if min(width, height) < MIN_SIDE:
        raise DecodeError(f'{width}x{height} pixels: no side may be below {MIN_SIDE}')


def _read_orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(274, 1)
    except _EXIF_ERRORS:  # damaged EXIF beside whole pixels: it says no orientation, the image is good
        return 1


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Scales 16 bit values to uint8, rounded: 65535 = 255 * 257."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _to_8_bit_image(image: Image.Image) -> Image.Image:
    """Scales 16 bit grey and float greys of 0..1, which Pillow's own conversion would clip."""
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG'):  # older Pillow: 'I' for such PNGs
        return Image.fromarray(_to_8_bit(np.asarray(image)))
    if image.mode == 'I':
        raise DecodeError('32 bit integer grey has no known range of values: save it with 8 or 16 bits')
    if image.mode == 'F':
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (low >= 0.0 and high <= 1.0):  # also true for NaN
            raise DecodeError(f'float image with values from {low:g} to {high:g}: 0 to 1 wanted')
        return Image.fromarray(np.rint(values * 255.0).astype(np.uint8))
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    """Applies the embedded profile of an RGB, CMYK or grey image; one that is damaged or of another kind is ignored."""
    profile = image.info.get('icc_profile')
    if profile and (image.mode in ('P', 'PA') or 'transparency' in image.info):
        image = image.convert('RGBA')
    if not profile or image.mode not in ('RGB', 'CMYK', 'L', 'RGBA'):
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = 'RGBA' if image.mode == 'RGBA' else 'RGB'
        return ImageCms.profileToProfile(image, given, ImageCms.createProfile('sRGB'), outputMode=wanted)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _convert(image: Image.Image, channels: int, background: tuple) -> Image.Image:
    has_alpha = image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info
    if has_alpha:
        image = image.convert('RGBA')
        if channels == 4:
            return image
        image = Image.alpha_composite(Image.new('RGBA', image.size, (*background, 255)), image)
    return image if image.mode == _PILLOW_MODE[channels] else image.convert(_PILLOW_MODE[channels])


def _reason(data: bytes, error: Exception) -> str:
    if data.startswith(b'version https://git-lfs'):
        return 'a git LFS pointer, not the image: run git lfs pull'
    if isinstance(error, Image.DecompressionBombError):
        return f'a decompression bomb: {error}'
    if isinstance(error, Image.UnidentifiedImageError):
        head = data[:200]
        if all(byte in b'\t\n\r\f' or byte >= 32 for byte in head):
            text = ' '.join(head.decode('utf-8', 'replace').split())
            return f'not an image but text: {text[:40]!r}'
        return f'not an image that Pillow knows (starts with {data[:8].hex(" ")})'
    return f'damaged: {type(error).__name__}: {str(error)[:120]}'
