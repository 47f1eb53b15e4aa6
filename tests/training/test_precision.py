"""bfloat16 on a CPU that has no such products is named; elsewhere nothing is said."""

import pytest

from tests.helpers.small import small_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.training import precision
from ugatit_jax.training.loop import train

X86 = 'processor\t: 0\nflags\t\t: fpu avx2 {}\n\nprocessor\t: 1\nflags\t\t: avx512_bf16\n'
ARM = 'processor\t: 0\nFeatures\t: fp asimd {}\n'


@pytest.mark.parametrize(
    'info, dtype, backend, warned',
    [
        (X86.format('avx512f'), 'bfloat16', 'cpu', True),
        (ARM.format('i8mm'), 'bfloat16', 'cpu', True),
        (X86.format('avx512_bf16'), 'bfloat16', 'cpu', False),
        (X86.format('amx_bf16'), 'bfloat16', 'cpu', False),
        (ARM.format('bf16'), 'bfloat16', 'cpu', False),
        (X86.format('avx512f'), 'float32', 'cpu', False),
        (X86.format('avx512f'), 'bfloat16', 'gpu', False),
        ('processor: 0\n', 'bfloat16', 'cpu', False),  # nothing is known
        (None, 'bfloat16', 'cpu', False),
    ],
)
def test_bfloat16_without_such_products_is_named(tmp_path, monkeypatch, caplog, as_on, info, dtype, backend, warned):
    if info is not None:
        (tmp_path / 'cpuinfo').write_text(info)
    monkeypatch.setattr(precision, 'CPU_INFO', str(tmp_path / 'cpuinfo'))
    as_on(backend)
    precision.warn_of_emulated_bfloat16(dtype)
    assert ('here set training.compute_dtype=float32' in caplog.text) == warned


def test_a_training_says_so_before_it_opens_its_data(tmp_path, monkeypatch, caplog):
    (tmp_path / 'cpuinfo').write_text(X86.format('avx512f'))
    monkeypatch.setattr(precision, 'CPU_INFO', str(tmp_path / 'cpuinfo'))
    config = small_config(training__compute_dtype='bfloat16', data__source=f'folder:{tmp_path}/gone')
    with pytest.raises(UserError, match='gone'):
        train(config, str(tmp_path / 'run'))
    assert 'this CPU has no bfloat16 products' in caplog.text
