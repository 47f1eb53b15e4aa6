"""What a person calls the images of the pages, beside the field's names."""

import re

import markupsafe

BREAKS = re.compile(r'(?<=[/_.\-])(?=[^/_.\-])')  # where a long file name may go on in the next line


def image_title(name: str) -> str:
    """In words what an image is by its name, such as real_A, idt_A or heatmap; '' for names that are words already."""
    kind, _, domain = name.strip().partition('_')
    other = {'A': 'B', 'B': 'A'}.get(domain, '')
    return {
        'real': f'an image of {domain}',
        'fake': f'translated to {domain}',
        'rec': f'translated to {other} and back',
        'idt': f"{domain} as {other}'s generator sees it",
        'true': f'the true image of {domain}',
        'heatmap': 'where the generator looks',
    }.get(kind, '')


def breakable(name: str) -> markupsafe.Markup:
    """A file name as HTML that goes on in the next line after / _ . and -, not inside words."""
    return markupsafe.Markup('<wbr>').join(BREAKS.split(name))
