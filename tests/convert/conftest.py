"""Official checkpoints and workdirs that the tests of conversions share."""

import pytest

from tests.helpers.official_files import official_of, write_workdirs
from tests.helpers.small import small_config


@pytest.fixture(scope='session')
def workdirs(tmp_path_factory):
    """Workdirs of ours: {'paper', 'pytorch'}."""
    return write_workdirs(tmp_path_factory.mktemp('workdirs'))


@pytest.fixture(scope='session')
def arrays():
    """Arrays of a small PyTorch checkpoint by their official names."""
    return official_of(small_config(model__reference='pytorch'), 'pytorch')
