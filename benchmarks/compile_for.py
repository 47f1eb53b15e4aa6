"""What XLA makes of the train step for a GPU or TPU that is not there: memory, programs, bytes; nothing runs.

    pip install -e .[cuda]   # or .[tpu]: the compilers come with the plugins
    python benchmarks/compile_for.py --target=h100 --batches 1 8
    python benchmarks/compile_for.py --target=v5e  # takes minutes

Programs are what one step launches, those in loops as often as they turn. GB are what they read and write of the device's
memory, each by itself, as if nothing stayed in a cache; what lies in a TPU's fast memory is not told apart. Without a GPU
XLA cannot try which form of a convolution is fastest (autotuning), and does not count the memory that some of them take.
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

os.environ |= {'JAX_PLATFORMS': 'cpu', 'TPU_SKIP_MDS_QUERY': '1', 'TPU_WORKER_HOSTNAMES': 'localhost', 'TPU_WORKER_ID': '0'}
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} --xla_gpu_autotune_level=0'

import jax  # noqa: E402
import numpy as np  # noqa: E402
from common import cases, configure, lower, publish, table, versions  # noqa: E402
from jax.experimental import topologies  # noqa: E402

# what XLA has to know of an NVIDIA H100 SXM with 80 GB: limits, sizes, rates as CUDA tells them
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
    'v5e': ('tpu', dict(platform='tpu', topology_name='v5e:2x2')),
}
ITEM = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'f32': 4, 's64': 8, 'u64': 8, 'f64': 8}
NO_PROGRAM = ('parameter', 'get-tuple-element', 'bitcast', 'constant', 'tuple', 'after-all', 'while', 'call', 'conditional')
HEAD = ('model', 'size, ch', 'batch', 'dtype', 'state GB', 'work GB', 'programs', 'GB read and written', 'compile s')


def size(types: str) -> int:
    """Bytes of all arrays in a piece of HLO."""
    return sum(
        ITEM.get(kind, 0) * math.prod(int(n) for n in shape.split(',') if n)
        for kind, shape in re.findall(r'\b(\w+)\[([\d,]*)\]', types)
    )


def programs(hlo: str) -> tuple[int, Counter[str]]:
    """How many programs a compiled module launches, and bytes by their kind: an operation, a fusion or a library's call."""
    computations, count, bytes_of, name, entry = {}, 0, Counter(), '', ''
    for line in re.sub(r'/\*.*?\*/', '', hlo).splitlines():
        if start := re.match(r'(ENTRY )?%([\w.\-]+) \(.*\{\s*$', line):
            name = start[2]
            entry, computations[name] = name if start[1] else entry, {}
        elif found := re.match(r'\s+(?:ROOT )?%([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)', line):
            computations[name][found[1]] = Instruction(found[2], found[3], *found[4].split('), ', 1))

    def walk(computation: str, times: int) -> None:
        nonlocal count
        for instruction in computations[computation].values():
            if instruction.operation in ('while', 'call', 'conditional'):
                turns = re.search(r'known_trip_count\D*(\d+)', instruction.rest)
                for inner in re.findall(r'(?:body|to_apply|(?:tru|fals)e_computation)=%([\w.\-]+)', instruction.rest):
                    walk(inner, times * (int(turns[1]) if turns else 1))
            elif instruction.operation not in NO_PROGRAM:
                target = re.search(r'custom_call_target="([^"]*)"', instruction.rest)
                kind = target[1] if target else instruction.operation
                bytes_of[kind] += times * traffic(instruction, computations[computation], computations)
                count += times

    walk(entry, 1)
    return count, bytes_of


class Instruction(NamedTuple):
    """A line of HLO: the result's type, the operation, its arguments and what else is said."""

    type: str
    operation: str
    arguments: str
    rest: str = ''

    @property
    def names(self) -> list[str]:
        """Of the arguments."""
        return re.findall(r'%([\w.\-]+)', self.arguments)


def traffic(instruction: Instruction, among: dict[str, Instruction], computations: dict[str, dict[str, Instruction]]) -> int:
    """Bytes that one program reads and writes: results and arguments whole, but of what is cut or put in only the piece."""
    called = re.search(r'calls=%([\w.\-]+)', instruction.rest)
    inside = computations.get(called[1], {}) if called else {'': instruction}
    users = {}
    for result, inner in inside.items():
        for place, name in enumerate(inner.names):
            users.setdefault(name, []).append((result, inner, place))

    def read(name: str, whole: int) -> int:
        """Bytes that are read of an argument, of the size `whole`."""
        total = 0
        for result, user, place in users.get(name, []):
            if user.operation in ('dynamic-slice', 'slice') and place == 0:
                total += size(user.type)
            elif user.operation in ('bitcast', 'convert', 'reshape', 'transpose', 'copy'):
                total += read(result, whole) if result in users else whole  # or it is the result
            elif not (user.operation == 'dynamic-update-slice' and place == 0):  # written in place
                return whole
        return min(total, whole)

    total = size(instruction.type)
    for inner in inside.values():
        if inner.operation == 'dynamic-update-slice':
            total -= size(inner.type) - size((inside if called else among)[inner.names[1]].type)
    parameters = {int(inner.arguments.rstrip(')')): name for name, inner in inside.items() if inner.operation == 'parameter'}
    for place, name in enumerate(instruction.names):
        total += read(parameters.get(place, '') if called else name, size(among[name].type) if name in among else 0)
    return max(total, 0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--target', choices=TARGETS, default='h100')
    parser.add_argument('--models', nargs='+', choices=('light', 'full'), default=['light'])
    parser.add_argument('--sizes', nargs='+', type=int, default=[256])
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--batches', nargs='+', type=int, default=[1])
    parser.add_argument('--dtypes', nargs='+', default=['bfloat16'])
    parser.add_argument('--json', metavar='FILE')
    options = parser.parse_args()
    backend, topology = TARGETS[options.target]
    try:
        device = topologies.get_topology_desc(**topology).devices[:1]
    except (RuntimeError, NotImplementedError) as error:
        print(
            f'{sys.argv[0]}: no compiler for {options.target}: {str(error).splitlines()[0]}; pip install -e .'
            f'[{"cuda" if backend == "gpu" else "tpu"}]',
            file=sys.stderr,
        )
        raise SystemExit(2) from None

    def make_mesh(shape: tuple[int, ...], names: tuple[str, ...], **fields: object) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(device).reshape(shape), names, **fields)

    rows, results = [], []
    for case, fields in cases(options):
        config, started = configure(fields), time.perf_counter()
        with mock.patch.multiple(jax, default_backend=lambda: backend, make_mesh=make_mesh):
            compiled = lower(config)[2].compile()
        seconds, memory = time.perf_counter() - started, compiled.memory_analysis()
        count, bytes_of = programs(compiled.as_text())
        rows.append(
            (
                *case,
                memory.argument_size_in_bytes / 1e9,
                memory.temp_size_in_bytes / 1e9,
                count,
                sum(bytes_of.values()) / 1e9,
                seconds,
            )
        )
        results.append({'fields': fields, **dict(zip(HEAD, rows[-1])), 'bytes': dict(bytes_of.most_common())})
        print(table(HEAD, rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(HEAD, rows))
    publish(versions(), options, results, options.json)


if __name__ == '__main__':
    main()
