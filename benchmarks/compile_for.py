"""Compiles the train step for a GPU or TPU that this machine does not have: memory, kernels, bytes. Nothing runs.

    pip install -e .[cuda]   # or .[tpu]: the compilers come with the plugins
    python -m benchmarks.compile_for --target=h100 --batches 1 8
    python -m benchmarks.compile_for --target=v5e  # takes minutes; v4 and v6e, too, and v5e-4 for a 2x2 of them

Kernels are the launches of one step, those in a loop times its trip count. "GB read and written" is the traffic between
them and the device's memory, as if nothing stayed in a cache; for a TPU its fast memory (VMEM) is not told apart, but there
are the clock cycles that XLA's cost model estimates for each kernel, one after another. Without a GPU XLA cannot autotune,
that is try which algorithm of a convolution is fastest, and does not count its scratch memory.
"""

import argparse
import math
import os
import re
import sys
import time
from collections import Counter
from typing import NamedTuple
from unittest import mock

os.environ |= {
    'JAX_PLATFORMS': 'cpu',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': 'true',
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'TPU_WORKER_ID': '0',
}
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} --xla_gpu_autotune_level=0'

import jax  # noqa: E402 (the variables above come first)
import numpy as np  # noqa: E402
from jax.experimental import topologies  # noqa: E402

from benchmarks.common import cases, configure, lower, make_parser, publish, table, versions  # noqa: E402
from ugatit_jax.common.command import configure_process, run_command  # noqa: E402
from ugatit_jax.common.errors import UserError, first_line  # noqa: E402

