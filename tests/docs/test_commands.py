"""Every command and every Python block of README and docs/ runs, at toy size.

Bash says which programs a block starts. Commands of this package run in this process, in a folder that has what the pages
name (data/mine, photo.jpg, runs/mine); in the quick tests training stops before it compiles, and what takes long is
only parsed. Programs of others are checked as far as that goes here: see PROGRAMS.
"""

import argparse
import importlib
import importlib.util
import json
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import types

import pytest
from absl import flags
from PIL import Image

from configs import demo
from tests.helpers.command import SMALL
from tests.helpers.doc_blocks import PYTHON, SHELL, TEXT, Block, blocks_of, calls_of, variables_of
from tests.helpers.drawn_face import photo
from tests.helpers.image_files import make_folder, smooth
from tests.helpers.official_files import official_of, tree_of
from tests.helpers.paths import ROOT
from tests.helpers.run_workdir import make_workdir, short_row_of
from tests.helpers.small import small_config
from tests.helpers.torch_writer import write_zip
from tests.helpers.translation import write_checkpoint
from ugatit_jax import distill
from ugatit_jax import main as training
from ugatit_jax.__main__ import COMMANDS
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.training import dry_run

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'launch' / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TRAINED = ['--config=small', '--workdir=runs/mine', '--config.data.source=folder:data/mine']
TOY = [*SMALL, '--config.training.ema_decay=0', '--config.training.ema_warmup=False']  # other tests compile the same step
OPENSSL = shutil.which('openssl')
NO_INCEPTION = '--config.evaluation.inception_weights=none'  # they would be downloaded

PARSED_ONLY = (
    'benchmarks.',
    'ugatit_jax.serve',
    'http.server',
)  # these take minutes, or never end; tests of their own run them

# flags that make a command small, behind its own
SHRINK = {
    'ugatit_jax.translate': ['--size=32'],
    'ugatit_jax.evaluate': ['--inception_weights=none'],
    'ugatit_jax.data.check': ['--no-other_domain'],
}


class Parsed(Exception):
    """A command's flags are known; it goes no further."""


def parse_only(parser, *arguments):
    """In place of parse_args."""
    PARSE_ARGS(parser, *arguments)
    raise Parsed


PARSE_ARGS = argparse.ArgumentParser.parse_args


class Page:
    """What a page's blocks run in: a folder, the variables of its Python blocks, and whether everything runs for real."""

    def __init__(self, work: pathlib.Path, monkeypatch: pytest.MonkeyPatch, real: bool):
        self.work, self.monkeypatch, self.real = work, monkeypatch, real
        self.variables, self.exports = {'__name__': '__main__'}, ''

    def run(self, block: Block) -> None:
        """Runs a block; AssertionError or the command's own error where it does not work."""
        if block.language in PYTHON:
            text = block.text.replace('hf://OWNER/NAME', 'mymodel')  # tests/checkpoint/test_hub.py has a stand-in of the Hub
            exec(compile(text, block.where, 'exec'), self.variables)
        elif block.language in SHELL:
            for program, arguments in calls_of(block, PROGRAMS, self.work, self.exports):
                check = check_launcher if program.startswith('launch/') else PROGRAMS[program]
                try:
                    check(self, arguments, block)
                except (AssertionError, SystemExit) as error:
                    raise AssertionError(f'{block.where}: {program} {" ".join(arguments)}: {error}') from error
            self.exports += ''.join(re.findall(r'^export .*\n', block.text, re.MULTILINE))
        else:
            assert block.language in TEXT, f'{block.where}: a block of {block.language!r}: sh, python or text'


def run_python(page: Page, arguments: list[str], block: Block) -> None:
    """python -m MODULE, python -c CODE or python FILE."""
    if arguments[0] == '-c':
        exec(compile(arguments[1], block.where, 'exec'), {})
    elif arguments[0] == '-m':
        run_module(page, arguments[1], arguments[2:])
    else:
        page.monkeypatch.setattr(sys, 'argv', arguments)
        runpy.run_path(str(ROOT / arguments[0]), run_name='__main__')


