"""The training loop."""

import collections
import contextlib
import difflib
import logging
import time
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from ugatit_jax import sharding
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.config.derived import parse_steps, uses_identity
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.evaluate.evaluator import make_evaluator, metric_names
from ugatit_jax.models.networks import make_networks
from ugatit_jax.report import history
from ugatit_jax.training import memory, out_of_memory, preview
from ugatit_jax.training.init_from import start_from
from ugatit_jax.training.inputs import make_inputs
from ugatit_jax.training.memory import trim_memory
from ugatit_jax.training.metric_writer import Reporter
from ugatit_jax.training.preemption import Preemption
from ugatit_jax.training.profiler import Profiler
from ugatit_jax.training.rho import compiled_rho_layers, compiled_rho_statistics
from ugatit_jax.training.state import TrainState, from_items, init_state, to_items, with_other_key

logger = logging.getLogger(__name__)

LOOK_BACK = 1000  # steps whose metrics are kept on the device, to tell at which one trouble began


def train(config: ConfigDict, workdir: str) -> TrainState:
    """Trains to config.training.steps, from the newest checkpoint in `workdir` where there is one.

    Leaves checkpoints/, previews/, metrics.jsonl, report.html and TensorBoard files in workdir, and returns the last
    state. Raises UserError for settings, data or checkpoints that do not work, Preempted where it was asked to leave.
    """
    config = resolve(config)
    with out_of_memory.explained(config):
        try:
            with contextlib.ExitStack() as exits:  # the report tells how the run was left
                return train_within(exits, config, workdir)
        except OSError as error:
            raise UserError(
                f'{error.filename or workdir}: {error.strerror or first_line(error)}; mend that, and the same command '
                'continues from the last complete checkpoint'
            ) from error


