"""The documentation site builds without a dead link, and loads nothing from the network."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

pytest.importorskip('mkdocs', reason='mkdocs is not installed: requirements-test.txt')


def build(root, site):
    """What make docs runs, in a checkout."""
    return subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', f'--site-dir={site}'],
        cwd=root,
        env=os.environ | {'NO_MKDOCS_2_WARNING': '1'},
        text=True,
        capture_output=True,
    )


def test_it_builds_and_loads_nothing_from_the_network(tmp_path):
    result = build(ROOT, tmp_path / 'site')
    assert result.returncode == 0, result.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / 'site').glob('*.html')}
    assert {'index.html', 'training.html', 'security.html', 'launchers.html'} <= set(pages)
    for name, text in pages.items():
        assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="?(?:https?:)?//[^>]*>', text), name
    assert (tmp_path / 'site' / 'files' / 'examples' / 'first_run.ipynb').is_file()


def test_dead_links_are_errors(tmp_path):
    for name in ('docs', 'launch', 'examples'):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in (*ROOT.glob('*.md'), ROOT / 'mkdocs.yml'):
        shutil.copy(path, tmp_path)
    for page, link in (
        ('README.md', 'docs/absent.md'),
        ('docs/data.md', 'training.md#absent'),
        ('docs/cloud.md', 'launchers.md'),
    ):
        with open(tmp_path / page, 'a') as file:
            file.write(f'\n[x]({link})\n')
    result = build(tmp_path, tmp_path / 'site')
    assert result.returncode == 1
    assert 'README.md links to docs/absent.md' in result.stderr and '#absent' in result.stderr
    assert 'docs/cloud.md links to launchers.md' in result.stderr  # a page of the site, but not on GitHub


def test_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150
