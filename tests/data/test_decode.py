"""Bytes to pixels: formats, orientation, alpha, bit depths, and files that cannot be used."""

import csv
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.image_files import UGLY, encoded, smooth
from tests.helpers.paths import ROOT
from ugatit_jax.data.decode import DecodeError, count_frames, decode, difference_hash, probe

PHOTO = smooth(20, 30)


@pytest.mark.parametrize('format', ['PNG', 'BMP', 'TIFF', 'WEBP', 'GIF', 'JPEG'])
def test_formats_by_content(format):
    options = {'lossless': True} if format == 'WEBP' else {'quality': 95} if format == 'JPEG' else {}
    pixels = decode(encoded(PHOTO, format, **options))
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    error = np.abs(pixels.astype(int) - PHOTO)
    assert error.mean() < {'JPEG': 4, 'GIF': 12}.get(format, 1e-9)


OTHERS = {
    'EPS': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(/tmp/x) (w) file closefile showpage\n%%EOF\n',
    'PSD': b'8BPS\0\1' + bytes(6) + b'\0\3' + b'\0\0\0\x08' * 2 + b'\0\x08\0\3' + bytes(64),
    'PDF': b'%PDF-1.4\n',
    'FITS': b'SIMPLE  =                    T'.ljust(80) + b'BITPIX  =                    8'.ljust(80) + b'END'.ljust(2720),
    'XBM': b'#define x_width 8\n#define x_height 8\nstatic char x_bits[] = {\n0,0,0,0,0,0,0,0};\n',
}


@pytest.mark.parametrize('name', OTHERS)
def test_other_formats_are_not_opened(name, monkeypatch):
    """Above all EPS, which is a program: Pillow gives it to Ghostscript."""

    def no_process(*arguments, **options):
        raise AssertionError(f'started {arguments}')

    monkeypatch.setattr('subprocess.Popen', no_process)
    monkeypatch.setattr('subprocess.check_call', no_process)
    monkeypatch.setattr('PIL.EpsImagePlugin.has_ghostscript', lambda: True)
    monkeypatch.setattr('PIL.EpsImagePlugin.Ghostscript', no_process)
    with pytest.raises(DecodeError, match='not an image'):
        decode(OTHERS[name])
    if name in ('EPS', 'XBM'):
        assert Image.open(io.BytesIO(OTHERS[name])).format == name  # Pillow alone would


def test_images_and_films_are_opened_in_one_place_each():
    opened = {}
    for path in sorted((ROOT / 'ugatit_jax').rglob('*.py')):
        for call in re.findall(r'\b(?:Image|PIL\.Image|av|cv2|imageio|iio)\.(?:open|imread|imopen)\(', path.read_text()):
            opened.setdefault(call, []).append(str(path.relative_to(ROOT / 'ugatit_jax')))
    assert opened['Image.open('] == ['data/decode.py'] and set(opened) == {'Image.open(', 'av.open('}
    assert set(opened['av.open(']) == {'translate/video.py'}


def test_plain_is_what_pillow_converts_and_nothing_else():
    """As torch-fidelity and clean-fid read images: Image.open(file).convert('RGB')."""
    exif = Image.Exif()
    exif[274] = 6
    rotated = encoded(PHOTO, 'JPEG', exif=exif, quality=95)
    transparent = encoded(np.dstack([PHOTO, np.zeros((20, 30, 1), np.uint8)]))
    for data in (rotated, transparent):
        expected = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
        np.testing.assert_array_equal(decode(data, plain=True), expected)
        assert expected.shape == (20, 30, 3) and not np.array_equal(decode(data), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_makes_upright(orientation):
    image = Image.fromarray(PHOTO)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)  # how a camera held like this stores it
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(np.asarray(image if undo is None else image.transpose(undo)), 'PNG', exif=exif)
    np.testing.assert_array_equal(decode(data), PHOTO)
    assert (probe(data).width, probe(data).height) == (30, 20)


@pytest.mark.parametrize('exif', [b'Exif\0\0MM\0*', b'Exif\0\0M\x1f\0*\0\0\0\x08\0\x03\x01'])
@pytest.mark.parametrize('format', ['PNG', 'JPEG'])
def test_damaged_exif_does_not_cost_the_image(exif, format):
    assert decode(encoded(PHOTO, format, exif=exif)).shape == (20, 30, 3)


