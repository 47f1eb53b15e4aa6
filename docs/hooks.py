"""MkDocs hooks: README.md and other pages outside docs/ become pages of the site; files that pages link to are copied."""

import logging
import os
import pathlib
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

logger = logging.getLogger('mkdocs.hooks')  # with --strict a warning is an error
ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {  # in the repository: on the site
    'README.md': 'index.md',
    'ARCHITECTURE.md': 'architecture.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
    'SECURITY.md': 'security.md',
    'launch/README.md': 'launchers.md',
}
LINK = re.compile(r'(?<=\]\()([^)#\s:]+)(?=[)#])')  # the path in [text](path#anchor); addresses have a colon


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside docs/, and below files/ whatever else of the repository a page links to."""
    inside = {f'docs/{file.src_uri}': file.src_uri for file in files.documentation_pages()}
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for source in [*inside, *PAGES]:
        for link in LINK.findall((ROOT / source).read_text(encoding='utf-8')):
            target = resolve(source, link)
            place = site_path(target)
            if place.startswith('files/') and (ROOT / target).is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links within the repository into links within the site; warns of those that lead nowhere in the repository."""
    uri = page.file.src_uri
    source = {page: source for source, page in PAGES.items()}.get(uri, f'docs/{uri}')

    def on_site(match: re.Match) -> str:
        target = resolve(source, match[1])
        if not (ROOT / target).is_file():
            logger.warning('%s links to %s, which is no file of the repository', source, match[1])
            return match[1]
        return os.path.relpath(site_path(target), os.path.dirname(uri) or '.')

    return LINK.sub(on_site, markdown)


def resolve(source: str, link: str) -> str:
    """The repository's path of a link in the file `source`."""
    return os.path.normpath(os.path.join(os.path.dirname(source), link))


def site_path(target: str) -> str:
    """The site's path of a file of the repository."""
    return PAGES.get(target) or (target.removeprefix('docs/') if target.startswith('docs/') else f'files/{target}')
