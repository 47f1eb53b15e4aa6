"""A checkpoint that the tests of translation share."""

import pytest

from tests.helpers.translation import write_checkpoint


@pytest.fixture(scope='session')
def workdir(tmp_path_factory):
    """Of a light model, averaged weights too; its name is not ASCII."""
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'täst')