def test_cmyk_jpeg():
    stream = io.BytesIO()
    Image.fromarray(PHOTO).convert('CMYK').save(stream, 'JPEG', quality=95)
    assert np.abs(decode(stream.getvalue()).astype(int) - PHOTO).mean() < 6


def test_16_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, 'PNG')
    expected = np.rint(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(stream.getvalue(), 1)[..., 0], expected)
    np.testing.assert_array_equal(decode(stream.getvalue(), 3), np.repeat(expected[..., None], 3, -1))


def test_float_tiff_is_scaled_and_other_ranges_refused():
    def tiff(values):
        stream = io.BytesIO()
        Image.fromarray(values.astype(np.float32)).save(stream, 'TIFF')
        return stream.getvalue()

    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    np.testing.assert_array_equal(decode(tiff(ramp), 1)[..., 0], np.rint(ramp * 255).astype(np.uint8))
    for bad in (ramp * 300, ramp - 0.5, np.full((4, 4), np.nan)):
        with pytest.raises(DecodeError, match='expected 0 to 1'):
            decode(tiff(bad))
    stream = io.BytesIO()
    Image.fromarray((ramp * 1e6).astype(np.int32)).save(stream, 'TIFF')
    with pytest.raises(DecodeError, match='32 bit'):
        decode(stream.getvalue())


def test_alpha_over_the_background_or_kept():
    rgba = np.dstack([PHOTO, np.zeros((20, 30), np.uint8)])
    rgba[:, 15:, 3] = 255
    rgba[0, 0, 3] = 128
    data = encoded(rgba)
    pixels = decode(data, 3, (10, 200, 30))
    assert (pixels[1:, :15] == (10, 200, 30)).all()
    np.testing.assert_array_equal(pixels[:, 15:], PHOTO[:, 15:])
    np.testing.assert_allclose(pixels[0, 0], PHOTO[0, 0] * 0.502 + np.array([10, 200, 30]) * 0.498, atol=1.5)
    np.testing.assert_array_equal(decode(data, 4), rgba)
    assert (decode(data, 1, (255, 255, 255))[1:, :15] == 255).all()
    assert (decode(encoded(PHOTO), 4)[..., 3] == 255).all()


