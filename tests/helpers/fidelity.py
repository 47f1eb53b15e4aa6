"""Prints torch-fidelity's KID, FID, precision and recall of two folders as JSON; for a Python with torch (make oracle):

python tests/helpers/fidelity.py WEIGHTS FAKE REAL SUBSETS SUBSET_SIZE
"""

import json
import sys
import types


def install_torchvision_stub() -> None:
    """Stands in for torchvision: of what torch-fidelity imports, folders of images need pil_to_tensor and Compose alone."""
    import numpy as np
    import torch

    def pil_to_tensor(image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    class Compose:
        def __init__(self, transforms):
            self.transforms = transforms

        def __call__(self, x):
            for transform in self.transforms:
                x = transform(x)
            return x

    modules = {
        name: types.ModuleType(name)
        for name in ('torchvision', 'torchvision.datasets', 'torchvision.transforms', 'torchvision.transforms.functional')
    }
    for name in ('CIFAR10', 'CIFAR100', 'STL10'):
        setattr(modules['torchvision.datasets'], name, type(name, (), {}))
    modules['torchvision.transforms'].Compose = Compose
    modules['torchvision.transforms.functional'].pil_to_tensor = pil_to_tensor
    for name, module in modules.items():
        sys.modules[name] = module
        parent, _, child = name.rpartition('.')
        if parent:
            setattr(modules[parent], child, module)


def main(weights: str, fake: str, real: str, subsets: str, subset_size: str) -> None:
    """Computes and prints the metrics."""
    install_torchvision_stub()
    import torch_fidelity

    found = torch_fidelity.calculate_metrics(
        input1=fake,
        input2=real,
        cuda=False,
        kid=True,
        fid=True,
        prc=True,
        kid_subsets=int(subsets),
        kid_subset_size=int(subset_size),
        feature_extractor='inception-v3-compat',
        feature_extractor_weights_path=weights,
        batch_size=4,
        cache=False,
        verbose=False,
    )
    names = {
        'kid': 'kernel_inception_distance_mean',
        'kid_spread': 'kernel_inception_distance_std',
        'fid': 'frechet_inception_distance',
        'precision': 'precision',
        'recall': 'recall',
    }
    print(json.dumps({name: float(found[key]) for name, key in names.items()}))


if __name__ == '__main__':
    main(*sys.argv[1:])
