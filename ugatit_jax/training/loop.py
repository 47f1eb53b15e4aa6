"""The training loop."""

import contextlib
import logging
from typing import Any

import jax
from ml_collections import ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.background import Background
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.progress import announced
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.config.derived import parse_profile_steps, uses_identity
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.evaluate.best_metric import validate_keep_best
from ugatit_jax.evaluate.evaluator import make_evaluator
from ugatit_jax.models.networks import make_networks
from ugatit_jax.report import history
from ugatit_jax.training import memory, preview
from ugatit_jax.training.compile import compile_step, place_hyperparameters, program_key
from ugatit_jax.training.init_from import read_start, start_from
from ugatit_jax.training.inputs import open_inputs
from ugatit_jax.training.metric_writer import MetricWriter, RunProgress
from ugatit_jax.training.nan_guard import NanGuard
from ugatit_jax.training.precision import warn_of_emulated_bfloat16
from ugatit_jax.training.preemption import Preemption
from ugatit_jax.training.processes import explain_lost_process, validate_agreement, wait_until_all_compiled
from ugatit_jax.training.profiler import Profiler
from ugatit_jax.training.rho import compiled_rho_layers, compiled_rho_statistics
from ugatit_jax.training.schedule import due_after
from ugatit_jax.training.state import TrainState, from_items, init_state, reseed, to_items
from ugatit_jax.training.step import make_train_step
from ugatit_jax.training.teacher import load_teacher
from ugatit_jax.training.workdir import explain_io_errors, hold_workdir, validate_workdir

logger = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: str) -> TrainState:
    """Trains to config.training.steps, from the newest checkpoint in `workdir` where there is one.

    Leaves checkpoints/, previews/, metrics.jsonl, history.jsonl, report.html and TensorBoard files in workdir, and returns
    the last state. Raises UserError for settings, data or checkpoints that do not work, Preempted where it was asked to
    leave.
    """
    config = resolve(config)
    with memory.explain_out_of_memory(config), explain_io_errors(workdir), contextlib.ExitStack() as stack:
        return run(stack, config, workdir)


