"""Damage to files, as disks, networks and full file systems do it."""

import pathlib


def flip_bit(path: pathlib.Path, position: int, bit: int = 0) -> None:
    """Flips one bit of the byte at `position`, which may be negative."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def largest_file(folder: pathlib.Path) -> pathlib.Path:
    """The largest file below a folder: one with numbers, in a checkpoint's item."""
    return max((path for path in folder.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)


def files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob('*') if path.is_file())
