"""Bytes of one image to uint8 pixels: the only place where images are decoded.

Pillow recognises formats by content, whatever the name, of those in FORMATS. Done here, because Pillow does not: EXIF
orientation, 16 bit greys scaled instead of clipped, float TIFF, alpha over a background colour, limits on the number of
pixels, and reasons that say what to do. Images of other channel counts are .npy files. Embedded colour profiles are applied
on request.
"""

import dataclasses
import io
import math
import struct

import numpy as np
from PIL import Image, ImageCms

MAX_PIXELS = 89_478_485  # Pillow's own warning threshold: 256 MB once decoded as RGB
MIN_SIDE = 2  # a one-pixel image is a tracking pixel or a failed download, never training data
HASH_SIDE = 16  # the perceptual hash has 16 x 16 bits: enough to tell aligned faces apart (scan.NEAR_DUPLICATE_BITS)
NPY_MAGIC = b'\x93NUMPY'
ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # from the value of EXIF tag 274 to what makes the image upright
EXIF_ERRORS = (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, AttributeError, struct.error)
ANIMATED = ('GIF', 'WEBP', 'PNG', 'AVIF', 'TIFF')  # formats that may hold several images; of an MPO the others are previews
PILLOW_MODE = {1: 'L', 3: 'RGB', 4: 'RGBA'}


# what is opened, and nothing else that Pillow knows: for EPS it starts Ghostscript, which runs the program in the file
FORMATS = ('PNG', 'JPEG', 'WEBP', 'GIF', 'BMP', 'DIB', 'TIFF', 'AVIF', 'JPEG2000', 'PPM', 'TGA', 'QOI', 'ICO', 'PCX', 'SGI')


class DecodeError(Exception):
    """An image that cannot be used; the message is the reason, without the file's name."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a scan keeps of a readable image: its size, a perceptual hash (256 bits as hex) and how many frames it has."""

    width: int
    height: int
    hash: str
    frames: int = 1


def decode(
    data: bytes,
    channels: int = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    draft_side: int = 0,
    to_srgb: bool = False,
    plain: bool = False,
) -> np.ndarray:
    """Decodes an image to uint8 [H, W, channels]; raises DecodeError.

    With `draft_side` a large JPEG may be decoded at a reduced size, with no side below it. `to_srgb` applies an embedded
    colour profile, for images that go on to files without one. `plain` is Pillow's conversion alone, as torch-fidelity,
    clean-fid and the authors' tool read images: no EXIF rotation, alpha dropped, values above 8 bits clipped.
    """
    return decode_with_size(data, channels, background, draft_side, to_srgb, plain)[0]


def probe(data: bytes, channels: int = 3) -> Probe:
    """Reads every byte of an image as `decode` does and returns what the scan needs, or raises DecodeError."""
    # at 1/8 scale a JPEG still decodes all its entropy-coded data, so damage is found, in a third of the time
    pixels, (width, height) = decode_with_size(data, channels, (255, 255, 255), draft_side=2 * HASH_SIDE)
    return Probe(width, height, difference_hash(pixels), count_frames(data))


def open_image(data: bytes) -> Image.Image:
    """An image of one of FORMATS, by its content, whose pixels are not read yet; raises whatever Pillow's readers do."""
    Image.init()
    return Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])  # a build may lack some


def count_frames(data: bytes) -> int:
    """How many frames or pages an image has, of which `decode` takes the first; 1 for what it does not decode."""
    try:
        with open_image(data) as image:
            return getattr(image, 'n_frames', 1) if image.format in ANIMATED else 1
    except Exception:  # whatever Pillow's readers raise; `decode` says why
        return 1


def difference_hash(pixels: np.ndarray) -> str:
    """Hash of uint8 [H, W, C], 64 hex digits: a bit says whether a cell of a 16 x 16 grid is brighter than its left one."""
    grey = Image.fromarray(pixels[..., :3].mean(axis=-1).astype(np.uint8))
    cells = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BILINEAR), np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def decode_with_size(
    data: bytes,
    channels: int,
    background: tuple[int, int, int],
    draft_side: int,
    to_srgb: bool = False,
    plain: bool = False,
) -> tuple[np.ndarray, tuple[int, int]]:
    """As `decode`, with the (width, height) of the upright image before any reduction."""
    if not data:
        raise DecodeError('empty file')
    if data.startswith(NPY_MAGIC):
        pixels = decode_npy(data, channels)
        return pixels, (pixels.shape[1], pixels.shape[0])
    if channels not in PILLOW_MODE:
        raise DecodeError(f'images hold 1, 3 or 4 channels, not {channels}: other counts are read from .npy files')
    try:
        return decode_pillow(data, channels, background, draft_side, to_srgb, plain)
    except DecodeError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their parsing met: OSError, SyntaxError, struct.error ...
        raise DecodeError(failure_reason(data, error)) from error


