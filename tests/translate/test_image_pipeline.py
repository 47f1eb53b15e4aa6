"""Batches of the image pipeline."""

from tests.helpers.translation import noise_image
from ugatit_jax.translate.fitting import fit
from ugatit_jax.translate.image_pipeline import batches_by_shape


def test_batches_have_one_shape_and_few_images_wait():
    def images(*sides):
        return [(i, fit(noise_image(side, side), None, 'stretch', (0, 0, 0))) for i, side in enumerate(sides)]

    def numbers(*sides):
        return [[i for i, _ in batch] for batch in batches_by_shape(images(*sides), batch_size=2)]

    assert numbers(16, 20, 16, 20, 16) == [[0, 2], [1, 3], [4]]
    # nine wait, one more than four batches: the first goes alone
    assert numbers(*range(16, 52, 4), 20) == [[0], [1, 9], *([i] for i in range(2, 9))]
