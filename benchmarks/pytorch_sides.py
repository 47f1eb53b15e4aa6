"""PyTorch beside ours: the official code from its checkout, and its networks in a leaner step."""

import argparse
import contextlib
import importlib
import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ugatit_jax.common.images import normalize

WEIGHTS = {'adv_weight': 1, 'cycle_weight': 10, 'identity_weight': 10, 'cam_weight': 1000}
RELEASE_LAYERS = (7, 5)  # of its global and its local discriminators
GENERATORS, DISCRIMINATORS = ('genA2B', 'genB2A'), ('disGA', 'disGB', 'disLA', 'disLB')

Run = Callable[[int], dict[str, float]]  # runs so many steps, or translations; the losses of the last step


def random_pixels(options: argparse.Namespace) -> np.ndarray:
    """The images of both domains, uint8 [2, B, h, w, 3]."""
    shape = (2, options.batch_size, options.image_size, options.image_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class Loader:
    """What the official loop uses of a DataLoader, which had .next() then."""

    def __init__(self, read: Callable[[], Any]):
        self.read = read  # () -> the next batch, a tensor [B, 3, h, w] in [-1, 1]

    def __iter__(self) -> 'Loader':
        return self

    def __next__(self) -> tuple[Any, int]:
        return self.read(), 0

    next = __next__


def official_on_one_batch(options: argparse.Namespace, folder: pathlib.Path) -> Any:
    """The official trainer with the weights that are in `folder` and the same batch in every step."""
    import torch

    model = official(options, np.load(folder / 'weights.npz'), folder, (options.n_layers_global, RELEASE_LAYERS[1]))
    model.reals = [
        torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(model.device) for x in normalize(random_pixels(options))
    ]
    model.trainA_loader, model.trainB_loader = (Loader(lambda x=x: x) for x in model.reals)
    return model


def official(
    options: argparse.Namespace,
    arrays: Mapping[str, np.ndarray],
    folder: pathlib.Path,
    layers: tuple[int, int] = RELEASE_LAYERS,
) -> Any:
    """The official trainer, without its constructor and loaders, with these weights; options: reference, ch, n_res, size."""
    import torch

    for name in ('dataset', 'utils', 'torchvision'):  # for reading and writing images, not part of a step
        module = sys.modules[name] = types.ModuleType(name)
        module.ImageFolder = module.transforms = None
    sys.path.insert(0, options.reference)
    release, networks = importlib.import_module('UGATIT'), importlib.import_module('networks')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = object.__new__(release.UGATIT)
    vars(model).update(
        WEIGHTS,
        device=device,
        lr=1e-4,
        decay_flag=False,
        resume=False,
        print_freq=10**9,
        save_freq=10**9,
        result_dir=str(folder),
        dataset='none',
        Rho_clipper=networks.RhoClipper(0, 1),
        L1_loss=torch.nn.L1Loss(),
        MSE_loss=torch.nn.MSELoss(),
        BCE_loss=torch.nn.BCEWithLogitsLoss(),
    )
    for name in GENERATORS:
        setattr(model, name, networks.ResnetGenerator(3, 3, options.ch, options.n_res, options.image_size, light=True))
    for name in DISCRIMINATORS:
        setattr(model, name, networks.Discriminator(3, options.ch, n_layers=layers[0] if name[3] == 'G' else layers[1]))
    for name in GENERATORS + DISCRIMINATORS:
        own = {
            key.removeprefix(f'{name}/'): torch.from_numpy(arrays[key].copy())
            for key in arrays
            if key.startswith(f'{name}/')
        }
        getattr(model, name).load_state_dict(own)
        getattr(model, name).to(device)
    for kind, names in (('G', GENERATORS), ('D', DISCRIMINATORS)):
        weights = [weight for name in names for weight in getattr(model, name).parameters()]
        setattr(model, f'{kind}_optim', torch.optim.Adam(weights, lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4))
    model.last_line = ''
    release.print = lambda text='', *_: setattr(model, 'last_line', str(text))  # where its losses are
    return model


def official_train(model: Any) -> Run:
    """The official train loop, unchanged."""

    def run(steps: int) -> dict[str, float]:
        model.iteration = steps
        model.train()
        return {name: float(value) for name, value in re.findall(r'(\w_loss): ([\d.]+)', model.last_line)}

    return run


def lean_train(model: Any, options: argparse.Namespace, compiled: bool) -> Run:
    """The official networks in a step without the waste of the official one."""
    import torch

    nets = {name: getattr(model, name).train() for name in GENERATORS + DISCRIMINATORS}
    reals = model.reals
    if options.channels_last:
        nets = {name: net.to(memory_format=torch.channels_last) for name, net in nets.items()}
        reals = [x.to(memory_format=torch.channels_last) for x in reals]
    real = dict(zip('AB', reals))
    frozen = [weight for name in DISCRIMINATORS for weight in nets[name].parameters()]
    # not the discriminators: spectral norm writes u in place between their calls, which compiled autograd does not allow
    run_net = {name: torch.compile(net) if compiled and name in GENERATORS else net for name, net in nets.items()}

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(model.device, torch.bfloat16, enabled=options.autocast)

    def to(logits: tuple[torch.Tensor, ...], target: float) -> torch.Tensor:
        return sum(torch.mean((logit.float() - target) ** 2) for logit in logits)

    def step() -> dict[str, torch.Tensor]:
        d_loss = g_loss = 0
        fake, cam = {}, {}
        with autocast():
            for source, target in ('AB', 'BA'):
                fake[target], cam[target], _ = run_net[f'gen{source}2{target}'](real[source])
            for name in DISCRIMINATORS:
                net, domain = run_net[name], name[-1]
                d_loss += to(net(real[domain])[:2], 1) + to(net(fake[domain].detach())[:2], 0)
        model.D_optim.zero_grad()
        d_loss.backward()
        model.D_optim.step()
        for weight in frozen:
            weight.requires_grad_(False)
        with autocast():
            for source, target in ('AB', 'BA'):
                back = run_net[f'gen{target}2{source}'](fake[target])[0]
                same, same_cam, _ = run_net[f'gen{source}2{target}'](real[target])
                g_loss += 10 * model.L1_loss(back.float(), real[source]) + 10 * model.L1_loss(same.float(), real[target])
                g_loss += 1000 * (
                    model.BCE_loss(cam[target].float(), torch.ones_like(cam[target], dtype=torch.float32))
                    + model.BCE_loss(same_cam.float(), torch.zeros_like(same_cam, dtype=torch.float32))
                )
            for name in DISCRIMINATORS:
                g_loss += to(run_net[name](fake[name[-1]])[:2], 1)
        model.G_optim.zero_grad()
        g_loss.backward()
        model.G_optim.step()
        for weight in frozen:
            weight.requires_grad_(True)
        for name in GENERATORS:
            nets[name].apply(model.Rho_clipper)
        return {'d_loss': d_loss.detach(), 'g_loss': g_loss.detach()}

    def run(steps: int) -> dict[str, float]:
        for _ in range(steps):
            losses = step()
        return {name: float(value) for name, value in losses.items()}

    return run


def official_translate(model: Any, compiled: bool) -> Run:
    """The official generator, from host memory to host memory."""
    import torch

    network = model.genA2B.eval()
    network = torch.compile(network) if compiled else network
    images = model.reals[0].permute(0, 2, 3, 1).contiguous().cpu()

    def run(times: int) -> dict[str, float]:
        with torch.inference_mode():
            for _ in range(times):
                network(images.to(model.device).permute(0, 3, 1, 2))[0].permute(0, 2, 3, 1).cpu().numpy()
        return {}

    return run
