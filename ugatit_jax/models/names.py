"""Names of networks, directions, norms and losses, for whoever reads settings or names files: imports nothing."""

GENERATORS = ('genA2B', 'genB2A')
DISCRIMINATORS = ('disGA', 'disLA', 'disGB', 'disLB')  # G global, L local; of domain A, B
DIRECTIONS = ('A2B', 'B2A')

DECODER_NORMS = ('adalin', 'in', 'ln', 'adain', 'gn')  # decoder_norm.py has the formulas
UP_NORMS = ('lin', 'in', 'ln', 'gn')
PENALIZED = ('wgan-gp', 'wgan-lp', 'dragan')  # adversarial losses that need a gradient penalty
ADVERSARIAL = ('lsgan', 'gan', 'hinge', *PENALIZED)


def generator_of(direction: str) -> str:
    """The generator of 'A2B' or 'a2b': 'genA2B'."""
    return f'gen{direction.upper()}'


def source_of(direction: str) -> str:
    """The domain that 'A2B', 'a2b' or 'genA2B' translates from: 'A'."""
    return direction.upper()[-3]


def target_of(direction: str) -> str:
    """The domain that 'A2B', 'a2b' or 'genA2B' translates to: 'B'."""
    return direction.upper()[-1]


def direction_of(generator: str) -> str:
    """The direction of a generator: 'A2B' of 'genA2B'."""
    return generator.removeprefix('gen')


def reverse_of(direction: str) -> str:
    """The way back: 'B2A' of 'A2B', 'b2a' of 'a2b'."""
    return direction[::-1]


def domain_of(discriminator: str) -> str:
    """The domain whose images a discriminator judges: 'A' of 'disGA'."""
    return discriminator[-1]


def reach_of(discriminator: str) -> str:
    """The module of a discriminator, which both domains have: 'disG' of 'disGA'."""
    return discriminator[:-1]