def train_within(exits: contextlib.ExitStack, config: ConfigDict, workdir: str) -> TrainState:
    """The run itself; `exits` closes what is open, however the run ends."""
    mesh = sharding.make_mesh(config.data.batch_size, config.training.accumulate)
    state_sharding = sharding.StateSharding(mesh, config.training.shard_params)

    # data
    datasets = open_datasets(config)
    logger.info(
        'images: %s', ', '.join(f'{name} {len(source)}' for name, source in vars(datasets).items() if source is not None)
    )

    # state: new, or as the newest checkpoint has it
    checkpoints = exits.enter_context(Checkpoints.of_run(make_directory(workdir), config))
    networks = make_networks(config)
    shapes = jax.eval_shape(lambda: init_state(networks, config))

    def start() -> tuple[TrainState, int]:
        if (latest := checkpoints.latest()) is not None:
            return from_items(checkpoints.restore(latest, to_items(shapes), config, state_sharding)), latest
        state = init_state(networks, config, state_sharding)
        return (start_from(config.init_from, state, config) if config.init_from else state), 0

    state, first = start()
    last = config.training.steps
    changed = {}
    if first:
        changed = checkpoints.changes(first, config)
        logger.info(
            'continuing from step %d of %s%s',
            first,
            checkpoints.directory,
            ''.join(f', {name} {old} -> {new}' for name, (old, new) in changed.items()),
        )
    if first >= last:
        logger.info('nothing to do: %s has step %d, training.steps is %d', checkpoints.directory, first, last)
        if jax.process_index() == 0 and (events := history.read(workdir)) and events[-1]['event'] != 'finished':
            history.append(workdir, first, 'finished')  # killed after its last checkpoint
        return state

    # what is shown
    lead = jax.process_index() == 0
    reporter = exits.enter_context(Reporter(workdir, first, last, config, lead, changed))
    preview_images = preview.choose(datasets, config)
    evaluator = make_evaluator(config, datasets, networks, mesh)

    def show(step: int) -> None:
        generator = state_sharding.whole(state.ema or state.generator)
        sheet = preview.draw(networks, generator, preview_images, uses_identity(config))
        rho = jax.device_get(compiled_rho_layers(state.generator))
        if lead:
            preview.save(sheet, workdir, step)
            reporter.preview(step, sheet, rho)

    if first == 0:
        show(0)

    # the step, compiled before the first batch is waited for
    open_batches, step_function = make_inputs(datasets, networks, config, state_sharding)
    batches = open_batches(first)
    started = time.monotonic()
    logger.info('compiling the train step')
    batch = next(batches)
    traced = jax.jit(
        step_function, donate_argnums=0, out_shardings=(state_sharding(shapes), sharding.replicated(mesh))
    ).trace(state, batch)
    memory.report(config, mesh, (len(datasets.train_A), len(datasets.train_B)), traced.jaxpr.jaxpr)
    validate_keep_best(config, traced.out_info[1])
    train_step = traced.lower().compile()
    trim_memory()
    logger.info('compiled in %.0f s', time.monotonic() - started)
    reporter.start(first)
    profiler = Profiler(parse_steps(config.training.profile_steps, last), workdir, lead)
    exits.callback(profiler.close)

    step, chances = first, 1 if config.training.on_nan == 'restore' else 0
    recent = collections.deque(maxlen=LOOK_BACK)  # (step, metrics) on the device
    preemption = exits.enter_context(Preemption())
    while step < last:
        profiler.before(step + 1)
        state, metrics = train_step(state, batch)
        step = reporter.step = step + 1
        profiler.after(step, metrics)
        recent.append((step, metrics))
        leaving = preemption.reached(step)
        if step < last and not leaving:
            with reporter.waiting():
                batch = next(batches)

        log, save = due(step, config.training.log_every, last), leaving or due(step, config.training.checkpoint_every, last)
        away = leaving and step < last  # what takes time and can be missed is left out; after the last step the run is done
        evaluate = evaluator is not None and not away and due(step, config.evaluation.every, last)
        if log or save or evaluate:
            metrics = jax.device_get(metrics)
            if trouble := first_not_finite(metrics, recent):
                if not chances:
                    raise UserError(f'{trouble}; {checkpoints.way_back()}')
                chances -= 1
                logger.warning('%s; going back, once (training.on_nan=restore)', trouble)
                state, step = start()
                state = with_other_key(state)  # or the same numbers would follow
                reporter.back_to(step, trouble)
                recent.clear()
                batches = open_batches(step)
                batch = next(batches)
                continue
            recent.clear()
        if log:
            reporter.log(step, metrics | jax.device_get(compiled_rho_statistics(state.generator)))
        if due(step, config.training.preview_every, last) and not away:
            show(step)
        if evaluate:
            scores = evaluator.metrics(state_sharding.whole(state.ema or state.generator))
            reporter.log_evaluation(step, scores)
            metrics = metrics | scores  # of the checkpoint: training.keep_best looks at both
        if save:
            checkpoints.save(step, to_items(state), config, metrics)
        if away:
            checkpoints.close()
            raise preemption.leave(step, workdir)

    checkpoints.close()
    logger.info('done: checkpoints, previews, metrics.jsonl and report.html are in %s', workdir)
    return state


def due(step: int, every: int, last: int) -> bool:
    """Whether something done every so many steps, and at the end, is to be done now."""
    return step % every == 0 or step == last


def validate_keep_best(config: ConfigDict, metrics: dict[str, Any]) -> None:
    """Raises UserError where training.keep_best names neither one of the step's metrics nor one of evaluations."""
    best, known = config.training.keep_best, [*metrics, *metric_names()]
    if best and best.removeprefix('-') not in known:
        near = difflib.get_close_matches(best.removeprefix('-'), known, 3, 0) or known[:3]
        raise UserError(
            f'config: training.keep_best={best!r} does not work; it has to be a metric of metrics.jsonl or of evaluations, '
            f'such as {", ".join(near)}, with - in front where the largest is best'
        )


def make_directory(workdir: str) -> str:
    """Makes the workdir; raises UserError where that is not possible."""
    try:
        epath.Path(workdir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'--workdir={workdir} cannot be made: {first_line(error)}; name a folder that can be written'
        ) from error
    return workdir


def first_not_finite(metrics: dict[str, np.ndarray], recent: collections.deque[tuple[int, dict[str, Any]]]) -> str:
    """'' where these metrics are finite; else the first of `recent` steps with one that is not, and its first such term."""
    if all(np.isfinite(value) for value in metrics.values()):
        return ''
    for step, values in recent:
        for name, value in jax.device_get(values).items():
            if not np.isfinite(value):
                return f'step {step}: {name} is {value}'
    raise AssertionError('the last of the recent metrics are the ones that are not finite')
