"""Where things are."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / 'shared' / 'reference'
