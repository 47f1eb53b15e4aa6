"""A warning where compute_dtype=bfloat16 costs time instead of saving it."""

import logging
import os

from ugatit_jax.common.compiler import on_cpu

logger = logging.getLogger(__name__)

CPU_INFO = '/proc/cpuinfo'  # Linux
# what CPUs call their bfloat16 products: x86 'flags', Arm 'Features'
BFLOAT16_FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})


def warn_of_emulated_bfloat16(compute_dtype: str) -> None:
    """Logs a warning where the step runs in bfloat16 on a CPU that has to convert to float32 and back for each product."""
    if compute_dtype != 'bfloat16' or not on_cpu():
        return
    flags = cpu_flags()
    if flags and not flags & BFLOAT16_FLAGS:
        logger.warning(
            'training.compute_dtype=bfloat16: this CPU has no bfloat16 products, so steps take about 1.5 times as long as '
            'in float32; here set training.compute_dtype=float32'
        )


def cpu_flags() -> frozenset[str]:
    """What the first CPU says that it can do; empty where the system does not tell."""
    if not os.path.exists(CPU_INFO):
        return frozenset()
    with open(CPU_INFO) as file:
        for line in file:
            name, _, values = line.partition(':')
            if name.strip() in ('flags', 'Features'):
                return frozenset(values.split())
    return frozenset()
