"""The notebook, from top to bottom, with few steps of a small network."""

import json

import pytest

from tests.helpers.paths import ROOT

NOTEBOOK = ROOT / 'examples' / 'first_run.ipynb'


@pytest.fixture(scope='module')
def executed(tmp_path_factory):
    """The notebook after a run with 2 steps, and its workdir."""
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')  # pip install nbclient ipykernel
    workdir = tmp_path_factory.mktemp('runs') / 'first'
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv('STEPS', '2')
        environment.setenv('CH', '2')
        environment.setenv('WORKDIR', str(workdir))
        environment.setenv('PYTHONPATH', str(ROOT))
        environment.setenv('XLA_FLAGS', '')  # its batch has 1 image: see tests/conftest.py
        nbclient.NotebookClient(notebook, timeout=900, resources={'metadata': {'path': str(ROOT)}}).execute()
    return notebook, workdir


@pytest.mark.slow  # compiles a step of its own
def test_it_trains_and_shows_images(executed):
    notebook, workdir = executed
    assert (workdir / 'checkpoints' / '2').is_dir()
    outputs = [
        [output for output in cell.get('outputs', []) if 'image/png' in output.get('data', {})] for cell in notebook.cells
    ]
    assert sum(map(len, outputs)) == 2  # the last preview, and an image beside its translation


def test_it_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())['cells']
    assert len(cells) > 5
    for cell in cells:
        assert not cell.get('outputs') and cell.get('execution_count') is None
