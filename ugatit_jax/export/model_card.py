"""The README.md of a folder of generators, with the front matter that the Hugging Face Hub reads."""

import pathlib

import jax

from ugatit_jax.checkpoint.generators import LoadedGenerators
from ugatit_jax.config.derived import model_name
from ugatit_jax.evaluate.metrics import METRICS, format_number
from ugatit_jax.models.names import direction_of

PAPER = 'https://arxiv.org/abs/1907.10830'


def model_card(
    loaded: LoadedGenerators,
    name: str,
    dtype: str,
    scores: dict[str, dict[str, float]],
    preview: bool,
    license: str,
) -> str:
    """The card as Markdown.

    scores: by direction, {} where the step was not evaluated. preview: whether preview.png is there.
    """
    config, generators = loaded.config, sorted(loaded.generator)
    data, model, loss = config.data, config.model, config.loss
    count = sum(leaf.size for leaf in jax.tree.leaves(loaded.generator[generators[0]]))
    direction = direction_of(generators[0]).lower()
    rows = {
        'model': f'{model_name(config)} U-GAT-IT generator, ch {model.ch}, {model.n_res} residual blocks',
        'parameters': f'{count:,} in each direction',
        'generators': f'{", ".join(generators)}, {loaded.weights} weights, {dtype}',
        'trained on': f'`{data.source}` at {data.image_size}x{data.image_size}, batch {data.batch_size}',
        'steps': f'{loaded.step:,}',
        'loss weights': ', '.join(f'{key} {loss[f"{key}_weight"]:g}' for key in ('adversarial', 'cycle', 'identity', 'cam')),
    }
    if config.distill.teacher:
        teacher = pathlib.PurePath(config.distill.teacher).name  # no folder of the machine that trained
        rows['teacher'] = f'{teacher}, checksum {config.distill.teacher_checksum}, whose images it learnt'
        rows['loss weights'] = (
            f'L1 {config.distill.l1_weight:g}, features {config.distill.feature_weight:g}, '
            f'adversarial {loss.adversarial_weight:g}'
        )
    parts = [
        front_matter(license),
        f'# {name}',
        f'Unpaired image-to-image translation by [U-GAT-IT]({PAPER}), trained with ugatit_jax.',
        *(['![real and translated images](preview.png)'] if preview else []),
        '| | |\n|---|---|\n' + '\n'.join(f'| {key} | {value} |' for key, value in rows.items()),
        f"```python\nimport ugatit_jax\n\ntranslator = ugatit_jax.load('{name}', direction='{direction}')\n"
        'fakes = translator(images)  # uint8 [n, h, w, 3] -> uint8 [n, h, w, 3]\n```',
        *scores_section(scores),
        '## Intended use and limits\n\nFor images like those of its training data. The images are made by a generative '
        'model: say so where they are shown. It invents what it cannot know of its input, and keeps the biases of its data. '
        'Do not translate faces of people who did not agree to it.',
        '## Licence\n\n'
        + (f'{license}.' if license else 'Not named by who made it. The training data has a licence of its own.'),
    ]
    return '\n\n'.join(parts) + '\n'


def front_matter(license: str) -> str:
    """What the Hub reads: licence, task and tags."""
    lines = [f'license: {license.lower()}'] if license else []
    lines += ['library_name: ugatit_jax', 'pipeline_tag: image-to-image', 'tags: [u-gat-it, jax, flax, unpaired]']
    return '\n'.join(['---', *lines, '---'])


def scores_section(scores: dict[str, dict[str, float]]) -> list[str]:
    """The section with the evaluation's numbers; [] without any."""
    names = [name for name in METRICS if any(name in of_direction for of_direction in scores.values())]
    if not names:
        return []
    table = '| | ' + ' | '.join(scores) + ' |\n|---|' + '---|' * len(scores)
    for name in names:
        cells = [format_number(name, of_direction[name]) if name in of_direction else '' for of_direction in scores.values()]
        table += f'\n| {METRICS[name].title} | ' + ' | '.join(cells) + ' |'
    return ['## Evaluation\n\nOn the test images, at the step above.\n\n' + table]
