"""The commands on the page of a run: to continue it, to translate, to evaluate, to write the page again."""

import pathlib
import shlex
from typing import Any

from ugatit_jax.common.files import absolute
from ugatit_jax.report.run_settings import changed_fields


def run_commands(workdir: str, command: str, config: dict[str, Any]) -> list[dict[str, str]]:
    """[{'title', 'text'}]; command: the one that started the run, '' where that was not recorded."""
    again = continue_command(workdir, command, config)
    quoted = shlex.quote(workdir)
    return [
        {'title': 'Continue', 'text': again},
        {
            'title': 'Translate images',
            'text': f'python -m ugatit_jax.translate --checkpoint={quoted} --input=IMAGES --output=FOLDER --direction=a2b',
        },
        {'title': 'Evaluate', 'text': f'{again} --mode=eval'},
        {'title': 'Write this page again', 'text': f'python -m ugatit_jax.run_page {quoted}'},
    ]


def continue_command(workdir: str, command: str, config: dict[str, Any]) -> str:
    """The recorded command, or one made from the config where the run was started from Python or not recorded.

    Of a folder that was renamed or copied the recorded command would continue, or begin, another run: it names this one.
    """
    if command.startswith(('python -m ugatit_jax.main ', 'python -m ugatit_jax.distill ')):
        return with_workdir(command, workdir)
    if not config:
        return f'python -m ugatit_jax.main --config=CONFIG --workdir={shlex.quote(workdir)}'
    fields = changed_fields({name: value for name, value in config.items() if name != 'converted'})
    flags = [f'--config.{name}={value}' for name, (_, value) in fields.items() if value is not None]
    return shlex.join(['python', '-m', 'ugatit_jax.main', '--config=configs/default.py', f'--workdir={workdir}', *flags])


def with_workdir(command: str, workdir: str) -> str:
    """The command with `workdir` in place of a --workdir whose folder has another name; else as it is.

    Only names are compared: the command may have been given in another folder than the page's.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a damaged line of history.jsonl: no closing quotation
        return command
    for i, word in enumerate(words):
        flag, equals, value = word.partition('=')
        if flag != '--workdir' or not (equals or i + 1 < len(words)):
            continue
        value = value if equals else words[i + 1]
        if pathlib.PurePath(value).name == pathlib.PurePath(absolute(workdir)).name:
            return command
        words[i : i + 1 if equals else i + 2] = [f'--workdir={workdir}']
        return shlex.join(words)
    return command
