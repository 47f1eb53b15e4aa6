"""Class activation map attention (paper, section 2.1.1): a classifier's weights say where the domains differ."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.models.initializers import bias_init, kernel_init
from ugatit_jax.models.spectral_norm import sigma


class Classifier(nn.Module):
    """One logit of pooled features [B, C]: logit [B, 1], and the weights [C] that multiply the features."""

    use_bias: bool
    weight_init: str
    spectral: bool = False
    attention_normalized: bool = True

    @nn.compact
    def __call__(self, *pooled: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        channels = pooled[0].shape[-1]
        raw = self.param('kernel', kernel_init(self.weight_init), (channels, 1), jnp.float32)
        # every row has the same sigma here: for a single column one iteration is exact, whatever u was
        kernel = raw / sigma(self, raw, pooled[0].shape[0])[0] if self.spectral else raw
        weights = (kernel if self.attention_normalized else raw)[:, 0]
        logits = [jnp.dot(p, kernel, precision='highest') for p in pooled]
        if self.use_bias:
            bias = self.param('bias', bias_init(self.weight_init, channels), (1,), jnp.float32)
            # the TensorFlow release adds the bias to the weights as well
            logits, weights = [logit + bias for logit in logits], weights + bias
        return logits, weights


class CAM(nn.Module):
    """Features [B, h, w, C] -> attended features [B, h, w, C], logits [B, 2] (average, max), heatmap [B, h, w].

    Attended = activation(conv 1x1 of concat(x * w_average, x * w_max)); the heatmap is its sum over channels.
    """

    activation: Callable[[jax.Array], jax.Array]
    shared: bool
    use_bias: bool
    weight_init: str
    dtype: jnp.dtype = jnp.float32
    spectral: bool = False
    attention_normalized: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        channels = x.shape[-1]
        features = x.astype(jnp.promote_types(self.dtype, jnp.float32))
        average, maximum = jnp.mean(features, axis=(1, 2)), jnp.max(features, axis=(1, 2))  # [B, C]
        fields = (self.use_bias, self.weight_init, self.spectral, self.attention_normalized)
        if self.shared:
            (average_logit, max_logit), w_average = Classifier(*fields, name='classifier')(average, maximum)
            w_max = w_average
        else:
            (average_logit,), w_average = Classifier(*fields, name='average')(average)
            (max_logit,), w_max = Classifier(*fields, name='max')(maximum)
        kernel = self.param('kernel', kernel_init(self.weight_init), (1, 1, 2 * channels, channels), jnp.float32)
        bias = self.param('bias', bias_init(self.weight_init, 2 * channels), (channels,), jnp.float32)
        # the two products folded into the kernel: half the operations, and no [B, h, w, 2C]
        folded = w_average[:, None] * kernel[0, 0, :channels] + w_max[:, None] * kernel[0, 0, channels:]
        y = jnp.dot(x.astype(self.dtype), folded.astype(self.dtype)) + bias.astype(self.dtype)
        y = self.activation(y)
        heatmap = jnp.sum(y.astype(features.dtype), axis=-1)
        return y, jnp.concatenate([average_logit, max_logit], axis=-1), heatmap
