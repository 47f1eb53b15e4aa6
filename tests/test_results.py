"""The command that makes docs/results.md again from runs."""

import json

import pytest
from PIL import Image

from benchmarks import results, results_emoji, results_official
from benchmarks.results_photographs import SETS

PAGE = """# Results
<!-- begin official steps -->
old
<!-- end official steps -->
<!-- begin official seconds -->
old
<!-- end official seconds -->
<!-- begin photographs -->
old
<!-- end photographs -->
The end.
"""


@pytest.fixture
def docs(tmp_path):
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'results.md').write_text(PAGE)
    return tmp_path / 'docs'


def make_run(folder, steps, **metrics):
    """A run with evaluations at `steps`: each metric, also by direction, is its number plus a hundredth of the step."""
    (folder / 'checkpoints' / str(max(steps))).mkdir(parents=True)
    rows = []
    for step in steps:
        values = {name: value + step / 100 for name, value in metrics.items()}
        rows.append({'step': step} | values | {f'{n}_{way}': v for n, v in values.items() for way in ('A2B', 'B2A')})
    (folder / 'evaluation.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))


def make(docs, *parts):
    return results.main([f'--runs={docs.parent / "runs"}', f'--docs={docs}', '--parts', *parts])


def rows_of(docs, name):
    """Cells of the table between the markers, without its head."""
    text = (docs / 'results.md').read_text()
    table = text.partition(f'<!-- begin {name} -->\n')[2].partition(f'\n<!-- end {name} -->')[0]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()[2:]]


def test_parts_without_their_runs_are_said_and_stay(docs, capsys):
    make_run(docs.parent / 'runs' / 'cat2dog64', [10], kid_effnet=0.0)
    assert make(docs, 'curve', 'official', 'photographs') == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(' ')[0] for line in said] == ['curve', 'official', 'photographs']
    assert said[2].endswith('horse2zebra64, no ' + str(docs.parent / 'runs' / 'selfie2anime64'))
    assert [path.name for path in docs.iterdir()] == ['results.md'] and (docs / 'results.md').read_text() == PAGE


def test_photographs_at_the_first_evaluation_the_one_in_the_middle_and_the_last(docs, capsys):
    metrics = dict(kid_effnet=0.1, kid_effnet_source=0.2, domain_accuracy=0.3, cycle_l1=0.4, identity_l1=0.5)
    for run, steps in zip(SETS, ([10, 20, 30, 40, 50], [10, 20], [10])):
        make_run(docs.parent / 'runs' / run, steps, **metrics)
    assert make(docs, 'photographs') == 0
    rows = rows_of(docs, 'photographs')
    assert [row[:3] for row in rows[::2]] == [
        ['cats, dogs', '10', 'A2B'],
        ['cats, dogs', '30', 'A2B'],
        ['cats, dogs', '50', 'A2B'],
        ['horses, zebras', '10', 'A2B'],
        ['horses, zebras', '20', 'A2B'],
        ['selfies, anime', '10', 'A2B'],
    ]
    assert rows[3] == ['cats, dogs', '30', 'B2A', '0.400', '0.500', '0.60', '0.700', '0.800']
    text = (docs / 'results.md').read_text()
    assert text.startswith(PAGE.partition('<!-- begin photographs')[0]) and text.endswith('photographs -->\nThe end.\n')
    (docs / 'results.md').write_text('no markers')
    assert make(docs, 'photographs') == 2 and 'no markers <!-- begin photographs' in capsys.readouterr().err


def test_the_official_code_beside_ours_at_equal_steps_and_seconds(docs, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(results_official, 'test_sources', dict)
    monkeypatch.setattr(results_official, 'sheet', lambda sides, _, step: shown.append(step) or Image.new('RGB', (8, 8)))
    runs = docs.parent / 'runs'
    metrics = dict(truth_l1_share=1.0, truth_perceptual=2.0, domain_accuracy=0.5, kid_effnet=0.25)
    make_run(runs / 'ours0', [100, 200, 300], **metrics)
    make_run(runs / 'ours1', [100, 200], **metrics | {'kid_effnet': 0.5})
    make_run(runs / 'official', [50, 100, 150], **metrics | {'kid_effnet': 0.75})
    speed = {'ours': {'cpu_seconds': 0.5}, 'official': {'cpu_seconds': 1.5}}
    (runs / 'speed.json').write_text(json.dumps({'results': speed}))
    assert make(docs, 'official') == 0
    assert rows_of(docs, 'official steps') == [
        ['100', 'ours, seed 0', '50', '2.000', '3.000', '1.500', '1.250'],
        ['100', 'ours, seed 1', '50', '2.000', '3.000', '1.500', '1.500'],
        ['100', 'official PyTorch', '150', '2.000', '3.000', '1.500', '1.750'],
    ]
    # 75 s are 150 of our steps, 150 s are 300, 225 s are 450: ours ended at 300 and 200, and 100 steps later have no number
    assert [row[:3] for row in rows_of(docs, 'official seconds')] == [
        ['75', 'official PyTorch', '50'],
        ['75', 'ours, seed 0', '100'],
        ['75', 'ours, seed 1', '100'],
        ['150', 'official PyTorch', '100'],
        ['150', 'ours, seed 0', '300'],
        ['150', 'ours, seed 1', '200'],
        ['225', 'official PyTorch', '150'],
    ]
    assert shown == [100] and {path.name for path in docs.glob('*.png')} == {'official.png', 'official_curve.png'}
    (runs / 'ours1' / 'evaluation.jsonl').unlink()
    assert make(docs, 'official') == 2 and 'ours1 has no evaluation.jsonl' in capsys.readouterr().err


def test_stages_of_a_training_count_their_steps_from_its_start(docs):
    runs = docs.parent / 'runs'
    make_run(runs / 'emoji64', [10, 20], truth_l1_share=1.0, truth_perceptual=0.5)
    make_run(runs / 'emoji128', [5], truth_l1_share=1.0, truth_perceptual=0.5)
    rows = results_emoji.all_stages([runs / 'emoji64', runs / 'emoji128'])
    assert [row['step'] for row in rows] == [10, 20, 25]
    assert make(docs, 'curve') == 0
    with Image.open(docs / 'emoji_curve.png') as image:
        assert image.width > 800