def decode_npy(data: bytes, channels: int) -> np.ndarray:
    """Decodes a .npy file of uint8 or uint16 [H, W, channels] or [H, W]."""
    stream = io.BytesIO(data)
    try:  # the header first: NumPy would allocate whatever a forged one asks for
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read_header(stream)
    except (ValueError, KeyError) as error:
        raise DecodeError(f'damaged .npy header: {error}') from error
    if dtype not in (np.uint8, np.uint16):
        raise DecodeError(f'.npy array of {dtype}: expected uint8 or uint16')
    if len(shape) not in (2, 3):
        raise DecodeError(f'.npy array of shape {shape}: expected [height, width, channels]')
    found = shape[2] if len(shape) == 3 else 1
    if found != channels:
        raise DecodeError(f'.npy array of {found} channels where the configuration says {channels}')
    validate_size(shape[1], shape[0])
    if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise DecodeError(f'truncated .npy file: {len(data) - stream.tell()} bytes for shape {shape}')
    pixels = np.load(io.BytesIO(data), allow_pickle=False).reshape(*shape[:2], channels)
    return to_8_bit(pixels) if pixels.dtype == np.uint16 else np.ascontiguousarray(pixels)


def decode_pillow(
    data: bytes, channels: int, background: tuple[int, int, int], draft_side: int, to_srgb: bool, plain: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decodes an image of one of FORMATS; raises whatever Pillow's readers do."""
    with open_image(data) as image:
        width, height = image.size
        validate_size(width, height)
        if draft_side and image.format in ('JPEG', 'MPO'):
            image.draft(None, (draft_side, draft_side))
        image.load()
        if plain:
            pixels = np.array(image.convert(PILLOW_MODE[channels]))
            return pixels.reshape(*pixels.shape[:2], channels), (width, height)
        orientation = read_orientation(image)
        image = to_8_bit_image(image)
        if to_srgb:
            image = convert_to_srgb(image)
        image = convert_channels(image, channels, background)
    if orientation in ORIENTATION:
        image = image.transpose(ORIENTATION[orientation])
        if orientation >= 5:  # those that exchange rows and columns
            width, height = height, width
    pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], channels), (width, height)


def validate_size(width: int, height: int) -> None:
    """Raises DecodeError for images too large to decode or too small to be one."""
    if width * height > MAX_PIXELS:
        raise DecodeError(f'{width}x{height} pixels: over the limit of {MAX_PIXELS:,} (a decompression bomb?)')
    if min(width, height) < MIN_SIDE:
        raise DecodeError(f'{width}x{height} pixels: no side may be below {MIN_SIDE}')


def read_orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none."""
    try:
        return image.getexif().get(274, 1)
    except EXIF_ERRORS:  # damaged EXIF does not cost the image
        return 1


def to_8_bit(values: np.ndarray) -> np.ndarray:
    """Scales 16 bit values to uint8, rounded: 65535 = 255 * 257."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_8_bit_image(image: Image.Image) -> Image.Image:
    """Scales 16 bit greys and float greys in [0, 1], which Pillow's own conversion would clip."""
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG'):  # older Pillow: 'I' for such PNGs
        return Image.fromarray(to_8_bit(np.asarray(image)))
    if image.mode == 'I':
        raise DecodeError('32 bit integer grey has no known range of values: save it with 8 or 16 bits')
    if image.mode == 'F':
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (low >= 0.0 and high <= 1.0):  # also true for NaN
            raise DecodeError(f'float image with values from {low:g} to {high:g}: expected 0 to 1')
        return Image.fromarray(np.rint(values * 255.0).astype(np.uint8))
    return image


def convert_to_srgb(image: Image.Image) -> Image.Image:
    """Applies the embedded colour profile of an RGB, CMYK or grey image; a damaged or other one is ignored."""
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


def convert_channels(image: Image.Image, channels: int, background: tuple[int, int, int]) -> Image.Image:
    """Converts to 1, 3 or 4 channels: alpha is kept in 4, and composited over the background in others."""
    has_alpha = image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info
    if has_alpha:
        image = image.convert('RGBA')
        if channels == 4:
            return image
        image = Image.alpha_composite(Image.new('RGBA', image.size, (*background, 255)), image)
    return image if image.mode == PILLOW_MODE[channels] else image.convert(PILLOW_MODE[channels])


def failure_reason(data: bytes, error: Exception) -> str:
    """Why Pillow could not read an image, in words that say what to do where that is known."""
    if data.startswith(b'version https://git-lfs'):
        return 'a git LFS pointer, not the image: run git lfs pull'
    if isinstance(error, Image.DecompressionBombError):
        return f'a decompression bomb: {error}'
    if isinstance(error, Image.UnidentifiedImageError):
        head = data[:200]
        if all(byte in b'\t\n\r\f' or byte >= 32 for byte in head):
            text = ' '.join(head.decode('utf-8', 'replace').split())
            return f'not an image but text: {text[:40]!r}'
        return f'not an image of a known format (starts with {data[:8].hex(" ")})'
    return f'damaged: {type(error).__name__}: {str(error)[:120]}'
