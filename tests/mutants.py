"""One-line mutations of everything that computes, each with the test that has to fail: make mutants.

    python -m tests.mutants            # all; takes a while
    python -m tests.mutants step ema   # those whose file or text has one of these words

Each mutation is applied to a scratch copy of the checkout, and its tests are run there. Exits with 1 where a mutant
survives, and with 2 where a mutation no longer matches its file.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
TIMEOUT = 900  # seconds for one mutant's tests, some of which compile two steps; one that makes them hang is seen, too
COPIED = ('ugatit_jax', 'tests', 'configs', 'benchmarks', 'launch', 'pyproject.toml', 'README.md', 'setup.py')


CRITICS = 'training/test_step_options.py -k critic'  # n_critic and separate_batches


class Mutant(NamedTuple):
    """`old`, which occurs once in the file, becomes `new`; `tests` are pytest's arguments, below tests/."""

    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    # models
    Mutant('models/adalin.py', 'layer = (1 - rho) /', 'layer = rho /', 'models/test_adalin.py'),
    Mutant(
        'models/adalin.py', 'rho = jnp.clip(rho - smoothing, 0, 1)', 'rho = jnp.clip(rho, 0, 1)', 'models/test_adalin.py'
    ),
    Mutant('models/adalin.py', 'variance + jnp.square(mean - layer_mean)', 'variance', 'models/test_adalin.py'),
    Mutant('models/adalin.py', 'beta + gamma * layer * (mean - layer_mean)', 'beta', 'models/test_adalin.py'),
    Mutant('models/adalin.py', 'constant(self.rho_init)', 'constant(0.5)', 'training/test_goldens.py models/test_adalin.py'),
    Mutant('models/ops/moment_norm.py', 'centred * (2 / n * d_variance)', 'centred * (1 / n * d_variance)', 'models'),
    Mutant('models/ops/moment_norm.py', '(d_mean - factor * d_offset) / n', 'd_mean / n', 'models'),
    Mutant('models/decoder_norm.py', "'ln': 1", "'ln': None", 'models/test_decoder_norm.py'),
    Mutant(
        'models/decoder_norm.py',
        'jnp.sqrt(variance + EPS)[:, 0, 0], mean[:, 0, 0]',
        'variance[:, 0, 0], mean[:, 0, 0]',
        'models/test_decoder_norm.py',
    ),
    # films and cameras
    Mutant(
        'translate/video.py',
        'size = size or (frame.width, frame.height)',
        'size = (frame.width, frame.height)',
        'translate/test_video.py -k size_changes',
    ),
    Mutant(
        'translate/video.py',
        'any(component.is_alpha for component in frame.format.components)',
        'False',
        'translate/test_video.py -k transparent',
    ),
    Mutant('translate/video.py', 'written.result()  # so', 'pass  # so', 'translate/test_video.py -k encoder'),
    Mutant('serve/page.py', "kind.startswith('data:image/') and", '', 'serve/test_serve.py -k frames_of_a_camera'),
    Mutant(
        'serve/page.py',
        'path.is_relative_to(pathlib.Path(folder).resolve()) and ',
        '',
        'serve/test_serve.py -k no_other_file',
    ),
    Mutant('training/precision.py', 'not flags & BFLOAT16_FLAGS', 'flags & BFLOAT16_FLAGS', 'training/test_precision.py'),
    # students
    Mutant('models/ops/depthwise.py', 'x[:, i : i + reach_h', 'x[:, j : j + reach_h', 'models/ops/test_depthwise.py'),
    Mutant('models/ops/depthwise.py', 'kernels[2 * i + j]', 'kernels[i + 2 * j]', 'models/ops/test_depthwise.py'),
    Mutant(
        'models/ops/pixel_shuffle.py',
        'r, w // r, r, channels).transpose(0, 1, 3, 2, 4, 5)',
        'r, w // r, r, channels).transpose(0, 1, 3, 4, 2, 5)',
        'models/ops/test_pixel_shuffle.py',
    ),
    Mutant('translate/tile_sweep.py', 'i == len(layers) - 1', 'i == 0', 'translate/test_tiled_generator.py'),
    Mutant('training/rho.py', "norm.startswith('up_norm_')", "norm in ('up_norm_0', 'up_norm_1')", 'training/test_rho.py'),
    Mutant(
        'training/distill_objectives.py',
        'generator_of(reverse_of(direction))',
        'generator_of(direction)',
        'training/test_distill.py -k weighted_sum',
    ),
    Mutant(
        'training/distill_objectives.py',
        'generator.n_down - 1',
        'generator.n_down - 2',
        'training/test_distill.py -k last_halving',
    ),
    Mutant(
        'training/distill_objectives.py',
        "weights['l1_weight'] * metrics",
        "weights['feature_weight'] * metrics",
        'training/test_distill.py -k weighted_sum',
    ),
    Mutant(
        'training/teacher.py',
        'with_checksum.distill.teacher_checksum = checksum',
        "with_checksum.distill.teacher_checksum = ''",
        'training/test_distill.py -k refused',
    ),
    Mutant(
        'training/step.py',
        'judged and not config.training.separate_batches',
        'not config.training.separate_batches',
        'training/test_distill.py -k stay_as_they_were',
    ),
    Mutant('models/cam.py', 'weights + bias', 'weights', 'models/test_cam.py training/test_goldens.py'),
    Mutant('models/cam.py', 'jnp.max(features, axis=(1, 2))', 'jnp.mean(features, axis=(1, 2))', 'models/test_cam.py'),
    Mutant('models/discriminator.py', 'negative_slope=0.2', 'negative_slope=0.1', 'training/test_goldens.py'),
    Mutant(
        'models/generator.py',
        'if self.stem_norm else nn.relu(x)',
        'if True else nn.relu(x)',
        'translate/test_tiled_generator.py',
    ),
    Mutant(
        'models/generator.py',
        'x = x.astype(jnp.promote_types(x.dtype, jnp.float32))',
        'x = x',
        'models/test_generator.py -k mlp_of_gamma',
    ),
    Mutant(
        'models/networks.py',
        'generator(config.data.channels_B),',
        'generator(config.data.channels_A),',
        'training/test_step.py -k other_channels',
    ),
    Mutant('models/initializers.py', 'nn.initializers.normal(0.02)', 'nn.initializers.normal(0.05)', 'models'),
    Mutant('models/spectral_norm.py', 'x / jnp.maximum(jnp.linalg.norm(x), EPS)', 'x', 'models/test_spectral_norm.py'),
    Mutant('models/spectral_norm.py', 'd * v[:, None] * u', 'd * v[:, None] * v[:1]', 'models/test_spectral_norm.py'),
    Mutant(
        'models/ops/convolution.py', '[[1, 1, 0], [0, 0, 1]]', '[[1, 0, 0], [0, 1, 1]]', 'models/ops/test_convolution.py'
    ),
    Mutant('models/ops/padding.py', "first = 1 if mode == 'reflect' else 0", 'first = 0', 'models/ops'),
    Mutant('models/ops/winograd.py', 'a + beside(b, 1)', 'a', 'models/ops/test_winograd.py'),
    Mutant('models/forward.py', 'compiler_options=forward_options()', 'compiler_options=None', 'models/test_forward.py'),
    Mutant(
        'translate/tile_sweep.py',
        'compiler_options=forward_options()',
        'compiler_options=None',
        'translate/test_tile_sweep.py',
    ),
    Mutant('common/compiler.py', 'on_cpu() and xla_has_own_products()', 'on_cpu()', 'common/test_compiler.py'),
    Mutant(
        'models/ops/thin_convolution.py',
        'lambda x, kernel: (product_of_taps(x, kernel), (x, kernel)), from_thin_backward',
        'lambda x, kernel: (from_thin(x, kernel), (x, kernel)), from_thin_backward',
        'models/ops/test_convolution.py',
    ),
    Mutant(
        'report/run_page_writer.py',
        'self.writing = self.thread.submit(self.write, self.before)',
        'self.writing = concurrent.futures.ThreadPoolExecutor(1).submit(self.write, self.before)',
        'report/test_run_page_writer.py',
    ),
    Mutant(
        'models/ops/thin_convolution.py',
        'preferred_element_type=jnp.promote_types(x.dtype, jnp.float32)',
        'preferred_element_type=x.dtype',
        'models/ops/test_convolution.py -k tpu',
    ),
    Mutant(
        'models/ops/thin_convolution.py',
        "einsum('bhwc,bhwd->cd', a, b)",
        "einsum('bhwc,bhwd->dc', a, b)",
        'models/ops/test_convolution.py -k tpu',
    ),
    Mutant('models/ops/cpu_convolution.py', 'where=(readers < len(places))', 'where=(readers <= len(places))', 'models/ops'),
    # losses
    Mutant(
        'models/losses.py',
        'return jnp.mean(jnp.square(real_logit - 1))',
        'return jnp.mean(jnp.square(real_logit))',
        'models/test_losses.py',
    ),
    Mutant('models/losses.py', 'jax.nn.relu(1 + fake_logit)', 'jax.nn.relu(1 - fake_logit)', 'models/test_losses.py'),
    Mutant(
        'models/losses.py',
        "if kind == 'wgan-lp' else norm - 1",
        "if kind == 'wgan-gp' else norm - 1",
        'models/test_losses.py',
    ),
    Mutant('models/losses.py', 'cross_entropy(source_logit, 1)', 'cross_entropy(source_logit, 0)', 'models/test_losses.py'),
    Mutant('models/losses.py', 'for kernel in kernels) / 2', 'for kernel in kernels)', 'models/test_losses.py'),
    # step and objectives
    Mutant(
        'training/objectives.py',
        "total = weights[f'cycle_weight_{there}']",
        "total = weights[f'cycle_weight_{back}']",
        'training/test_step.py -k weight_of',
    ),
    Mutant(
        'training/objectives.py',
        "weights[f'identity_weight_{back}']",
        "weights[f'identity_weight_{there}']",
        'training/test_step.py -k weight_of',
    ),
    Mutant(
        'training/objectives.py',
        "weights[f'cam_weight_{back}']",
        "weights[f'cam_weight_{there}']",
        'training/test_step.py -k weight_of',
    ),
    Mutant(
        'training/objectives.py',
        "+= weights[f'adversarial_weight_{back}']",
        "+= weights[f'adversarial_weight_{there}']",
        'training/test_step.py -k weight_of',
    ),
    Mutant(
        'training/objectives.py',
        "metrics['D_A'] + metrics['D_B'] + regularization(config, weights, discriminator)",
        "metrics['D_A'] + metrics['D_B']",
        'training/test_step.py -k weight_of',
    ),
    Mutant(
        'training/objectives.py',
        'rows[:, None] * groups + jnp.arange(groups)',
        'rows[:, None] + 0 * jnp.arange(groups)',
        'training/test_step.py -k differently',
    ),
    Mutant(
        'training/step.py',
        'DiffAugment(policy, g_key, rows)',
        'DiffAugment((), g_key, rows)',
        'training/test_step.py -k diffaugment',
    ),
    Mutant(
        'training/step.py',
        'DiffAugment(policy, key, rows)',
        'DiffAugment((), key, rows)',
        'training/test_step.py -k diffaugment',
    ),
    Mutant('training/step.py', 'jax.tree.map(lambda x: x[-1],', 'jax.tree.map(lambda x: x[0],', CRITICS),
    Mutant('training/step.py', "optimizers['discriminator'], grads", "optimizers['generator'], grads", CRITICS),
    Mutant('training/step.py', 'x.reshape(-1, draws, ', 'x.reshape(draws, -1, ', CRITICS),
    Mutant('training/step.py', 'judged and not config.training.separate_batches:', 'judged:', CRITICS),
    Mutant(
        'training/step.py',
        'new_generator = clip_rho(new_generator)',
        'new_generator = new_generator',
        'training/test_step.py -k wild_rate',
    ),
    Mutant('training/step.py', 'state.ema, 1 - decay)', 'state.ema, decay)', 'training/test_step.py -k wild_rate'),
    Mutant(
        'training/step.py',
        '(1 + state.step) / (10 + state.step)',
        '(1 + state.step) / (9 + state.step)',
        'training/test_step_options.py -k average',
    ),
    Mutant(
        'training/step.py',
        'return jax.tree.map(jnp.add, grads, *outputs_vjp(outputs_grads)), metrics',
        'return grads, metrics',
        'training/test_goldens.py -k steps',
    ),
    Mutant(
        'training/step.py',
        'select_group(vectors, -1), opt_state)',
        'select_group(vectors), opt_state)',
        'training/test_goldens.py -k steps',
    ),
    Mutant('training/step.py', 'step=state.step + 1,', 'step=state.step,', 'training/test_loop.py -k device_resident'),
    Mutant(
        'training/gradient_accumulation.py', 'x / microbatches, total', 'x, total', 'training/test_step.py -k one_device'
    ),
    Mutant('training/rho.py', 'projection_box(leaf, 0, 1)', 'projection_box(leaf, 0, 2)', 'training/test_step.py -k rho'),
    Mutant(
        'training/state.py',
        'jax.random.wrap_key_data(state.key), state.step), use)',
        'jax.random.wrap_key_data(state.key), 0), use)',
        'training/test_inputs.py',
    ),
    Mutant(
        'training/state.py',
        'ema=jax.tree.map(jnp.copy, generator)',
        'ema=jax.tree.map(jnp.zeros_like, generator)',
        'training/test_state.py',
    ),
    Mutant(
        'training/inputs.py', 'jax.process_index(), jax.process_count()', '0, jax.process_count()', 'training/test_inputs.py'
    ),
    Mutant('training/learning_rate.py', 'jnp.asarray(count) + 1', 'jnp.asarray(count)', 'training/test_learning_rate.py'),
    Mutant('training/learning_rate.py', 'full, epochs - full)', 'full, epochs)', 'training/test_learning_rate.py'),
    Mutant('training/learning_rate.py', "'sqrt': 0.5", "'sqrt': 1", 'training/test_learning_rate.py'),
    Mutant('training/optimizer.py', 'updates // updates_per_step', 'updates', 'training/test_optimizer.py'),
    Mutant(
        'training/optimizer.py', 'chain(*clip, *decay, adam,', 'chain(*decay, *clip, adam,', 'training/test_optimizer.py'
    ),
    Mutant(
        'common/compiler.py', "eps if eps_mode == 'after_correction' else", 'eps if True else', 'common/test_compiler.py'
    ),
    Mutant('config/derived.py', 'config.loss[name] if own is None else own', 'config.loss[name]', 'config/test_derived.py'),
    Mutant('config/reference.py', "15 if name == 'paper' and", "30 if name == 'paper' and", 'config/test_derived.py'),
    # loop and what it calls
    Mutant(
        'training/loop.py',
        'state_sharding.replicate(state.ema or state.generator)',
        'state_sharding.replicate(state.generator)',
        'training/test_resume.py -k averaged',
    ),
    Mutant(
        'training/loop.py',
        'state = reseed(state)',
        'state = state',
        'training/test_resume.py -k restore',
    ),
    Mutant(
        'training/loop.py',
        '                batches = open_batches(progress.step)',
        '                batches = open_batches(0)',
        'training/test_resume.py -k restore',
    ),
    Mutant(
        'training/loop.py',
        '        compiling.start()\n        with announced',
        '        with announced',
        'training/test_loop.py -k initialised_or_read',
    ),
    Mutant(
        'training/loop.py',
        'if 0 < checkpoints.validate_newest(config) < config.training.steps:',
        'if False:',
        'training/test_loop.py -k initialised_or_read',
    ),
    Mutant(
        'training/loop.py',
        '< config.training.steps:\n        compiling',
        '<= config.training.steps:\n        compiling',
        'training/test_loop.py -k compiles_nothing',
    ),
    # what is said of files
    Mutant('data/decode.py', 'if image.format in ANIMATED else 1', '', 'data/test_decode.py -k animations'),
    Mutant('data/decode.py', 'difference_hash(pixels), count_frames(data)', 'difference_hash(pixels)', 'data/test_scan.py'),
    Mutant('data/scan.py', 'probe.hash, probe.frames]', 'probe.hash, 1]', 'data/test_scan.py'),
    Mutant(
        'translate/image_pipeline.py',
        'if frames > 1 else',
        'if frames > 3 else',
        'translate/test_translate_files.py -k anim',
    ),
    Mutant('data/scan_folder.py', "os.path.join(output, 'made')", 'output', 'data/sources/test_prepared.py -k refusals'),
    Mutant('data/check.py', "if not output.lower().endswith('.png'):", 'if False:', 'data/test_check.py'),
    Mutant('evaluate/folders.py', 'validate_output_folder(output)  #', 'pass  #', 'evaluate/test_folders.py -k refused'),
    Mutant('translate/video.py', 'decoded, damaged = [], damaged + 1', 'decoded = []', 'translate/test_video.py -k damaged'),
    # the start of a run
    Mutant('common/background.py', 'if self.future is None:', 'if True:', 'common/test_background.py'),
    Mutant('common/background.py', 'wait=kind is None', 'wait=True', 'common/test_background.py'),
    Mutant('common/background.py', 'wait=kind is None', 'wait=False', 'common/test_background.py'),
    Mutant('common/command.py', 'at_once or compiles_in_vain()', 'at_once', 'common/test_command.py -k compiles'),
    Mutant(
        'checkpoint/checkpoints.py',
        'self.folder(step).validate_continuation(as_json(config))\n                return',
        'self.folder(step).config\n                return',
        'checkpoint/test_damage.py',
    ),
    Mutant('training/loop.py', 'metrics |= scores', 'pass', 'training/test_resume.py -k averaged'),
    Mutant('training/preview.py', 'generator[back], real))', 'generator[there], real))', 'training/test_preview.py'),
    Mutant(
        'training/preview.py',
        'overlay(out.image, cycle.heatmap)',
        'overlay(out.image, out.heatmap)',
        'training/test_preview.py',
    ),
    Mutant('training/nan_guard.py', 'return self.rollbacks >= 0', 'return True', 'training/test_resume.py -k restore'),
    Mutant(
        'training/schedule.py',
        'every(training.checkpoint_every) or leaving',
        'every(training.checkpoint_every)',
        'training/test_schedule.py',
    ),
    Mutant('training/preemption.py', 'signal.SIGTERM: 75', 'signal.SIGTERM: 0', 'training/test_signals.py'),
    Mutant(
        'training/init_from.py',
        'ema=jax.tree.map(jnp.copy, state.generator)) if',
        'ema=state.ema) if',
        'training/test_init_from.py',
    ),
    # data
    Mutant('data/shuffle.py', 'x = xp.where(swap == np.uint32(1), partner, x)', 'x = x', 'data/test_shuffle.py'),
    Mutant('data/shuffle.py', 'mix(epoch + base)', 'mix(base + 0 * epoch)', 'data/test_shuffle.py'),
    Mutant('data/pipeline.py', "STREAMS = {'A': 0, 'B': 1}", "STREAMS = {'A': 0, 'B': 0}", 'data'),
    Mutant(
        'data/pipeline.py',
        'rows = process_index * local + np.arange(local)',
        'rows = np.arange(local)',
        'data/test_pipeline.py',
    ),
    Mutant(
        'data/pipeline.py', '(first_step + np.arange(steps))[:, None]', 'np.arange(steps)[:, None]', 'data/test_pipeline.py'
    ),
    Mutant(
        'data/sources/open_source.py', "{'A': 'B', 'B': 'A'}[domain]", 'domain', 'data/sources/test_open_source.py -k swap'
    ),
    Mutant('data/augment.py', 'along[::-1], along)', 'along, along)', 'data/test_augment.py'),
    Mutant('data/augment.py', 'colour = mean + (colour - mean) * factors[1]', 'colour = colour', 'data/test_augment.py'),
    Mutant('data/diffaugment.py', '(2.0 * amount[1])', '(1.0 * amount[1])', 'data/test_diffaugment.py'),
    Mutant('data/diffaugment.py', 'MAX_SHIFT = 0.125', 'MAX_SHIFT = 0.25', 'data/test_diffaugment.py'),
    Mutant('data/device_resident.py', 'np.uint32(batch_size) + jnp', 'np.uint32(1) + jnp', 'data/test_device_resident.py'),
    Mutant(
        'data/preprocess.py',
        '(height - side) / 2, (width - side) / 2, side',
        '0, (width - side) / 2, side',
        'data/test_preprocess.py',
    ),
    Mutant('data/preprocess.py', '(size - new_height) // 2', '0 * (size - new_height)', 'data/test_preprocess.py'),
    Mutant('data/decode.py', '+ 128) // 257', '+ 128) // 256', 'data/test_decode.py'),
    Mutant('data/decode.py', '6: Image.Transpose.ROTATE_270', '6: Image.Transpose.ROTATE_90', 'data/test_decode.py'),
    Mutant('data/decode.py', '        if plain:\n', '        if False:\n', 'data/test_decode.py'),
    Mutant(
        'common/images.py',
        '(pixels.astype(np.float32) - np.float32(127.5))',
        '(pixels.astype(np.float32) - np.float32(128))',
        'common/test_images.py',
    ),
    Mutant('data/cache.py', 'self._checks[i] != checksum(self._rows[i])', 'False', 'data/test_cache.py'),
    # evaluation
    Mutant('evaluate/kid_fid.py', '(n * (n - 1))', '(n * n)', 'evaluate/test_kid_fid.py'),
    Mutant('evaluate/kid_fid.py', '- 2 * root_trace', '- root_trace', 'evaluate/test_kid_fid.py'),
    Mutant(
        'evaluate/kid_fid.py',
        'return fraction_in_manifold(fake, real), fraction_in_manifold(real, fake)',
        'return fraction_in_manifold(real, fake), fraction_in_manifold(fake, real)',
        'evaluate/test_kid_fid.py',
    ),
    Mutant('evaluate/resize.py', 'np.float32(n / side)', 'np.float32((n - 1) / side)', 'evaluate/test_resize.py'),
    Mutant(
        'evaluate/resize.py',
        '(resized - np.float32(128)) / np.float32(128)',
        'resized / np.float32(127.5) - 1',
        'evaluate/test_inception.py',
    ),
    Mutant('evaluate/direction.py', 'rec = run(back,', 'rec = run(there,', 'evaluate/test_evaluator.py -k known'),
    Mutant('evaluate/direction.py', 'idt = run(there,', 'idt = run(back,', 'evaluate/test_evaluator.py -k known'),
    Mutant('common/sharding.py', 'out[:count]', 'out', 'evaluate/test_evaluator.py -k known'),
    Mutant('evaluate/colour_match.py', '* scale + target.mean', '* scale + source.mean', 'evaluate/test_colour_match.py'),
    Mutant('evaluate/pairs.py', '[index[name] for name in names]', 'list(range(len(names)))', 'evaluate/test_pairs.py'),
    Mutant('evaluate/image_errors.py', 'np.log10(4 /', 'np.log10(1 /', 'evaluate/test_image_errors.py'),
    Mutant('evaluate/image_errors.py', 'max_val=255', 'max_val=1', 'evaluate/test_image_errors.py'),
    Mutant(
        'evaluate/truth.py',
        "metrics['truth_l1'].value / metrics['truth_l1_input'].value",
        "metrics['truth_l1_input'].value / metrics['truth_l1'].value",
        'evaluate/test_truth.py -k share',
    ),
    Mutant('evaluate/truth.py', 'float(values.mean())', 'float(np.median(values))', 'evaluate/test_truth.py -k share'),
    Mutant(
        'evaluate/truth.py', 'effnet.distances(images, truths)', 'effnet.distances(images, images)', 'evaluate/test_truth.py'
    ),
    Mutant(
        'evaluate/folder_truth.py',
        'match_colours(pixels, from_statistics, to_statistics)',
        'match_colours(pixels, to_statistics, from_statistics)',
        'evaluate/test_folder_truth.py',
    ),
    Mutant(
        'evaluate/folder_truth.py',
        'outputs = compare(images_of(fake), fitted_images(truth, indices, fake), effnet)',
        'outputs = compare(images_of(fake), images_of(truth), effnet)',
        'evaluate/test_folder_truth.py',
    ),
    Mutant(
        'evaluate/paired_test.py',
        '[self.pairs[source][i] for i in self.indices[source]]',
        'self.indices[source]',
        'evaluate/test_paired_test.py -k truth_is',
    ),
    Mutant(
        'evaluate/paired_test.py', 'np.argsort(pairs).tolist()', 'pairs', 'evaluate/test_paired_test.py -k found_by_name'
    ),
    Mutant(
        'evaluate/colour_match.py',
        'squares / count - np.square(mean)',
        'squares / count',
        'evaluate/test_colour_match.py',
    ),
    Mutant('evaluate/colour_match.py', '.round().clip(', '.clip(', 'evaluate/test_colour_match.py'),
    Mutant(
        'evaluate/effnet.py',
        '(pad // 2, pad - pad // 2)',
        '(pad - pad // 2, pad // 2)',
        'evaluate/test_effnet.py -k pytorch',
    ),
    Mutant('evaluate/effnet.py', '.sum(-1).mean((1, 2))', '.mean((1, 2, 3))', 'evaluate/test_effnet.py -k formula'),
    Mutant('evaluate/effnet.py', 'COMPARED = (0, 2, 4, 10, 15)', 'COMPARED = (0, 2, 4, 10, 14)', 'evaluate/test_effnet.py'),
    Mutant('evaluate/resize.py', '- np.float32(127)) /', '- np.float32(128)) /', 'evaluate/test_effnet.py -k official'),
    Mutant(
        'evaluate/effnet_weights.py',
        "('weight', 'bias', 'running_mean', 'running_var')",
        "('weight', 'running_mean', 'bias', 'running_var')",
        'evaluate/test_effnet.py -k pytorch',
    ),
    Mutant('evaluate/effnet_weights.py', 'if sha256 != SHA256:', 'if False:', 'evaluate/test_effnet_weights.py'),
    Mutant(
        'evaluate/folder_accuracy.py',
        'Selected(images, range(1, n, 2))',
        'Selected(images, range(0, n, 2))',
        'evaluate/test_folders.py -k judged',
    ),
    Mutant('evaluate/folders.py', 'else -accuracy.logits', 'else accuracy.logits', 'evaluate/test_folder_truth.py'),
    Mutant('evaluate/heatmap.py', 'heat = heat - heat.min()', 'heat = heat - heat.max()', 'evaluate/test_heatmap.py'),
    Mutant(
        'evaluate/evaluator.py',
        "metrics['domain_accuracy'] = MetricValue(float(np.mean(logits > 0)))",
        "metrics['domain_accuracy'] = MetricValue(float(np.mean(logits < 0)))",
        'evaluate/test_evaluator.py',
    ),
    # translation
    Mutant(
        'translate/tile_geometry.py',
        'start * self.stride - self.padding',
        'start * self.stride',
        'translate/test_tiled_generator.py',
    ),
    Mutant('translate/tile_sweep.py', '(counts * (means - mean) ** 2).sum(0)', '0', 'translate'),
    Mutant(
        'translate/fitting.py',
        'content = out[top : top + height, left : left + width]',
        'content = out',
        'translate/test_fitting.py',
    ),
    # faces
    Mutant('faces/crop.py', 'x = face.x + above', 'x = face.x - above', 'faces/test_crop.py'),
    Mutant('faces/crop.py', 'y = face.y - above', 'y = face.y + above', 'faces/test_crop.py'),
    Mutant('faces/crop.py', 'to_part = (cos, -sin,', 'to_part = (cos, sin,', 'faces/test_crop.py'),
    Mutant('faces/crop.py', 'c + (a + b - 1) / 2', 'c', 'faces/test_crop.py'),
    Mutant('faces/crop.py', 'part + mask * (', 'part + (', 'faces/test_crop.py'),
    Mutant('faces/crop.py', '-left, -top, right', '-left, right', 'faces/test_crop.py'),
    Mutant('faces/detect.py', 'Face(best.x / scale', 'Face(best.x', 'faces/test_detect.py'),
    Mutant('faces/detect.py', 'return box.turn + tilt', 'return box.turn - tilt', 'faces/test_detect.py'),
    Mutant('faces/detect.py', 'if votes < with_eyes:', 'if False:', 'faces/test_detect.py'),
    Mutant('faces/found.py', 'face.side >= MIN_SIDE', 'True', 'faces/test_found.py'),
    Mutant(
        'translate/face_files.py', 'range(len(crops), 0, -1)', 'range(1, len(crops) + 1)', 'translate/test_face_files.py'
    ),
    Mutant('translate/face_files.py', 'made = photo.copy()', 'made = seen.copy()', 'translate/test_face_files.py'),
    Mutant('translate/face_files.py', 'credentials, composite=True', 'credentials', 'translate/test_face_files.py'),
    Mutant('translate/image_pipeline.py', 'if work.failed:', 'if False:', 'translate/test_image_pipeline.py'),
    # conversion and checkpoints
    Mutant(
        'convert/official_layout.py',
        'transpose(2, 3, 1, 0).reshape(-1, value.shape[0])',
        'transpose(3, 2, 1, 0).reshape(-1, value.shape[0])',
        'convert training/test_goldens.py',
    ),
    Mutant('convert/read_official.py', 'step=file.counts[0]', 'step=file.step', 'convert/test_from_official.py'),
    Mutant(
        'checkpoint/generators.py',
        "('ema' if averaged else 'raw') if",
        "'raw' if",
        'checkpoint/test_generators.py -k averaged',
    ),
    Mutant('checkpoint/compatibility.py', 'elif a != b:', 'elif a == b:', 'checkpoint/test_compatibility.py'),
    Mutant(
        'checkpoint/best_step.py', "sign = -1 if best.startswith('-') else 1", 'sign = 1', 'checkpoint/test_best_step.py'
    ),
]