def run_module(page: Page, module: str, arguments: list[str]) -> None:
    """python -m MODULE ARGUMENTS, in this process, without clouds and shrunken."""
    arguments = [argument.replace('gs://BUCKET', 'bucket') for argument in arguments]
    if module == 'ugatit_jax.main':
        return run_main(page, arguments)
    if module == 'ugatit_jax.distill':
        return run_main(page, distill.training_flags(arguments))
    long = is_long(module, arguments) and not page.real
    if module.startswith(PARSED_ONLY) or long or lacks_something(module, arguments):
        return parse_module(page, module, arguments)
    for argument in arguments:
        if argument.startswith(('--checkpoint=', '--from=')):
            bring_workdir(page, argument.partition('=')[2])
    assert command_of(module)([*arguments, *SHRINK.get(module, [])]) == 0, 'the exit code'


def is_long(module: str, arguments: list[str]) -> bool:
    """Whether a command takes many seconds: TensorFlow's converter, classifiers."""
    return module == 'ugatit_jax.evaluate' or any('.tflite' in argument for argument in arguments)


def lacks_something(module: str, arguments: list[str]) -> bool:
    """Whether a command needs what may not be here: torch, npm, or the runs of launch/ablation.sh."""
    return (
        module == 'ugatit_jax.evaluate.ablation'
        or '--page' in arguments
        or '--to=x.pt' in arguments
        and not importlib.util.find_spec('torch')
    )


def parse_module(page: Page, module: str, arguments: list[str]) -> None:
    """Checks that the module has a command that knows these flags."""
    page.monkeypatch.setattr(sys, 'argv', [module, *arguments])
    page.monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_only)
    if module == 'http.server':
        with pytest.raises(Parsed):
            runpy.run_module(module, run_name='__main__')
        return page.monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', PARSE_ARGS)
    command = command_of(module)
    with pytest.raises(Parsed):
        command(arguments) if 'arguments' in command.__code__.co_varnames[:1] else command()
    page.monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', PARSE_ARGS)


def command_of(module: str):
    """The function that python -m MODULE runs."""
    found = importlib.import_module(module)
    return (importlib.import_module(f'{module}.__main__') if hasattr(found, '__path__') else found).main


def run_main(page: Page, arguments: list[str]) -> None:
    """python -m ugatit_jax.main: trains, evaluates or says what a run needs."""
    [workdir] = [argument.partition('=')[2] for argument in arguments if argument.startswith('--workdir=')]
    if '--mode=eval' in arguments:
        bring_workdir(page, workdir)
        extra = [NO_INCEPTION, '--config.evaluation.effnet=False', *(() if page.real else TOY)]
    else:
        extra = [*TOY, '--config.training.profile_steps=2:3'] if 'profile_steps' in str(arguments) else TOY
    for argument in arguments:
        if argument.startswith('--config.init_from='):
            bring_workdir(page, argument.partition('=')[2])
        if argument.startswith('--config=distill:'):
            bring_workdir(page, argument.partition(':')[2])
            own = ('--config.data.image_size', '--config.model.n_layers')  # the teacher's
            extra = [flag for flag in extra if not flag.startswith(own)]
    sources = [argument.partition('=')[2] for argument in arguments if argument.startswith('--config.data.source=')]
    for source in sources:
        if source.startswith('folder:') and not pathlib.Path(source.removeprefix('folder:')).is_dir():
            raise AssertionError(f'{source} is none of the folders of this test')
    if not sources and not any(
        f'--config={name}' in str(arguments) for name in ('demo', 'configs/demo', 'small', 'distill:emoji')
    ):
        extra = [*extra, '--config.data.source=folder:data/mine']  # in place of a download
    page.monkeypatch.setattr(sys, 'argv', ['main', *arguments, *extra])  # ml_collections looks at it, too
    for name in [name for name in flags.FLAGS if name.startswith('config.')]:
        delattr(flags.FLAGS, name)  # of an earlier command
    for name in training.FLAGS:
        flags.FLAGS[name].value = flags.FLAGS[name].default
    assert training.main([*arguments, *extra]) == 0, 'the exit code'


def bring_workdir(page: Page, place: str) -> None:
    """Makes a trained run of any name that is not there yet."""
    if place.startswith(('runs/', 'bucket/')) and not (page.work / place).exists():
        shutil.copytree(page.work / 'runs' / 'mine', page.work / place)


def run_console(page: Page, arguments: list[str], block: Block) -> None:
    """ugatit_jax COMMAND ARGUMENTS."""
    assert arguments[0] in COMMANDS, f'{arguments[0]} is no command'
    run_module(page, COMMANDS[arguments[0]][0].removesuffix('.__main__'), arguments[1:])


