"""The config of a student: the teacher's data, no loss of the teacher's training, and settings that work."""

import pytest
from ml_collections import FrozenConfigDict

from configs import distill
from tests.helpers.small import small_config
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve
from ugatit_jax.config.student import student_config


def test_data_are_the_teachers_and_losses_its_images():
    stored = as_json(
        small_config(data__background=(1, 2, 3), augment__flip=0.25, loss__cycle_weight_A2B=3.0, model__stem_norm=False)
    )
    teacher = FrozenConfigDict(stored)  # as a checkpoint keeps it, with lists for tuples
    student = resolve(student_config(teacher, 'runs/teacher'))
    assert as_json(student)['data'] == stored['data'] and student.augment.flip == 0.25
    assert student.distill.teacher == 'runs/teacher' and not student.distill.teacher_checksum
    assert student.loss.cycle_weight_A2B is None and student.loss.cycle_weight == student.loss.cam_weight == 0
    assert student.model.separable and not student.model.stem_norm and student.model.n_layers_global == 4


def test_another_image_size_keeps_the_margin_of_crops():
    """So that what is said of it is that the teacher has another one."""
    teacher = FrozenConfigDict(as_json(resolve(small_config(data__load_size=40))))
    student = student_config(teacher, 'runs/teacher')
    assert resolve(student).data.load_size == 40
    student.data.image_size = 64
    assert resolve(student).data.load_size == 72


def test_the_file_names_what_is_missing():
    with pytest.raises(UserError, match='names no teacher'):
        distill.get_config()
    with pytest.raises(UserError, match='nowhere'):
        distill.get_config('nowhere')
    assert distill.get_config('emoji').data.image_size == 128
