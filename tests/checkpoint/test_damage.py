"""Damaged checkpoints: nothing that differs from what was written is ever used, and a run goes on from the one before."""

import json
import os
import pathlib
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.damage import files_below, flip_bit, largest_file
from tests.helpers.small import default_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.checkpoint.step_folder import DamagedCheckpoint, StepFolder
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.config.resolve import resolve

# of coroutines that Orbax leaves behind a read that failed
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

CONFIG = resolve(default_config(training__keep_best='kid', evaluation__every=5_000))


def items_of(step):
    """Two items, with an array that has a file of its own."""
    rng = np.random.default_rng(step)
    nets = {name: {'kernel': jnp.asarray(rng.normal(size=(64, 900)), jnp.float32)} for name in ('genA2B', 'genB2A')}
    training = {
        'step': jnp.asarray(step),
        'opt': ({'mu': jnp.asarray(rng.normal(size=(300, 300)), jnp.float32)}, jnp.ones(2)),
    }
    return {'generators': {'raw': nets, 'ema': {}}, 'training': training}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Checkpoints of steps 3 and 5."""
    workdir = tmp_path_factory.mktemp('written')
    with Checkpoints(str(workdir), keep=2, best='kid') as checkpoints:
        for step in (3, 5):
            checkpoints.save(step, items_of(step), CONFIG, {'kid': step})
    return workdir


@pytest.fixture
def workdir(written, tmp_path):
    return pathlib.Path(shutil.copytree(written, tmp_path / 'run'))


def restore(workdir):
    """The newest checkpoint that is whole, as a run restores it."""
    sharding = StateSharding(make_mesh(1))
    with Checkpoints(str(workdir), keep=2) as checkpoints:
        return checkpoints.restore_newest(jax.eval_shape(lambda: items_of(0)), CONFIG, sharding)


def test_the_newest_checkpoint_whose_config_can_be_read_is_the_one_to_continue_from(workdir):
    with Checkpoints(str(workdir)) as checkpoints:
        assert checkpoints.validate_newest(CONFIG) == 5
        with pytest.raises(UserError, match='model.ch was'):
            checkpoints.validate_newest(resolve(default_config(model__ch=CONFIG.model.ch + 1)))
    shutil.rmtree(workdir / 'checkpoints' / '5' / 'config')
    with Checkpoints(str(workdir)) as checkpoints:
        assert checkpoints.validate_newest(CONFIG) == 3
    with Checkpoints(str(workdir / 'new')) as checkpoints:
        assert checkpoints.validate_newest(CONFIG) == 0


def assert_equal(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def one_line(error):
    assert '\n' not in str(error.value) and len(str(error.value)) < 600
    return str(error.value)


def test_whole_checkpoints_are_restored(workdir):
    found = restore(workdir)
    assert found.step == 5 and not found.set_aside
    assert_equal(found.items, items_of(5))
    assert_equal(load_generators(str(workdir)).generator, items_of(5)['generators']['raw'])


def test_a_flipped_bit_of_any_file_is_found_or_harmless(workdir):
    """Every file of both items, at several places: what is read is what was written, or an error names the checkpoint."""
    folder, rng, found = workdir / 'checkpoints' / '5', random.Random(0), 0
    for path in files_below(folder):
        whole = path.read_bytes()
        for _ in range(2 if len(whole) < 10_000 else 8):
            flip_bit(path, rng.randrange(len(whole)), rng.randrange(8))
            for read, wanted in (
                (lambda: load_generators(str(workdir)), items_of(5)['generators']['raw']),
                (lambda: StepFolder(folder.parent, 5).read('training', 'opt'), None),
            ):
                try:
                    result = read()
                except UserError as error:
                    assert str(folder) in str(error) and '\n' not in str(error)
                    found += 1
                    continue
                if wanted is not None:
                    assert_equal(result.generator, wanted)
                    assert as_json(result.config) == as_json(CONFIG)
                else:
                    assert_equal(result['opt'], list(items_of(5)['training']['opt']))
            path.write_bytes(whole)
    assert found > 30


@pytest.mark.parametrize('item', ['generators', 'training'])
def test_damage_is_named_with_checkpoint_item_array_and_file(workdir, item):
    path = largest_file(workdir / 'checkpoints' / '5' / item)
    flip_bit(path, path.stat().st_size // 2)
    with pytest.raises(DamagedCheckpoint) as error:
        if item == 'generators':
            Checkpoints(str(workdir)).read(5, item, 'raw')
        else:
            Checkpoints(str(workdir)).read(5, item, 'opt')
    message = one_line(error)
    assert message.startswith(f'{workdir / "checkpoints" / "5"} is damaged: {item}')
    assert path.name in message


def test_damage_is_named_without_a_place_for_temporary_files(workdir, monkeypatch):
    path = largest_file(workdir / 'checkpoints' / '5' / 'generators')
    flip_bit(path, path.stat().st_size // 2)
    monkeypatch.setenv('TMPDIR', '/proc/nowhere')
    monkeypatch.setattr('tempfile.tempdir', None)
    monkeypatch.setattr('tempfile._candidate_tempdir_list', lambda: ['/proc/nowhere'])
    with pytest.raises(DamagedCheckpoint, match='generators: raw/gen.* differs from its checksum$'):
        Checkpoints(str(workdir)).read(5, 'generators', 'raw')


def damage_of(name, folder):
    """A way in which the files of a checkpoint are not as they were written."""
    big = largest_file(folder / 'generators')
    if name == 'flipped':
        flip_bit(big, big.stat().st_size // 2)
    elif name == 'truncated':
        os.truncate(big, big.stat().st_size // 2)
    elif name == 'emptied':
        os.truncate(big, 0)
    elif name == 'gone':
        big.unlink()
    elif name == 'config flipped':
        text = (folder / 'config' / 'metadata').read_text()
        (folder / 'config' / 'metadata').write_text(text.replace('"cycle_weight": 10.0', '"cycle_weight": 18.0'))
    elif name == 'config emptied':
        os.truncate(folder / 'config' / 'metadata', 0)
    elif name == 'checksums flipped':
        found = json.loads((folder / 'checksums' / 'metadata').read_text())
        found['arrays']['generators'].popitem()
        (folder / 'checksums' / 'metadata').write_text(json.dumps(found))
    elif name == 'checksums gone':
        shutil.rmtree(folder / 'checksums')
    elif name == 'item gone':
        shutil.rmtree(folder / 'training')
    elif name == 'half copied':  # a storage whose rename is a copy, stopped in between
        for path in files_below(folder)[10:]:
            path.unlink()
    else:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


DAMAGE = (
    'flipped',
    'truncated',
    'emptied',
    'gone',
    'config flipped',
    'config emptied',
    'checksums flipped',
    'checksums gone',
    'item gone',
    'half copied',
    'empty folder',
)


@pytest.mark.parametrize('name', DAMAGE)
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(workdir, name, caplog):
    folder = workdir / 'checkpoints' / '5'
    damage_of(name, folder)
    damaged = [path.name for path in files_below(folder)]
    found = restore(workdir)
    assert found.step == 3 and len(found.set_aside) == 1
    assert_equal(found.items, items_of(3))
    assert (
        found.set_aside[0].startswith(str(folder)) and 'renamed to 5.damaged, the run continues from step 3' in caplog.text
    )
    assert sum(record.levelname == 'WARNING' for record in caplog.records) == 1  # one line
    assert [path.name for path in files_below(folder.with_name('5.damaged'))] == damaged  # nothing was deleted
    with Checkpoints(str(workdir), keep=2) as checkpoints:
        checkpoints.save(5, items_of(5), CONFIG, {})
    assert restore(workdir).step == 5


def test_the_manager_forgets_what_was_set_aside(workdir):
    """As at a rollback after NaN, where the checkpoints are open."""
    sharding = StateSharding(make_mesh(1))
    with Checkpoints(str(workdir), keep=3) as checkpoints:
        checkpoints.save(6, items_of(6), CONFIG, {})
        assert checkpoints.latest() == 6
        damage_of('truncated', workdir / 'checkpoints' / '6')
        assert checkpoints.restore_newest(jax.eval_shape(lambda: items_of(0)), CONFIG, sharding).step == 5
        checkpoints.save(6, items_of(6), CONFIG, {})
    assert restore(workdir).step == 6 and (workdir / 'checkpoints' / '6.damaged').is_dir()


def test_a_second_damaged_one_of_a_step_has_a_name_too(workdir):
    damage_of('emptied', workdir / 'checkpoints' / '5')
    (workdir / 'checkpoints' / '5.damaged').mkdir()
    restore(workdir)
    assert (workdir / 'checkpoints' / '5.damaged-2' / 'generators').is_dir()


def test_where_all_are_damaged_nothing_is_renamed_and_no_run_starts_over(workdir):
    for step in ('3', '5'):
        damage_of('truncated', workdir / 'checkpoints' / step)
    with pytest.raises(UserError, match='5 is damaged: .*; no checkpoint before it is whole: restore a copy') as error:
        restore(workdir)
    one_line(error)
    assert sorted(path.name for path in (workdir / 'checkpoints').iterdir()) == ['3', '5']


@pytest.mark.parametrize('reason', ['Permission denied', 'UNAVAILABLE: try again', 'Too many open files'])
def test_a_checkpoint_that_cannot_be_reached_stays(workdir, monkeypatch, reason):
    def fail(*_):
        raise ValueError(f'{reason} [specification: a page]\nmore')

    monkeypatch.setattr('orbax.checkpoint.StandardCheckpointer.restore', fail)
    with pytest.raises(UserError, match=f'5: generators cannot be read: {reason}') as error:
        restore(workdir)
    assert not isinstance(error.value, DamagedCheckpoint)
    assert sorted(path.name for path in (workdir / 'checkpoints').iterdir()) == ['3', '5']


@pytest.mark.parametrize('name', [name for name in DAMAGE if name not in ('item gone', 'half copied')])
def test_whoever_only_reads_refuses_and_names_another(workdir, name):
    damage_of(name, workdir / 'checkpoints' / '5')
    with pytest.raises(UserError, match='; --step=3 is the checkpoint before it') as error:
        load_generators(str(workdir))
    one_line(error)
    assert load_generators(str(workdir), 3).step == 3 and (workdir / 'checkpoints' / '5').is_dir()
    if name != 'empty folder':
        with pytest.raises(UserError, match=f'; {workdir}/checkpoints/3 is the checkpoint before it'):
            load_generators(str(workdir / 'checkpoints' / '5'))


def test_the_one_after_it_or_none(workdir):
    damage_of('emptied', workdir / 'checkpoints' / '3')
    with pytest.raises(UserError, match='--step=5 is the checkpoint after it'):
        load_generators(str(workdir), 3)
    shutil.rmtree(workdir / 'checkpoints' / '5')
    with pytest.raises(UserError, match='there is no other checkpoint'):
        load_generators(str(workdir))


def test_checkpoints_of_older_versions_are_read_with_a_line(workdir, caplog):
    folder = workdir / 'checkpoints' / '5'
    shutil.rmtree(folder / 'checksums')
    listing = json.loads((folder / '_CHECKPOINT_METADATA').read_text())
    del listing['item_handlers']['checksums']
    (folder / '_CHECKPOINT_METADATA').write_text(json.dumps(listing))
    found = restore(workdir)
    assert found.step == 5 and [record.getMessage() for record in caplog.records] == [
        f'{folder} has no checksums, as older versions wrote none: read without them'
    ]
    assert_equal(found.items, items_of(5))


@pytest.mark.parametrize('content', [b'', b'\xff', b'{"kid": 0.0}', b'[' * 100_000, b'{"kid": null}', b'3'])
def test_damaged_metrics_cost_the_best_its_place_and_nothing_else(workdir, content, caplog):
    """Step 3 has the smaller metric; without it, step 5 is the best."""
    (workdir / 'checkpoints' / '3' / 'metrics' / 'metrics').write_bytes(content)
    assert load_generators(str(workdir)).step == 5 and restore(workdir).step == 5 and not caplog.records
    assert load_generators(str(workdir), 'best').step == 5
    assert '3 is damaged: metrics' in caplog.text and 'training.keep_best does without them' in caplog.text
    caplog.clear()
    with Checkpoints(str(workdir), keep=1, best='kid') as checkpoints:  # as a run that goes on
        checkpoints.save(6, items_of(6), CONFIG, {'kid': 9.0})
    assert sorted(path.name for path in (workdir / 'checkpoints').iterdir()) == ['5', '6']
    assert '3 is damaged: metrics' in caplog.text
