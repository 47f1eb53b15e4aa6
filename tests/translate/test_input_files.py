"""Which files --input names, and how one is read."""

from PIL import Image, ImageCms

from ugatit_jax.translate.input_files import find_inputs, read_image

ORANGE = (230, 120, 20)


def test_inputs_files_folders_and_patterns(tmp_path):
    for name in ('in/a.png', 'in/b/c.png', 'in/b/d[1].jpg', 'in/.hidden.png', 'in/Thumbs.db', 'in/out/old.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    base, out = str(tmp_path / 'in'), str(tmp_path / 'in' / 'out')

    def names(*given):
        return [name for _, name in find_inputs([f'{base}/{text}' for text in given], out)]

    assert names('') == ['a.png', 'b/c.png', 'b/d[1].jpg']
    assert names('**/*.png') == ['a.png', 'b/c.png'] and names('*/c.*') == ['b/c.png']
    assert names('b/d[1].jpg') == ['d[1].jpg']
    assert names('a.png', 'b') == ['a.png', 'c.png', 'd[1].jpg']
    assert names('a.png', 'a.png') == ['a.png']


def test_colour_profiles_are_applied(tmp_path):
    """An image with red and green exchanged by its profile comes out exchanged; without one, as it is."""
    lab = ImageCms.createProfile('LAB')
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    swapped = srgb.replace(b'rXYZ', b'\0XYZ', 1).replace(b'gXYZ', b'rXYZ', 1).replace(b'\0XYZ', b'gXYZ', 1)
    profiles = {
        'plain': None,
        'srgb': srgb,
        'swapped': swapped,
        'damaged': b'nonsense',
        'lab': ImageCms.ImageCmsProfile(lab).tobytes(),
    }
    got = {}
    for name, profile in profiles.items():
        path = tmp_path / f'{name}.png'
        Image.new('RGB', (8, 8), ORANGE).save(path, **({'icc_profile': profile} if profile else {}))
        got[name] = read_image(str(path), 3, (255, 255, 255))[0, 0].astype(int)
    for name in ('plain', 'srgb', 'damaged', 'lab'):
        assert abs(got[name] - ORANGE).max() <= 1, name
    assert got['swapped'][1] > got['swapped'][0] + 50
