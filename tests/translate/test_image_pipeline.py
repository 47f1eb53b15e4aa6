"""Batches of the image pipeline, and images of several parts."""

import types

import jax
import numpy as np
import pytest

from tests.helpers.translation import noise_image
from ugatit_jax.models.generator import GeneratorOutput
from ugatit_jax.translate.fitting import fit
from ugatit_jax.translate.image_pipeline import ImageWork, batches_by_shape, translate_images
from ugatit_jax.translate.output_files import FileTask


def test_batches_have_one_shape_and_few_images_wait():
    def images(*sides):
        return [(i, fit(noise_image(side, side), None, 'stretch', (0, 0, 0))) for i, side in enumerate(sides)]

    def numbers(*sides):
        return [[i for i, _ in batch] for batch in batches_by_shape(images(*sides), batch_size=2)]

    assert numbers(16, 20, 16, 20, 16) == [[0, 2], [1, 3], [4]]
    # nine wait, one more than four batches: the first goes alone
    assert numbers(*range(16, 52, 4), 20) == [[0], [1, 9], *([i] for i in range(2, 9))]


def small_works(parts: int, written: list) -> list[ImageWork]:
    """An image of that many parts, and one of one part; `written` gets what is written of each."""

    def work(name, count):
        task = FileTask(name, name, {})
        fitted = [fit(noise_image(16, 16, seed=i), None, 'stretch', (0, 0, 0)) for i in range(count)]
        return ImageWork(task, fitted, lambda generated: written.append((name, [made.image for made in generated])))

    return [work('several', parts), work('one', 1)]


def run_works(works: list[ImageWork], run, batch_size: int):
    """translate_images with `run` in place of the generator."""
    translator = types.SimpleNamespace(batch_size=batch_size, run=run)
    by_name = {work.task.name: work for work in works}
    return translate_images(translator, [work.task for work in works], lambda task: by_name[task.name])


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_an_image_is_written_once_with_its_parts_in_order(batch_size):
    written = []
    works = small_works(3, written)
    failures, _ = run_works(works, lambda x: GeneratorOutput(255 - x, None, None), batch_size)
    assert not failures and [name for name, _ in written] == ['several', 'one']
    for (_, images), work in zip(written, works):
        np.testing.assert_array_equal(images, [255 - part.pixels for part in work.parts])


def test_an_image_with_a_part_that_fails_is_named_once_and_not_written():
    written, calls = [], []

    def run(x):
        calls.append(x)
        if len(calls) in (1, 2):
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')
        return GeneratorOutput(x, None, None)

    failures, _ = run_works(small_works(3, written), run, 1)
    assert [failure.name for failure in failures] == ['several'] and 'a smaller --batch_size' in failures[0].reason
    assert [name for name, _ in written] == ['one'] and len(calls) == 4
