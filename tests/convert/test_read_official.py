"""Official files that are refused: each in one line, and with nothing written."""

import os

import numpy as np
import pytest

from tests.helpers.official_files import STEP, official_of, refusal, tree_of, with_slots, write_tensorflow
from tests.helpers.small import small_config
from tests.helpers.torch_writer import write_zip


def changed(arrays, **changes):
    """Arrays with some replaced or, where None, left out."""
    result = {**arrays, **changes}
    return {name: value for name, value in result.items() if value is not None}


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            {'genB2A/DownBlock.5.weight': np.zeros((6, 2, 3, 3), np.float32)},
            'DownBlock.5.weight is [6, 2, 3, 3], and has to be',
        ),
        ({'genA2B/UpBlock2.3.rho': np.zeros((4,), np.float32)}, 'UpBlock2.3.rho is [4], and has to be [1, 4, 1, 1]'),
        ({'genA2B/FC.0.weight': np.zeros((8, 24), np.float32)}, '24 inputs, which are not 8 channels'),
        ({'genB2A/FC.0.weight': np.zeros((8, 32), np.float32)}, 'genB2A/FC.0.weight is [8, 32], and has to be [8, 8]'),
        ({'disGB/model.7.weight_u': np.zeros((5,), np.float32)}, 'disGB/model.7.weight_u is [5], and has to be [8]'),
        ({'disGA/model.1.weight_v': None}, 'lacks disGA/model.1.weight_v'),
        ({'genA2B/DownBlock.1.weight': None}, 'lacks genA2B/DownBlock.1.weight'),
        ({'genA2B/DownBlock.1.weight': np.zeros((2,), np.float32)}, 'DownBlock.1.weight is [2]'),
        ({'disLB/model.22.bias': np.zeros(3, np.float32)}, 'has disLB/model.22.bias'),
        ({'genB2A/UpBlock1_2.conv1.weight': np.zeros((8, 8, 3, 3), np.float32)}, 'has genB2A/UpBlock1_2.conv1.weight'),
        ({'genA2B/conv1x1.bias': np.zeros(8, np.float64)}, 'conv1x1.bias is float64'),
        ({'genA2B/conv1x1.bias': 3}, 'conv1x1.bias is a int'),
        ({'genA2B/UpBlock1_900000000.x': np.zeros(1, np.float32)}, 'UpBlock1_900000000.x, a depth that its'),
        ({f'genA2B/UpBlock1_{"9" * 5000}.x': np.zeros(1, np.float32)}, 'a depth that its'),
        ({'disGA/model.600000000.bias': np.zeros(1, np.float32)}, 'disGA/model.600000000.bias, a depth that its'),
        ({'disLA/model.180.bias': np.zeros(1, np.float32)}, 'n_layers_local=62'),
        ({'teacher/w': np.zeros(8, np.float32)}, 'more than the networks of U-GAT-IT: teacher'),
    ],
)
def test_files_that_contradict_themselves(arrays, changes, message, tmp_path):
    write_zip(tmp_path / 'x.pt', tree_of(changed(arrays, **changes)))
    assert message in refusal(tmp_path / 'x.pt', tmp_path / 'run', image_size=32)


def test_other_files_are_refused(arrays, tmp_path):
    tree, x, run = tree_of(arrays), tmp_path / 'x.pt', tmp_path / 'run'
    write_zip(x, {name: value for name, value in tree.items() if name not in ('disLA', 'genA2B')})
    assert 'lacks genA2B, disLA' in refusal(x, run)
    write_zip(x, {'weight': np.zeros(3, np.float32)})
    assert 'not a checkpoint of U-GAT-IT: it has weight' in refusal(x, run)
    write_zip(x, pickled=b'\x80\x02](K\x01K\x02e.')
    assert 'holds a list' in refusal(x, run)
    write_zip(x, pickled=b'\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.')
    assert 'holds os.system' in refusal(x, run)
    x.write_text('hello')
    assert 'not a file of torch.save' in refusal(x, run)
    assert 'no such file' in refusal(tmp_path / 'nothing', run)
    (tmp_path / 'empty').mkdir()
    assert 'neither a workdir' in refusal(tmp_path / 'empty', run)


def test_flags_that_do_not_fit_a_file_are_refused(arrays, tmp_path):
    x, run = tmp_path / 'x.pt', tmp_path / 'run'
    write_zip(x, tree_of(official_of(small_config(model__reference='pytorch', model__mlp_pool='full'), 'pytorch')))
    assert 'for 32 pixels, and --image_size=64' in refusal(x, run, image_size=64)
    assert '--direction' in refusal(x, run, direction='A2B')
    assert '--smoothing' in refusal(x, run, smoothing=False)
    write_zip(tmp_path / 'light.pt', tree_of(arrays))
    for size in (30, 12, 0, -4):
        message = refusal(tmp_path / 'light.pt', run, image_size=size)
        assert f'--image_size={size}: it is a multiple of 4 from 16 on' in message
    deep = small_config(model__reference='pytorch', data__image_size=48, model__n_layers_global=6)
    write_zip(tmp_path / 'deep.pt', tree_of(official_of(deep, 'pytorch')))
    message = refusal(tmp_path / 'deep.pt', run, image_size=32)
    assert 'disGA has 6 layers, which need images of 48 pixels or more, not 32; hint: --image_size=N' in message


def test_tensorflow_files_that_are_damaged_or_incomplete(tmp_path):
    arrays = official_of(small_config(), 'tensorflow')
    variables, run = with_slots(arrays, STEP), tmp_path / 'run'
    del variables['generator_A/conv/conv2d/kernel/Adam']
    write_tensorflow(tmp_path / 'slot-4', variables)
    assert "lacks Adam's state of generator_A/conv/conv2d/kernel" in refusal(tmp_path / 'slot-4', run, image_size=32)
    variables = with_slots(arrays, STEP) | {'global_step': np.float32(1)}
    write_tensorflow(tmp_path / 'extra-4', variables)
    assert 'more than the networks of U-GAT-IT: global_step' in refusal(tmp_path / 'extra-4', run, image_size=32)
    write_tensorflow(tmp_path / 'some-4', {n: v for n, v in arrays.items() if not n.startswith('discriminator_B/local')})
    assert 'lacks discriminator_B/local' in refusal(tmp_path / 'some-4', run, image_size=32)
    write_tensorflow(tmp_path / 'cut-4', arrays)
    assert 'has 4 checkpoints' in refusal(tmp_path, run)
    of_one = tmp_path / 'some-4.data-00000-of-00001'  # each of a checkpoint's files stands for it
    assert 'lacks discriminator_B/local' in refusal(of_one, run, image_size=32)
    os.truncate(tmp_path / 'cut-4.data-00000-of-00001', 5000)
    assert 'truncated or damaged' in refusal(tmp_path / 'cut-4.index', run, image_size=32)
    (tmp_path / 'cut-4.index').write_text('hello')
    assert 'truncated or damaged' in refusal(tmp_path / 'cut-4', run, image_size=32)
