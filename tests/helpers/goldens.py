"""Reading of golden files: what the official releases computed, and our config and weights for the same run."""

import json
import re
from typing import Any

import jax
import numpy as np

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert.official_layout import read_networks
from ugatit_jax.convert.official_names import OfficialNames
from ugatit_jax.models.networks import make_networks
from ugatit_jax.models.spectral_norm import COLLECTION


class Golden:
    """A golden file: `release`, resolved `config`, `networks`, start weights and every stored array by name."""

    def __init__(self, path: str):
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta = json.loads(str(self.arrays['meta']))
        self.release = 'pytorch' if 'init/genA2B/DownBlock.1.weight' in self.arrays else 'tensorflow'
        self.config = self._config()
        self.networks = make_networks(self.config)

    def _config(self) -> Any:
        """The config of the run, read off the shapes, and off `meta` for what shapes do not tell."""
        a, meta = self.arrays, self.meta
        config = default.get_config()
        pytorch = self.release == 'pytorch'
        config.model.reference = 'pytorch' if pytorch else 'paper'
        shape = a['input/A'].shape
        self.size = shape[-2:] if pytorch else shape[1:3]
        config.data.image_size = min(self.size)
        channels = -3 if pytorch else -1
        config.data.channels_A, config.data.channels_B = shape[channels], a['input/B'].shape[channels]
        config.data.batch_size = shape[1] if pytorch else shape[0]
        if pytorch:
            stem, mlp, width = 'init/genA2B/DownBlock.1.weight', 'init/genA2B/FC.0.weight', 'init/genA2B/conv1x1.bias'
            config.model.ch, inputs = a[stem].shape[0], a[mlp].shape[1]
            block, layer = r'init/genA2B/UpBlock1_(\d+)\.', r'init/{}/model\.(\d+)\.bias'
            depth = {d: self._largest(layer.format(d)) // 3 + 2 for d in ('disGA', 'disLA')}
            config.model.n_res = self._largest(block)
        else:
            stem, mlp = 'init/generator_B/conv/conv2d/kernel', 'init/generator_B/MLP/linear_0/dense/kernel'
            width = 'init/generator_B/conv_1x1/conv2d/bias'
            config.model.ch, inputs = a[stem].shape[-1], a[mlp].shape[0]
            config.model.n_res = self._largest(r'init/generator_B/adaptive_resblock(\d+)/') + 1
            depth = {
                f'dis{s[0].upper()}A': self._largest(rf'init/discriminator_A/{s}/conv_(\d+)/kernel') + 3
                for s in ('global', 'local')
            }
            config.model.rho_smoothing = 0.1 if meta.get('smoothing', True) else 0.0
        config.model.mlp_pool = '1' if inputs == a[width].shape[0] else 'full'
        config.model.n_layers_global, config.model.n_layers_local = depth['disGA'], depth['disLA']
        names = ('adversarial_weight', 'cycle_weight', 'identity_weight', 'cam_weight')
        for name, weight in zip(names, meta.get('weights', ())):
            config.loss[name] = float(weight)
        config.loss.adversarial = meta.get('gan_type', 'lsgan')
        config.optimizer.learning_rate = meta.get('lr', 1e-4)
        config.optimizer.weight_decay = meta.get('weight_decay', 1e-4)
        config.optimizer.beta1, config.optimizer.beta2 = meta.get('betas', (0.5, 0.999))
        if pytorch:
            config.training.compute_dtype = 'float64'
        return resolve(config)

    def _largest(self, pattern: str) -> int:
        return max(int(match[1]) for name in self.arrays if (match := re.match(pattern, name)))

    @property
    def names(self) -> OfficialNames:
        """The names of the stored networks' arrays."""
        m = self.config.model
        return OfficialNames(
            self.release,
            m.n_res,
            {'disG': m.n_layers_global, 'disL': m.n_layers_local},
            (self.size[0] // 4, self.size[1] // 4),
        )

    def read(self, prefix: str) -> tuple[dict, dict, dict]:
        """(generators, discriminators, spectral) stored under `prefix`, as jax arrays."""
        dtype = np.float64 if self.release == 'pytorch' else np.float32
        return jax.tree.map(lambda x: jax.numpy.asarray(x, dtype), read_networks(self.names, self.below(prefix)))

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """Stored arrays under `prefix`, without it."""
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    def images(self, step: int | None = None, prefix: str = 'input') -> dict[str, jax.Array]:
        """{'A', 'B'} [B, h, w, C] of a step."""
        result = {}
        for domain in 'AB':
            x = self.arrays[f'{prefix}/{domain}']
            if self.release == 'pytorch':
                x = x[step].transpose(0, 2, 3, 1).astype(np.float64)
            result[domain] = jax.numpy.asarray(x)
        return result


def outputs_of(golden: Golden, name: str, params: dict, spectral: dict | None, image: jax.Array) -> dict[str, np.ndarray]:
    """Forward of a network under the golden's names and layout."""
    variables = {'params': params}
    if spectral is not None:
        variables[COLLECTION] = jax.tree.map(lambda leaf: np.asarray(leaf)[None], spectral)
    out = jax.jit(golden.networks.module(name).apply)(variables, image)
    image = np.asarray(out.image if spectral is None else out.logit)
    if golden.release == 'pytorch':
        return {'out': image.transpose(0, 3, 1, 2), 'cam_logit': out.cam_logit, 'heatmap': out.heatmap[:, None]}
    # the TensorFlow release squeezes, so a batch of one has no batch axis
    return {'out': image, 'logit': image, 'cam_logit': out.cam_logit, 'heatmap': np.squeeze(out.heatmap)}


def assert_close(actual: dict, expected: dict[str, np.ndarray], *, rtol: float = 0, atol: float = 0) -> None:
    """Every expected array is there, within rtol times its largest value plus atol."""
    assert expected
    wrong = []
    for name, e in expected.items():
        a = np.asarray(actual[name])
        assert a.shape == e.shape, (name, a.shape, e.shape)
        error, largest = float(abs(a - e).max()), float(abs(e).max())
        if not error <= rtol * largest + atol:
            wrong.append(f'{name}: {error:.2e} of {largest:.2e}')
    assert not wrong, f'{len(wrong)} of {len(expected)} differ:\n' + '\n'.join(wrong[:20])