def check_launcher(page: Page, arguments: list[str], block: Block) -> None:
    """launch/X.sh is there, knows the variables that are set for it, and its flags are those of ugatit_jax.main."""
    scripts = ''.join(path.read_text() for path in (ROOT / 'launch').glob('*.sh'))
    unknown = {name for name in variables_of(block) if not re.search(rf'\b{name}\b', scripts)}
    assert not unknown, f'{unknown} are variables of no launcher'
    for argument in arguments:
        if argument.startswith('--config='):
            importlib.import_module('ugatit_jax.config.config_files').find_config(argument.partition('=')[2])
        elif argument.startswith('--config.'):
            importlib.import_module('ugatit_jax.config.fields').validate_name(argument[9:].partition('=')[0])
        else:
            assert argument in ('down', 'up', 'state', '...') or argument.startswith('--index='), argument


def check_sbatch(page: Page, arguments: list[str], block: Block) -> None:
    """Slurm is not here: the script is there, and what follows it is for it."""
    [place] = [i for i, argument in enumerate(arguments) if argument.endswith('.sh')]
    assert (ROOT / arguments[place]).is_file()
    check_launcher(page, arguments[place + 1 :], block)


def check_make(page: Page, arguments: list[str], block: Block) -> None:
    """The target is in the Makefile: what make does is what this suite runs, or takes minutes."""
    targets = re.findall(r'^(\w[\w-]*):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    assert all('=' in argument or argument in targets for argument in arguments), 'a target of the Makefile'


def check_pip(page: Page, arguments: list[str], block: Block) -> None:
    """It installs from a network: files and extras are there."""
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    assert arguments[0] == 'install'
    named = re.fullmatch(r'-e \.(?:\[([\w,]+)\])?', ' '.join(arguments[1:]))
    if named:
        assert set((named[1] or '').split(',')) <= {*extras, ''}, 'an extra of pyproject.toml'
    else:
        assert arguments[1:] in (['tensorboard-plugin-profile'], ['skypilot[gcp]']), 'a package that was thought of'


def check_docker(page: Page, arguments: list[str], block: Block) -> None:
    """Docker is not here: its file is there."""
    for argument in arguments:
        if argument.startswith('--file='):
            assert (ROOT / argument.partition('=')[2]).is_file()


def run_openssl(page: Page, arguments: list[str], block: Block) -> None:
    """Makes keys and certificates."""
    if not OPENSSL:
        pytest.skip('openssl is not installed')
    subprocess.run([OPENSSL, *arguments], check=True, capture_output=True)


def nothing_to_check(page: Page, arguments: list[str], block: Block) -> None:
    """For programs of others that are not here, or that never end."""


PROGRAMS = {  # every other program in a block is an error
    'python': run_python,
    'ugatit_jax': run_console,
    'make': check_make,
    'pip': check_pip,
    '.venv/bin/pip': check_pip,
    'docker': check_docker,
    'sbatch': check_sbatch,
    'openssl': run_openssl,
    'gcloud': nothing_to_check,  # needs an account; tests/launch/test_scripts.py asks its own parser
    'xpk': nothing_to_check,  # needs an account, and is not installed
    'sky': nothing_to_check,  # needs an account, and is not installed; tests/launch/test_skypilot.py reads its file
    'tensorboard': nothing_to_check,  # a server, which never ends
    'tee': nothing_to_check,  # keeps a launcher's output
}


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """A folder with what the pages name: images, a film, an official checkpoint, and a run."""
    work = tmp_path_factory.mktemp('site')
    make_folder(work / 'data' / 'mine', {'trainA': 6, 'trainB': 6, 'testA': 4, 'testB': 4}, side=32)
    for source, target in (('testA', 'photos'), ('testB', 'outputs')):
        shutil.copytree(work / 'data' / 'mine' / source, work / target)
    for name in ('photo.jpg', 'in.png'):
        Image.fromarray(smooth(40, 48)).save(work / name)
    shutil.copytree(work / 'data' / 'mine' / 'trainB', work / 'data' / 'album' / 'trainB')
    for place in ('.', 'album', 'data/album/trainA'):
        (work / place).mkdir(exist_ok=True)
        Image.fromarray(photo(120, 100, (60, 50, 80, 0))).save(work / place / 'group.jpg')
    film(work / 'film.mp4')
    config = small_config(model__reference='pytorch')
    write_zip(work / 'official_params_latest.pt', tree_of(official_of(config, 'pytorch')))
    write_checkpoint(make_workdir(work / 'runs' / 'mine', range(10, 101, 10), short_row_of))
    return work


def film(path: pathlib.Path) -> None:
    """Three frames."""
    av = pytest.importorskip('av', reason='PyAV is not installed: pip install ugatit_jax[video]')
    with av.open(str(path), 'w') as made:
        stream = made.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, 'yuv420p'
        for i in range(3):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(smooth(24, 32, i))))
        made.mux(stream.encode())