def run(stack: contextlib.ExitStack, config: ConfigDict, workdir: str) -> TrainState:
    """The run itself; `stack` closes what is open, however the run ends."""
    validate_agreement(config, workdir)
    validate_workdir(workdir)
    warn_of_emulated_bfloat16(config.training.compute_dtype)
    config, teacher = load_teacher(config)
    mesh = make_mesh(config.data.batch_size, config.training.accumulate)
    state_sharding = StateSharding(mesh, config.training.shard_params)

    # data and networks
    datasets = open_datasets(config)
    log_counts(datasets)
    networks = make_networks(config)
    shapes = jax.eval_shape(lambda: init_state(networks, config))
    memory.log_sizes(shapes, state_sharding)
    memory.validate_size(shapes, state_sharding, config)

    # the step: compiled while the state is read or initialised
    lease = stack.enter_context(hold_workdir(workdir))
    checkpoints = stack.enter_context(Checkpoints.of_run(workdir, config))
    stack.enter_context(explain_lost_process(checkpoints))
    teacher_networks, teacher_params = teacher or (None, None)
    train_step = make_train_step(networks, config, state_sharding.gather, teacher_networks)
    counts = len(datasets.train_A), len(datasets.train_B)
    compiling = stack.enter_context(
        Background(lambda: compile_step(train_step, shapes, config, state_sharding, counts, teacher_params))
    )

    # state: 1. the newest checkpoint that is whole, 2. the weights of another run, 3. config.seed
    def restore_or_init() -> tuple[TrainState, int, list[str]]:
        """The state, its step, and what was wrong with newer checkpoints."""
        if restored := checkpoints.restore_newest(to_items(shapes), config, state_sharding):
            return from_items(restored.items), restored.step, restored.set_aside
        weights = read_start(config.init_from, shapes, config) if config.init_from else {}
        compiling.start()
        with announced('initialising the weights', program_key(config)):
            state = jax.block_until_ready(init_state(networks, config, state_sharding))
        return start_from(weights, state, config) if weights else state, 0, []

    if 0 < checkpoints.validate_newest(config) < config.training.steps:
        compiling.start()
    state, first, damaged = restore_or_init()
    progress = RunProgress(first=first, last=config.training.steps)
    changed = log_resume(checkpoints, progress, config)
    if progress.step >= progress.last:
        finished_before(checkpoints, progress, workdir)
        return state

    # outputs
    writer = stack.enter_context(MetricWriter(workdir, progress, config, changed, damaged))
    preview_images = preview.choose(datasets, config)
    evaluator = make_evaluator(config, datasets, networks, mesh)

    def averaged(state: TrainState) -> Any:
        return state_sharding.replicate(state.ema or state.generator)

    def draw_preview(state: TrainState) -> None:
        sheet = preview.draw(networks, averaged(state), preview_images, uses_identity(config))
        writer.log_preview(sheet, jax.device_get(compiled_rho_layers(state.generator)))

    if progress.step == 0:
        with announced('drawing the first preview', program_key(config), config.training.preview_images):
            draw_preview(state)

    open_batches = open_inputs(datasets, config, mesh)
    compiled, metric_names = compiling.result()
    wait_until_all_compiled()
    hyperparameters = place_hyperparameters(config, mesh, teacher_params)
    memory.log_memory(compiled, shapes, state_sharding, config)
    validate_keep_best(config, metric_names, evaluator)

    # loop
    profiler = Profiler(parse_profile_steps(config.training.profile_steps, progress.last), workdir, writer.folder)
    stack.callback(profiler.close)
    nan_guard = NanGuard(config.training.on_nan)
    preemption = stack.enter_context(Preemption())
    batches = open_batches(progress.step)
    writer.start_clock()
    while progress.step < progress.last:
        with writer.waiting():
            batch = next(batches)
        profiler.before(progress.step + 1)
        state, metrics = compiled(state, batch, hyperparameters)
        progress.step += 1
        profiler.after(progress.step, metrics)
        nan_guard.record(progress.step, metrics)

        if lease is not None:
            lease.validate()
        leaving = preemption.requested(progress.step)
        due = due_after(progress.step, config, leaving)
        if not due.log:
            writer.step_done(metrics)
        if due.log or due.evaluate or due.save:
            metrics = jax.device_get(metrics)
            if trouble := nan_guard.check(metrics):
                if not nan_guard.may_roll_back():
                    raise UserError(f'{trouble}; {checkpoints.how_to_continue()}, to the same numbers; {nan_guard.hint}')
                logger.warning('%s; going back, once (training.on_nan=restore)', trouble)
                state, step, damaged = restore_or_init()
                state = reseed(state)  # with the same seed the same numbers would follow
                writer.rolled_back(step, '; '.join([trouble, *damaged]))
                batches = open_batches(progress.step)
                continue
        if due.log:
            writer.log(metrics | jax.device_get(compiled_rho_statistics(state.generator)))
        if due.preview:
            draw_preview(state)
        if due.evaluate and evaluator is not None:
            scores = evaluator.metrics(averaged(state))
            writer.log_evaluation(scores)
            metrics |= scores  # training.keep_best may be one of them
        if due.save:
            writer.flush()
            checkpoints.save(progress.step, to_items(state), config, metrics)
        if leaving and progress.step < progress.last:
            checkpoints.close()
            raise preemption.exit_of(progress.step, workdir)

    checkpoints.close()
    logger.info('done: checkpoints, previews, metrics.jsonl and report.html are in %s', workdir)
    return state


def log_counts(datasets: Any) -> None:
    """Logs how many images each part of the data has."""
    parts = {name: len(source) for name, source in vars(datasets).items() if source is not None}
    logger.info('images: %s', ', '.join(f'{name} {count}' for name, count in parts.items()))


def log_resume(checkpoints: Checkpoints, progress: RunProgress, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
    """Logs where a run continues and what was changed since; returns the changes."""
    if not progress.first:
        return {}
    changed = checkpoints.changes(progress.first, config)
    listed = ''.join(f', {name} {old} -> {new}' for name, (old, new) in changed.items())
    logger.info('continuing from step %d of %s%s', progress.first, checkpoints.directory, listed)
    return changed


def finished_before(checkpoints: Checkpoints, progress: RunProgress, workdir: str) -> None:
    """Says that there is nothing to do; a run that was killed after its last checkpoint is recorded as finished."""
    logger.info('nothing to do: %s has step %d, training.steps is %d', checkpoints.directory, progress.step, progress.last)
    if jax.process_index() == 0 and (events := history.read(workdir)) and events[-1]['event'] != 'finished':
        history.append(workdir, progress.step, 'finished')
