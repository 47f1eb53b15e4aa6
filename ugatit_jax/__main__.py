"""The command ugatit_jax (also python -m ugatit_jax): sub-commands, each a command of its own under a module's name."""

import difflib
import importlib
import sys

import ugatit_jax

COMMANDS = {  # name: (module, what it does)
    'train': ('ugatit_jax.main', 'train, continue or, with --mode=eval, evaluate a run'),
    'translate': ('ugatit_jax.translate.__main__', 'translate images, folders and videos with a trained generator'),
    'evaluate': ('ugatit_jax.evaluate.__main__', 'compare two folders of images, outputs of any model'),
    'export': ('ugatit_jax.export.__main__', 'write trained generators as a folder to ship or publish'),
    'distill': ('ugatit_jax.distill', 'train a small student of a trained model, for phones and browsers'),
    'serve': ('ugatit_jax.serve.__main__', 'serve a web page on which images are translated'),
    'convert': ('ugatit_jax.convert.__main__', 'read checkpoints of the official releases, or write such'),
    'check': ('ugatit_jax.data.check', 'look at a data set before training on it'),
    'prepare': ('ugatit_jax.data.prepare', 'write a data set as shards, for buckets and pods'),
    'page': ('ugatit_jax.run_page', "write a run's report.html again"),
}


def usage() -> str:
    """The help text."""
    lines = [
        f'  {name:10} {text} (python -m {module.removesuffix(".__main__")})' for name, (module, text) in COMMANDS.items()
    ]
    return '\n'.join(
        [
            f'ugatit_jax {ugatit_jax.__version__}: unpaired image-to-image translation (U-GAT-IT) in JAX',
            '',
            'usage: ugatit_jax COMMAND [flags]; ugatit_jax COMMAND --help tells its flags',
            '',
            *lines,
            '',
            'first: ugatit_jax train --config=demo --workdir=runs/demo',
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs a sub-command with the flags behind it; returns its exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ['--help']
    if name in ('-h', '--help', 'help'):
        print(usage())
        return 0
    if name == '--version':
        print(ugatit_jax.__version__)
        return 0
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f'is it {close[0]}?' if close else f'one of {", ".join(COMMANDS)}'
        print(f'ugatit_jax: {name!r} is not a command; {hint}', file=sys.stderr)
        return 2
    return importlib.import_module(COMMANDS[name][0]).main(rest)


if __name__ == '__main__':
    sys.exit(main())