@pytest.fixture(params=['quick', pytest.param('real', marks=pytest.mark.slow)])  # real: compiles every program
def page(request, site, tmp_path, monkeypatch):
    """Runs blocks in a copy of the folder."""
    work = tmp_path / 'work'
    shutil.copytree(site, work)
    monkeypatch.chdir(work)
    for name in ('wandb', 'mlflow'):  # not installed
        monkeypatch.setitem(sys.modules, name, tracker())
    monkeypatch.setattr(demo, 'get_config', shrunken(demo.get_config))
    if request.param == 'quick':
        monkeypatch.setattr('ugatit_jax.training.loop.train', dry_run.dry_run)  # settings, data and shapes
        monkeypatch.setattr(
            'ugatit_jax.evaluate.run.evaluate_run', lambda config, workdir, _: dry_run.dry_run(config, workdir)
        )
        monkeypatch.setattr(dry_run, 'compile_step', lambda *_: (None, []))
        monkeypatch.setattr(dry_run.memory, 'log_memory', lambda *_: None)
        monkeypatch.setattr(dry_run.Checkpoints, 'validate_newest', lambda *_: 0)  # of runs/mine, a model of another size
        monkeypatch.setattr(dry_run, 'read_start', lambda path, *_: load_generators(path))
    made = Page(work, monkeypatch, request.param == 'real')
    if made.real:
        shutil.rmtree(work / 'runs' / 'mine')
        run_main(made, TRAINED)
    return made


def shrunken(get_config):
    """get_config of a config, at toy size."""

    def small():
        config = get_config()
        for flag in TOY:
            name, _, value = flag.removeprefix('--config.').partition('=')
            group, field = name.split('.')
            config[group][field] = json.loads(value.lower())
        return config

    return small


def tracker() -> types.SimpleNamespace:
    """Stands in for wandb and mlflow: rows have to be numbers, by step."""

    def log(row, step):
        assert isinstance(step, int) and all(isinstance(value, int | float) for value in row.values())

    return types.SimpleNamespace(init=lambda: types.SimpleNamespace(log=log), log_metrics=log)


@pytest.mark.parametrize('path', PAGES, ids=NAMES)
def test_every_block_runs(path, page):
    for block in blocks_of(path):
        page.run(block)


def test_the_pages_have_commands():
    languages = [block.language for path in PAGES for block in blocks_of(path)]
    assert sum(language in SHELL for language in languages) > 40 and sum(language in PYTHON for language in languages) >= 4


@pytest.mark.parametrize(
    'text, message',
    [
        ('python -m ugatit_jax.translate --checkpont=x', '2'),
        ('python -m ugatit_jax.main --config=demo --workdir=w --config.model.chh=3', 'exit code'),
        ('python -m benchmarks.step --sises 3', '2'),
        ('frobnicate now', 'frobnicate: '),
        ('make demmo', 'a target'),
        ('pip install -e .[cudda]', 'an extra'),
        ('launch/tpu.sh', 'launch/tpu.sh'),
        ('NAMES=x launch/gke.sh', 'variables of no launcher'),
        ('launch/gke.sh --config=absent', 'no file absent'),
        ('if true', 'syntax error'),
        ('ugatit_jax trian', 'no command'),
    ],
)
def test_mistakes_in_a_page_are_found(text, message, site, tmp_path, monkeypatch):
    (tmp_path / 'work').mkdir()
    monkeypatch.chdir(tmp_path / 'work')
    with pytest.raises((AssertionError, UserError), match=re.escape(message)):
        Page(tmp_path / 'work', monkeypatch, False).run(Block('page.md:1', 'sh', text))


def test_unknown_languages_are_found(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="a block of 'yaml'"):
        Page(tmp_path, monkeypatch, False).run(Block('page.md:1', 'yaml', 'x: 1'))
