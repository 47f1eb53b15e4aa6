"""What is done for the CPU's sake alone: the same numbers as optax, nothing computed twice, no copies of the state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ugatit_jax.common import compiler

PARAMS = {name: {'a': jnp.linspace(-1, 1, 4096).reshape(64, 64), 'b': jnp.arange(3.0)} for name in ('one', 'two')}


def update(optimizer, params, state):
    grads = jax.tree.map(lambda p: jnp.sin(3 * p) + 1e-2 * p, params)
    loss = sum(jnp.sum(p**2) for p in jax.tree.leaves(params))  # read after the gradients, as far as XLA knows
    updates, state = optimizer.update(grads, state, params, metrics={'loss': loss})
    return optax.apply_updates(params, jax.tree.map(lambda u: -1e-2 * u, updates)), state, loss


@pytest.mark.parametrize('cpu', [True, False])
def test_adam_is_that_of_optax(cpu, monkeypatch):
    monkeypatch.setattr(compiler, 'single_cpu_device', lambda: cpu)
    expected = ours = PARAMS
    adam = optax.with_extra_args_support(optax.scale_by_adam(b1=0.5, b2=0.999, eps=1e-8))
    own = compiler.scale_by_adam(0.5, 0.999, 1e-8, 'after_correction')
    state, own_state = adam.init(expected), own.init(ours)
    for _ in range(3):
        expected, state, _ = update(adam, expected, state)
        ours, own_state, _ = update(own, ours, own_state)
    assert jax.tree.structure(state) == jax.tree.structure(own_state) and own_state.count == 3
    for e, o in zip(jax.tree.leaves((expected, state)), jax.tree.leaves((ours, own_state)), strict=True):
        np.testing.assert_allclose(o, e, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('cpu', [True, False])
def test_eps_before_the_bias_correction_is_that_of_tensorflow_1(cpu, monkeypatch):
    """tf.train.AdamOptimizer: lr_t = lr * sqrt(1 - b2^t) / (1 - b1^t), w -= lr_t * m / (sqrt(v) + eps)."""
    monkeypatch.setattr(compiler, 'single_cpu_device', lambda: cpu)
    b1, b2, eps, params = 0.5, 0.999, 1e-3, {'net': {'w': jnp.array([0.1, -2e-4, 3e-6])}}
    adam = compiler.scale_by_adam(b1, b2, eps, 'before_correction')
    state, m, v = adam.init(params), np.zeros(3), np.zeros(3)
    for t in range(1, 6):
        g = np.array([0.1, -2e-4, 3e-6]) * t
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        expected = np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        updates, state = adam.update({'net': {'w': jnp.asarray(g, jnp.float32)}}, state)
        np.testing.assert_allclose(updates['net']['w'], expected, rtol=2e-4)
        torch = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        assert abs(updates['net']['w'][1]) < 0.5 * abs(torch[1])  # what the order of the two is about


def test_adam_on_a_cpu_copies_nothing_large():
    def work_space(optimizer) -> float:
        """In large arrays, of which both gradients take two."""
        step = jax.jit(lambda params, state: update(optimizer, params, state), donate_argnums=(0, 1))
        compiled = step.lower(PARAMS, optimizer.init(PARAMS)).compile()
        return compiled.memory_analysis().temp_size_in_bytes / PARAMS['one']['a'].nbytes

    plain = optax.with_extra_args_support(optax.scale_by_adam(b1=0.5, b2=0.999, eps=1e-8))
    assert work_space(compiler.scale_by_adam(0.5, 0.999, 1e-8, 'after_correction')) < 2.2 < 2.9 < work_space(plain)


def test_depend_on_returns_what_it_is_given():
    tree = {'x': jnp.arange(3.0), 'y': jnp.ones((2, 2))}
    out = jax.jit(compiler.depend_on)(jnp.int32(0), tree)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, out, tree))
    traced = jax.make_jaxpr(compiler.depend_on)(jnp.int32(0), tree)
    assert traced.eqns[-1].primitive.name == 'cond'


def transcendentals(function, *arguments) -> float:
    """How many exp, tanh and the like the compiled function computes."""
    return jax.jit(function).lower(*arguments).compile().cost_analysis()['transcendentals']


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_recompute_after_is_the_same_whatever_the_token_and_xla_does_not_know(dtype):
    x = jnp.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3)
    for value in (1.0, -0.0, -3.7, np.nan, -np.inf, 1e-40):
        same = jax.jit(compiler.recompute_after)(x, jnp.full((2, 2), value, dtype))
        assert same.dtype == x.dtype and jnp.array_equal(same, x)

    def twice(x, y):
        return jnp.sum(jnp.exp(x)) + jnp.sum(jnp.exp(compiler.recompute_after(x, y)) * y)

    x = jnp.ones((64, 64), dtype)
    assert transcendentals(twice, x, x) == 2 * x.size


@pytest.mark.parametrize('cpu', [True, False])
def test_checkpoint_computes_activations_again_and_has_the_same_derivatives(cpu, monkeypatch):
    monkeypatch.setattr(compiler, 'single_cpu_device', lambda: cpu)

    def network(variables, images):
        return {'image': jnp.tanh(jnp.exp(images) @ variables['kernel']), 'logit': jnp.sum(images)}

    def loss(function, variables, images):
        image = function(variables, images)['image']
        return jnp.sum(image * jnp.cos(image))

    variables, images = {'kernel': jnp.linspace(-1, 1, 16).reshape(4, 4)}, jnp.linspace(0, 1, 8).reshape(2, 4)
    for derivative in (
        jax.grad(loss, (1, 2)),
        jax.grad(lambda f, v, x: jnp.sum(jax.grad(loss, 2)(f, v, x) ** 2), (1, 2)),
    ):  # as a gradient penalty's
        expected, ours = (
            jax.jit(derivative, static_argnums=0)(f, variables, images) for f in (network, compiler.checkpoint(network))
        )
        jax.tree.map(lambda o, e: np.testing.assert_allclose(o, e, rtol=1e-5, atol=1e-6), ours, expected)
    if cpu:

        def mean(function, variables, images):  # XLA knows its cotangents
            return jnp.mean(function(variables, images)['image'])

        for objective in (loss, mean):
            once, again = (
                transcendentals(jax.grad(functools.partial(objective, function)), variables, images)
                for function in (network, compiler.checkpoint(network))
            )
            assert again == once + 2 * images.size  # the network's exp and tanh


def test_a_forward_pass_on_a_cpu_has_products_of_xla_itself(monkeypatch):
    """And stays as it is elsewhere, in what is for every device, and where XLA does not know the option."""
    x = jnp.ones((64, 64))

    def libraries_products() -> int:
        text = jax.jit(jnp.dot, compiler_options=compiler.forward_options()).lower(x, x).compile().as_text()
        return text.count('__ynn_fusion')

    assert compiler.forward_options() and libraries_products() == 0
    with compiler.portable():
        assert compiler.forward_options() is None
    monkeypatch.setattr(compiler, 'OWN_PRODUCTS', {'xla_of_another_version': 'x'})
    compiler.xla_has_own_products.cache_clear()
    assert compiler.forward_options() is None and libraries_products() == 1
    monkeypatch.undo()
    compiler.xla_has_own_products.cache_clear()
    monkeypatch.setattr(compiler, 'on_cpu', lambda: False)
    assert compiler.forward_options() is None