# an NVIDIA H100 SXM with 80 GB as CUDA describes it to XLA
H100 = """
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3" device_vendor: "NVIDIA Corporation" cuda_compute_capability { major: 9 }
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_core_limit: 65536 registers_per_block_limit: 65536 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  memory_bandwidth: 3352320000000 device_memory_size: 84942979072 device_address_bits: 64
  driver_version: "13.0.0" runtime_version: "12.9.0" compile_time_toolkit_version: "12.9.0" dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
TARGETS = {
    'h100': ('gpu', dict(platform='cuda', topology_name='h100', topology='1x1x1', target_config=H100)),
    'v4': ('tpu', dict(platform='tpu', topology_name='v4:2x2x1')),
    'v5e': ('tpu', dict(platform='tpu', topology_name='v5e:2x2')),
    'v6e': ('tpu', dict(platform='tpu', topology_name='v6e:2x2')),
}
TARGETS |= {f'{name}-4': target for name, target in TARGETS.items() if target[0] == 'tpu'}  # all four chips
# bytes of an element
ITEM_SIZE = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'f32': 4, 's64': 8, 'u64': 8, 'f64': 8}
NO_KERNEL = ('parameter', 'get-tuple-element', 'bitcast', 'constant', 'tuple', 'after-all', 'while', 'call', 'conditional')
UNKNOWN_CYCLES = 2**62  # the compiler's estimate where it has none is about that
HEAD = (
    'model',
    'size, ch',
    'batch',
    'dtype',
    'state GB',
    'work GB',
    'kernels',
    'GB read and written',
    'M cycles',
    'compile CPU s',
)


def size(types: str) -> int:
    """Bytes of all arrays in a type of HLO, such as 'f32[2,3]{1,0}' or a tuple of them."""
    return sum(
        ITEM_SIZE.get(kind, 0) * math.prod(int(n) for n in shape.split(',') if n)
        for kind, shape in re.findall(r'\b(\w+)\[([\d,]*)\]', types)
    )


class Instruction(NamedTuple):
    """A line of HLO."""

    type: str  # of the result
    operation: str
    arguments: str
    attributes: str = ''

    @property
    def argument_names(self) -> list[str]:
        """Names of the instructions whose results are the arguments."""
        return re.findall(r'%([\w.\-]+)', self.arguments)


Computation = dict[str, Instruction]  # by the name of its result


def kernels(hlo: str) -> tuple[int, int, Counter[str]]:
    """The kernel launches of a compiled module, their cycles, and their bytes by kind: an operation or a library's function.

    Cycles are what a TPU's compiler notes at each kernel; 0 for a GPU.
    """
    computations, entry = parse_hlo(hlo)
    count, cycles, bytes_by_kind = 0, 0, Counter()

    def walk(computation: str, times: int) -> None:
        nonlocal count, cycles
        for instruction in computations[computation].values():
            if instruction.operation in ('while', 'call', 'conditional'):
                trips = re.search(r'known_trip_count\D*(\d+)', instruction.attributes)
                for inner in re.findall(r'(?:body|to_apply|(?:tru|fals)e_computation)=%([\w.\-]+)', instruction.attributes):
                    walk(inner, times * (int(trips[1]) if trips else 1))
            elif instruction.operation not in NO_KERNEL:
                target = re.search(r'custom_call_target="([^"]*)"', instruction.attributes)
                kind = target[1] if target else instruction.operation
                bytes_by_kind[kind] += times * traffic(instruction, computations[computation], computations)
                count += times
                estimate = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
                cycles += times * int(estimate[1]) if estimate and int(estimate[1]) < UNKNOWN_CYCLES else 0

    walk(entry, 1)
    return count, cycles, bytes_by_kind


def parse_hlo(hlo: str) -> tuple[dict[str, Computation], str]:
    """The computations of a module by name, and the name of its entry."""
    computations, name, entry = {}, '', ''
    for line in re.sub(r'/\*.*?\*/', '', hlo).splitlines():
        if start := re.match(r'(ENTRY )?%([\w.\-]+) \(.*\{\s*$', line):
            name = start[2]
            entry, computations[name] = name if start[1] else entry, {}
        elif found := re.match(r'\s+(?:ROOT )?%([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)', line):
            computations[name][found[1]] = Instruction(found[2], found[3], *found[4].split('), ', 1))
    return computations, entry


def traffic(instruction: Instruction, computation: Computation, computations: dict[str, Computation]) -> int:
    """Bytes that a kernel of `computation` reads and writes: results and arguments whole, slices as far as they are used."""
    called = re.search(r'calls=%([\w.\-]+)', instruction.attributes)
    inside = computations.get(called[1], {}) if called else {'': instruction}
    users = {}
    for result, inner in inside.items():
        for position, name in enumerate(inner.argument_names):
            users.setdefault(name, []).append((result, inner, position))

    def bytes_read(name: str, whole: int) -> int:
        """Bytes that are read of an argument, of `whole`."""
        total = 0
        for result, user, position in users.get(name, []):
            if user.operation in ('dynamic-slice', 'slice') and position == 0:
                total += size(user.type)
            elif user.operation in ('bitcast', 'convert', 'reshape', 'transpose', 'copy'):
                total += bytes_read(result, whole) if result in users else whole  # or it is the result
            elif not (user.operation == 'dynamic-update-slice' and position == 0):  # updated in place
                return whole
        return min(total, whole)

    total = size(instruction.type)
    for inner in inside.values():
        if inner.operation == 'dynamic-update-slice':
            update = (inside if called else computation)[inner.argument_names[1]]
            total -= size(inner.type) - size(update.type)
    parameters = {int(inner.arguments.rstrip(')')): name for name, inner in inside.items() if inner.operation == 'parameter'}
    for position, name in enumerate(instruction.argument_names):
        whole = size(computation[name].type) if name in computation else 0
        total += bytes_read(parameters.get(position, '') if called else name, whole)
    return max(total, 0)


def compile_all(options: argparse.Namespace) -> None:
    """Compiles and prints a row for each case."""
    configure_process('off')  # compile times are measured
    backend, topology = TARGETS[options.target]
    try:
        devices = topologies.get_topology_desc(**topology).devices[: 4 if options.target.endswith('-4') else 1]
    except (RuntimeError, NotImplementedError) as error:
        extra = 'cuda' if backend == 'gpu' else 'tpu'
        raise UserError(f'no compiler for {options.target}: {first_line(error)}; pip install -e .[{extra}]') from None

    def make_mesh(shape: tuple[int, ...], names: tuple[str, ...], **fields: object) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(devices).reshape(shape), names, **fields)

    rows, results = [], []
    for case, fields in cases(options):
        config, started = configure(fields), time.process_time()
        with mock.patch.multiple(
            jax, default_backend=lambda: backend, device_count=lambda: len(devices), make_mesh=make_mesh
        ):
            compiled = lower(config)[0].compile()
        seconds, memory = time.process_time() - started, compiled.memory_analysis()
        count, cycles, bytes_by_kind = kernels(compiled.as_text())
        rows.append(
            (
                *case,
                memory.argument_size_in_bytes / 1e9,
                memory.temp_size_in_bytes / 1e9,
                count,
                sum(bytes_by_kind.values()) / 1e9,
                cycles / 1e6 or None,
                seconds,
            )
        )
        results.append({'fields': fields, **dict(zip(HEAD, rows[-1])), 'bytes': dict(bytes_by_kind.most_common())})
        print(table(HEAD, rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(HEAD, rows))
    publish(versions(), options, results)


def main() -> int:
    """The command line."""
    parser = make_parser('compile_for', __doc__)
    parser.add_argument('--target', choices=TARGETS, default='h100')
    parser.add_argument('--models', nargs='+', choices=('light', 'full'), default=['light'])
    parser.add_argument('--sizes', nargs='+', type=int, default=[256])
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--batches', nargs='+', type=int, default=[1])
    parser.add_argument('--dtypes', nargs='+', default=['bfloat16'])
    options = parser.parse_args()
    return run_command(lambda: compile_all(options))


if __name__ == '__main__':
    sys.exit(main())
