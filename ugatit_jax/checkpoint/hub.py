"""Model folders on the Hugging Face Hub: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION (a branch, tag or commit).

Files are downloaded when they are read, into the Hub's own cache (HF_HOME), from where they are read without a network. The
folder is read as one that lies here: nothing in it is executed, and its files have to be those that config.json names.
"""

import re
from typing import Any, NamedTuple

from etils import epath

from ugatit_jax.common.errors import UserError, short_line
from ugatit_jax.common.files import is_installed

SCHEME = 'hf://'
PATTERN = re.compile(r'hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?')


class HubModel(NamedTuple):
    """A model folder at one commit."""

    id: str  # OWNER/NAME
    commit: str
    folder: epath.Path  # in the cache; holds what was fetched

    @property
    def where(self) -> str:
        """What reads the same commit again."""
        return f'{SCHEME}{self.id}@{self.commit}'

    def fetch(self, file: str) -> None:
        """Downloads a file into the folder unless it is there; raises UserError."""
        download(self.where, self.id, file, self.commit)


def is_on_hub(path: str) -> bool:
    """Whether a path names a model on the Hub, or tries to: HF://OWNER/NAME."""
    return path.lower().startswith(SCHEME)


def open_hub_model(path: str, file: str) -> HubModel:
    """The model folder at hf://OWNER/NAME[@REVISION], of which `file` is downloaded; raises UserError."""
    if (match := PATTERN.fullmatch(path)) is None:
        raise UserError(f'{path} is not hf://OWNER/NAME or hf://OWNER/NAME@REVISION')
    if not is_installed('huggingface_hub'):
        raise UserError(f'{path} needs huggingface_hub; hint: pip install -e .[hub]')
    folder = epath.Path(download(path, match[1], file, match[2])).parent  # .../snapshots/COMMIT
    return HubModel(match[1], folder.name, folder)


def download(path: str, id: str, file: str, revision: str | None) -> str:
    """The place of a file in the cache, downloaded if it is not there; raises UserError that begins with `path`."""
    from huggingface_hub import errors, hf_hub_download

    reasons: dict[type[Exception], str] = {  # the first that fits: some are subclasses of others
        errors.GatedRepoError: 'its owner gives access on request; ask on its page, and log in with: hf auth login',
        errors.RepositoryNotFoundError: 'there is no such model on the Hub; if it is private: hf auth login',
        errors.RevisionNotFoundError: f'it has no revision {revision}',
        errors.RemoteEntryNotFoundError: f'it has no {file}, so it is not a folder that ugatit_jax.export wrote',
        errors.LocalEntryNotFoundError: f'{file} is not in the cache, and the Hub does not answer; try again later',
    }
    options: dict[str, Any] = {'revision': revision, 'library_name': 'ugatit_jax'}
    try:
        return hf_hub_download(id, file, **options)
    except (OSError, ValueError) as error:  # those of the Hub are OSErrors, a name that it does not take is a ValueError
        known = next((reason for kind, reason in reasons.items() if isinstance(error, kind)), None)
        raise UserError(f'{path}: {known or short_line(error)}') from error
