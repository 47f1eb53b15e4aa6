"""The two official releases as plain fields: every difference of data, network and optimizer, in one place."""

from typing import Any

NAMES = ('paper', 'pytorch')


def reference_load_size(name: str, image_size: int) -> int:
    """Side from which a reference takes random crops: for 256 pixels 271 (paper) or 286 (pytorch)."""
    return image_size + (15 if name == 'paper' and image_size <= 256 else 30)


def reference_fields(name: str, ch: int, n_res: int, image_size: int) -> dict[str, dict[str, Any]]:
    """The fields of `data`, `model` and `optimizer` that a reference decides; raises KeyError for an unknown name."""
    return {
        # TensorFlow release, with which the paper's numbers were made
        'paper': {
            'data': dict(load_size=reference_load_size(name, image_size)),
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
                weight_init='normal',
            ),
            'optimizer': dict(weight_decay_mode='kernel_l2', decay_epochs=100, eps_mode='before_correction'),
        },
        # the later PyTorch release
        'pytorch': {
            'data': dict(load_size=reference_load_size(name, image_size)),
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
                weight_init='torch',
            ),
            'optimizer': dict(weight_decay_mode='coupled', decay_epochs=0, eps_mode='after_correction'),
        },
    }[name]
