"""rho, the share of instance norm in every AdaLIN and LIN layer: its clip after an update, and its metrics."""

import jax
import jax.numpy as jnp
import optax

from ugatit_jax.training.types import Params


def clip_rho(params: Params) -> Params:
    """Every rho of AdaLIN and LIN clipped to [0, 1] (paper, equation 2); other leaves as they are."""

    def clip(path: tuple, leaf: jax.Array) -> jax.Array:
        return optax.projections.projection_box(leaf, 0, 1) if path[-1].key == 'rho' else leaf

    return jax.tree.map_with_path(clip, params)


def rho_layers(generators: Params) -> dict[str, jax.Array]:
    """rho [C] of every AdaLIN and LIN layer in the order of the forward pass: {'genA2B/decoder_0_norm_0': ...}.

    The decoder's layers are stacked [n_res, C] in the parameters; the up-sampling ones are named up_norm_0, up_norm_1, ....
    Layers that an ablation has in their place have no rho.
    """
    layers = {}
    for name, params in generators.items():
        decoder = params.get('decoder', {})  # none with n_res 0
        norms = [norm for norm in ('norm_0', 'norm_1') if 'rho' in decoder.get(norm, {})]
        for i in range(len(decoder[norms[0]]['rho']) if norms else 0):
            layers |= {f'{name}/decoder_{i}_{norm}': decoder[norm]['rho'][i] for norm in norms}
        ups = (norm for norm in sorted(params) if norm.startswith('up_norm_'))
        layers |= {f'{name}/{norm}': params[norm]['rho'] for norm in ups if 'rho' in params[norm]}
    return layers


def rho_statistics(generators: Params) -> dict[str, jax.Array]:
    """Smallest, mean and largest rho of each layer over its channels, in [0, 1]: {'rho_mean/genA2B/up_norm_0': ...}."""
    return {
        f'rho_{name}/{layer}': function(rho)
        for layer, rho in rho_layers(generators).items()
        for name, function in (('min', jnp.min), ('mean', jnp.mean), ('max', jnp.max))
    }


# small programs of their own, run where a step is logged; every process has to call them
compiled_rho_layers = jax.jit(rho_layers)
compiled_rho_statistics = jax.jit(rho_statistics)