def run(mutant: Mutant, folder: pathlib.Path) -> str:
    """'killed', 'survived' or 'no match'."""
    path = folder / 'ugatit_jax' / mutant.file
    original = path.read_text()
    if original.count(mutant.old) != 1:
        return 'no match'
    path.write_text(original.replace(mutant.old, mutant.new))
    tests = [
        word if word.startswith('-') or not (folder / 'tests' / word).exists() else f'tests/{word}'
        for word in mutant.tests.split()
    ]
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', '--no-header', *tests]
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            env=os.environ | {'PYTHONPATH': str(folder)},
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return 'killed'
    finally:
        path.write_text(original)
    # 1: tests failed; 2: they could not be collected, which is a failure, too; 5: none was collected
    return {0: 'survived', 1: 'killed', 2: 'killed', 5: 'no test'}.get(
        result.returncode, f'pytest ended with {result.returncode}'
    )


def main(words: list[str]) -> int:
    """Runs the mutants that have one of the words, all without words; returns the exit code."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in ' '.join(mutant) for word in words)]
    outcomes: dict[str, list[Mutant]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / 'checkout'
        folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        for i, mutant in enumerate(chosen, 1):
            started = time.monotonic()
            outcome = run(mutant, folder)
            outcomes.setdefault(outcome, []).append(mutant)
            seconds = time.monotonic() - started
            print(
                f'{i:3d}/{len(chosen)} {outcome:9s} {seconds:4.0f} s  {mutant.file}: {mutant.old} -> {mutant.new}',
                flush=True,
            )
    for outcome, mutants in outcomes.items():
        if outcome != 'killed':
            print(
                f'\n{outcome}:',
                *(f'  {mutant.file}: {mutant.old} -> {mutant.new}  [{mutant.tests}]' for mutant in mutants),
                sep='\n',
            )
    print(f'\n{len(outcomes.get("killed", []))} of {len(chosen)} killed')
    if set(outcomes) <= {'killed'}:
        return 0
    return 1 if 'survived' in outcomes else 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
