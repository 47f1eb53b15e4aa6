"""bfloat16 on a CPU that has no such products is named; elsewhere nothing is said."""

import pytest

from ugatit_jax.training import precision

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
