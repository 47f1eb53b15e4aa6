"""Files of settings, by path or by name: those of configs/ come with the package, and are found from any folder."""

import importlib.util
import pathlib
import types

import ugatit_jax
from ugatit_jax.common.errors import UserError

PACKAGE = pathlib.Path(ugatit_jax.__file__).parent
FOLDERS = (PACKAGE / 'configs', PACKAGE.parent / 'configs')  # of an installed package, of a checkout


def find_config(name: str) -> str:
    """The path of 'cat2dog', 'configs/cat2dog.py' or a file of your own; raises UserError where there is none.

    Both forms may end in ':ARGUMENT', which goes to the file's get_config.
    """
    path, colon, argument = name.partition(':')
    if not pathlib.Path(path).is_file():
        own = shipped_configs()
        parts = pathlib.PurePath(path).parts
        asked = parts[-1].removesuffix('.py') if len(parts) == 1 or len(parts) == 2 and parts[0] == 'configs' else ''
        if asked not in own:
            raise UserError(f'--config={name}: there is no file {path}; those of this project are {", ".join(own)}')
        path = str(own[asked])
    return path + colon + argument


def shipped_configs() -> dict[str, pathlib.Path]:
    """The files of configs/ by their names, sorted."""
    folder = next(folder for folder in FOLDERS if (folder / 'default.py').is_file())
    return {path.stem: path for path in sorted(folder.glob('*.py'))}


def load_config_module(name: str) -> types.ModuleType:
    """The module of one of configs/, by its name; raises KeyError."""
    spec = importlib.util.spec_from_file_location(f'ugatit_jax_config_{name}', shipped_configs()[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
