"""The list of make mutants fits the code: running it takes an hour, and happens seldom."""

import ast

from tests import mutants
from tests.helpers.paths import ROOT


def test_every_mutation_still_matches_its_file_and_names_tests_that_exist():
    assert len(mutants.MUTANTS) >= 60
    for mutant in mutants.MUTANTS:
        code = (ROOT / 'ugatit_jax' / mutant.file).read_text()
        assert code.count(mutant.old) == 1, mutant
        ast.parse(code.replace(mutant.old, mutant.new))
        files, _, chosen = mutant.tests.partition(' -k ')
        paths = [ROOT / 'tests' / name for name in files.split()]
        assert all(path.exists() for path in paths), mutant
        assert not chosen or any(chosen in path.read_text() for path in paths), mutant