def test_palette_with_transparency_and_grey_alpha():
    image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (8, 2)), 'P')
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    stream = io.BytesIO()
    image.save(stream, 'PNG', transparency=0)
    assert decode(stream.getvalue(), 3, (9, 8, 7))[0, :4].tolist() == [[9, 8, 7], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    opaque = io.BytesIO()
    image.save(opaque, 'PNG')
    for data in (stream, opaque):
        assert decode(data.getvalue(), 1)[0, 1, 0] == 76  # the luminance of red, not the palette's index
    grey_alpha = Image.merge('LA', [Image.new('L', (4, 4), 100), Image.new('L', (4, 4), 0)])
    stream = io.BytesIO()
    grey_alpha.save(stream, 'PNG')
    assert (decode(stream.getvalue(), 3, (1, 2, 3)) == (1, 2, 3)).all()


def test_first_frame_of_animations():
    frames = [Image.new('RGB', (8, 8), colour) for colour in ('red', 'lime')]
    for format, options in (('GIF', {}), ('WEBP', {'lossless': True})):
        stream = io.BytesIO()
        frames[0].save(stream, format, save_all=True, append_images=frames[1:], duration=50, **options)
        assert (decode(stream.getvalue()) == (255, 0, 0)).all()
        assert probe(stream.getvalue()).frames == 2
    still = encoded(smooth(8, 8))
    assert probe(still).frames == count_frames(still) == 1
    preview = io.BytesIO()
    frames[0].save(preview, 'MPO', save_all=True, append_images=frames[1:])
    assert count_frames(preview.getvalue()) == 1  # cameras keep a small copy in the file
    assert count_frames(b'no image') == 1


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_npy_arrays():
    five = smooth(6, 7, channels=5)
    np.testing.assert_array_equal(decode(npy(five), 5), five)
    np.testing.assert_array_equal(decode(npy(np.asfortranarray(five)), 5), five)
    np.testing.assert_array_equal(decode(npy(five.astype(np.uint16) * 257), 5), five)
    np.testing.assert_array_equal(decode(npy(five[..., 0]), 1), five[..., :1])
    assert (probe(npy(five), 5).width, probe(npy(five), 5).height) == (7, 6)


@pytest.mark.parametrize(
    ('data', 'channels', 'reason'),
    [
        (b'', 3, 'empty file'),
        (b'<!DOCTYPE html><title>404', 3, 'not an image but text'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:00', 3, 'git LFS pointer'),
        (bytes(range(200)), 3, 'not an image of a known format'),
        (encoded(PHOTO)[:-60], 3, 'damaged'),
        (encoded(smooth(99, 99), 'JPEG')[:1200], 3, 'damaged'),
        (encoded(PHOTO[:1, :1]), 3, '1x1 pixels: no side'),
        (encoded(PHOTO[:1]), 3, '30x1 pixels: no side'),
        (encoded(PHOTO), 5, 'images hold 1, 3 or 4 channels, not 5'),
        (npy(np.zeros((4, 4, 2), np.uint8)), 3, '2 channels where the configuration says 3'),
        (npy(np.zeros((4, 4, 3), np.float32)), 3, 'expected uint8 or uint16'),
        (npy(np.zeros((4, 4, 3, 1), np.uint8)), 3, r'expected \[height, width, channels\]'),
        (npy(np.zeros((4, 4, 3), np.uint8))[:-1], 3, 'truncated .npy'),
        (npy(np.zeros((4, 4, 3), np.uint8))[:20], 3, 'damaged .npy header'),
        (npy(np.array([object()])), 3, 'expected uint8 or uint16'),
    ],
)
def test_refusals_have_reasons(data, channels, reason):
    for read in (decode, probe):
        with pytest.raises(DecodeError, match=reason):
            read(data, channels)


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize(('side', 'reason'), [(10_000, 'over the limit'), (20_000, 'bomb')])
def test_bombs_are_refused_before_they_unfold(side, reason):
    data = encoded(PHOTO)
    header = b'IHDR' + struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    data = data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:]
    with pytest.raises(DecodeError, match=reason):
        decode(data)


def test_draft_of_a_large_jpeg_keeps_the_wanted_side():
    data = encoded(smooth(400, 900), 'JPEG')
    assert decode(data).shape == (400, 900, 3)
    height, width, _ = decode(data, draft_side=100).shape
    assert 100 <= height < 400
    assert width > height
    assert (probe(data).width, probe(data).height) == (900, 400)


def test_hash_survives_encoding_and_tells_images_apart():
    def distance(a, b):
        return int(
            np.bitwise_count(np.frombuffer(bytes.fromhex(a), np.uint8) ^ np.frombuffer(bytes.fromhex(b), np.uint8)).sum()
        )

    image, other = smooth(128, 128, 1), smooth(128, 128, 2)
    again = decode(encoded(image, 'JPEG', quality=70))
    assert distance(difference_hash(image), difference_hash(again)) <= 12
    assert distance(difference_hash(image), difference_hash(other)) > 40
    assert distance(probe(encoded(image)).hash, difference_hash(image)) == 0


@pytest.mark.skipif(not UGLY.is_dir(), reason='the collection of ugly files is not on this machine')
def test_ugly_files_as_their_manifest_says():
    refused = {
        'truncated.jpg',
        'truncated-header.jpg',
        'truncated.png',
        'zero-byte.jpg',
        'text.jpg',
        'html-404.png',
        'lfs-pointer.jpg',
        'one-pixel.png',
        'bomb-20000x20000.png',
        'bitrot.jpg',
        '._cat.jpg',
        '.DS_Store',
        'Thumbs.db',
        'folder.jpg/',
        'broken-link.jpg',
    }
    with open(UGLY.parent / 'ugly-MANIFEST.tsv', encoding='utf-8') as file:
        names = [row['file'] for row in csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)]
    assert len(names) > 40
    for name in set(names) - refused:
        pixels = decode((UGLY / name).read_bytes())
        if name != 'all-black.png':
            assert 5 < pixels.mean() < 250, name
            assert pixels.std() > 1, name
    for name in refused:
        if (UGLY / name).is_file():
            with pytest.raises(DecodeError):
                decode((UGLY / name).read_bytes())
    grey, reference = (decode((UGLY / name).read_bytes(), 1).astype(int) for name in ('gray16.png', 'gray.jpg'))
    assert np.abs(grey - reference).mean() < 4  # 16 bits of the same image
