"""The two official releases as plain fields: every difference of network, initialisation and optimizer, in one place."""

from typing import Any

NAMES = ('paper', 'pytorch')


def reference_fields(name: str, ch: int, n_res: int) -> dict[str, dict[str, Any]]:
    """The fields of `model` and `optimizer` that a reference decides; raises KeyError for an unknown name."""
    return {
        # TensorFlow release, with which the paper's numbers were made
        'paper': {
            'model': dict(
                instance_norm_affine=True,
                generator_bias=True,
                discriminator_head_bias=True,
                cam_shared=True,
                cam_bias=True,
                cam_attention_normalized=True,
                rho_init=1.0,
                rho_smoothing=0.1,
                variance_ddof=0,
                down_padding=(1, 0),
                patch_padding=(1, 2),
                mlp_width=ch * n_res,
                spectral_in_eval=True,
                weight_init='normal',
            ),
            'optimizer': dict(weight_decay_mode='kernel_l2', decay_epochs=100),
        },
        # the later PyTorch release
        'pytorch': {
            'model': dict(
                instance_norm_affine=False,
                generator_bias=False,
                discriminator_head_bias=False,
                cam_shared=False,
                cam_bias=False,
                cam_attention_normalized=False,
                rho_init=0.9,
                rho_smoothing=0.0,
                variance_ddof=1,
                down_padding=(1, 1),
                patch_padding=(1, 1),
                mlp_width=4 * ch,
                spectral_in_eval=False,
                weight_init='torch',
            ),
            'optimizer': dict(weight_decay_mode='coupled', decay_epochs=0),
        },
    }[name]
