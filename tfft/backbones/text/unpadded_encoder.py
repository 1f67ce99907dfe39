"""BERT's encoder layers without padding and in fewer passes over memory: same weights, same sums.

KerasHub's `TransformerEncoder` computes every padded token and makes three products where one
would do. Here the tokens of a batch are packed end to end for all that works on one token; only
attention sees them padded. Query, key and value come from one product, and the derivatives of the
softmax, the norm and GELU are written out, each with as few temporary arrays as it takes. That is
worth it on a CPU, where memory is slow; a compiler (XLA) does such things itself and wants the
shapes to stay the same, so there KerasHub's own layers are used.

What stands at the places of padding in an output is left open, and no gradient comes from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import keras_hub
import tensorflow as tf

# oneDNN prepares a product once for each number of rows; rounding keeps them few. A request of a
# few tokens is rounded less, for it would mostly compute padding.
ROUNDING, FEW, FEW_ROUNDING = 32, 256, 8


class Packing(NamedTuple):
    """Where the tokens of a padded batch go.

    Attributes:
      index: int32 [m], the places in [b*t] of the tokens, then of some padding up to a round m.
      inverse: int32 [b*t], the row in [m] of each token; padding has the row of a token before it.
      to_heads: int32 [b*h*t], as `inverse`, from packed rows cut into heads, [m*h], to [b h t].
      from_heads: int32 [m*h], the other way.
      mask: float32 [b*h*t 1], 1 at tokens.
      bias: float32 [b 1 1 t], -1e9 at padding, else 0.
      batch, length: b and t, int32 scalars.
    """

    index: Any
    inverse: Any
    to_heads: Any
    from_heads: Any
    mask: Any
    bias: Any
    batch: Any
    length: Any


def supports(hidden: Any, layers: Sequence[tuple[Any, bool | None]]) -> bool:
    """Says whether `encode` computes these layers: there are some, plain BERT in float32.

    A mode of None is the calling layer's, which only Keras' own layers know.
    """
    ready = bool(layers) and not keras.utils.is_keras_tensor(hidden)
    return ready and all(mode is not None and _is_plain(layer) for layer, mode in layers)


def _is_plain(layer: Any) -> bool:
    if type(layer) is not keras_hub.layers.TransformerEncoder or layer.normalize_first:
        return False
    attention = layer._self_attention_layer
    dense = [getattr(attention, f"_{name}_dense") for name in ("query", "key", "value", "output")]
    dense += [layer._feedforward_intermediate_dense, layer._feedforward_output_dense]
    return layer.compute_dtype == "float32" and all(
        type(one) in (keras.layers.Dense, keras.layers.EinsumDense)
        and one.bias is not None
        and not one.lora_enabled
        and one.quantization_mode is None
        for one in dense
    )


def encode(
    layers: Sequence[tuple[Any, bool | None]],
    hidden: Any,
    padding_mask: Any,
    first_only: bool = False,
) -> Any:
    """Applies encoder layers one after the other.

    Args:
      layers: of the kind that `supports` accepts, each with its mode.
      hidden: float32 [b t d].
      padding_mask: int32 [b t], 1 at tokens; each row has one at least.
      first_only: nothing but the first token's output is read; then the last layer computes the
        others' keys and values alone, a sixth of its products.

    Returns:
      float32 [b t d], or [b 1 d].
    """
    packing = pack(padding_mask, layers[0][0]._self_attention_layer._num_heads)
    dim = hidden.shape[-1]
    tokens = tf.gather(tf.reshape(hidden, [-1, dim]), packing.index)
    for layer, training in layers[:-1] if first_only else layers:
        tokens = _layer(layer, tokens, packing, training)
    if first_only:
        layer, training = layers[-1]
        return _layer(layer, tokens, packing, training, first_only=True)[:, None]
    rows = _moved(tokens, packing.inverse, packing.index)
    return tf.reshape(rows, [packing.batch, packing.length, dim])


def pack(padding_mask: Any, heads: int) -> Packing:
    """Returns where the tokens of a batch go, from its mask, int32 [b t]."""
    batch, length = tf.unstack(tf.shape(padding_mask))
    there = tf.cast(padding_mask, tf.bool)
    flat = tf.reshape(tf.cast(there, tf.int32), [-1])
    tokens = tf.cast(tf.where(flat > 0)[:, 0], tf.int32)
    padding = tf.cast(tf.where(flat <= 0)[:, 0], tf.int32)
    rounding = tf.where(tf.size(tokens) > FEW, ROUNDING, FEW_ROUNDING)
    index = tf.concat([tokens, padding[: -tf.size(tokens) % rounding]], 0)
    inverse = tf.maximum(tf.cumsum(flat) - 1, 0)
    mask = tf.cast(there, tf.float32)
    head = tf.range(heads)
    text, place = (index // length)[:, None], (index % length)[:, None]
    to_heads = tf.reshape(inverse, [batch, 1, length]) * heads + head[None, :, None]
    spread = tf.broadcast_to(mask[:, None, :], [batch, heads, length])
    return Packing(
        index=index,
        inverse=inverse,
        to_heads=tf.reshape(to_heads, [-1]),
        from_heads=tf.reshape((text * heads + head) * length + place, [-1]),
        mask=tf.reshape(spread, [-1, 1]),
        bias=(mask[:, None, None, :] - 1.0) * 1e9,
        batch=batch,
        length=length,
    )


def _moved(rows: Any, places: Any, back: Any, mask: Any = None) -> Any:
    """Returns rows at other places, with a gradient that is a gather too.

    Args:
      rows: [n d].
      places: int32 [k], the row of each place.
      back: int32 [n], the place of each row.
      mask: float32 [n 1], 0 at rows without a gradient; None for none of them.
    """

    @tf.custom_gradient
    def call(rows: Any) -> Any:
        def gradient(d: Any) -> Any:
            d = tf.gather(d, back)
            return d if mask is None else d * mask

        return tf.gather(rows, places), gradient

    return call(rows)


def _split_heads(tokens: Any, heads: int, packing: Packing) -> Any:
    """From packed rows [m h*s] to [b h t s], in one pass."""
    size = tokens.shape[-1] // heads
    rows = tf.reshape(tokens, [-1, size])
    split = _moved(rows, packing.to_heads, packing.from_heads)
    return tf.reshape(split, [packing.batch, heads, packing.length, size])


def _join_heads(split: Any, packing: Packing) -> Any:
    """From [b h t s] to packed rows [m h*s], in one pass."""
    heads, size = split.shape[1], split.shape[-1]
    rows = tf.reshape(split, [-1, size])
    joined = _moved(rows, packing.from_heads, packing.to_heads, packing.mask)
    return tf.reshape(joined, [-1, heads * size])


def _layer(
    layer: Any, tokens: Any, packing: Packing, training: bool | None, first_only: bool = False
) -> Any:
    """From packed tokens [m d] to the same, or to the first token of each text, [b d]."""
    asking = tokens
    if first_only:
        first = tf.reshape(packing.inverse, [packing.batch, packing.length])[:, 0]
        asking = tf.gather(tokens, first)
    mixed = _attention(layer._self_attention_layer, tokens, asking, packing, training)
    mixed = _dropout(layer._self_attention_dropout, mixed, training)
    tokens = _norm(layer._self_attention_layer_norm, asking + mixed)
    inner = _dense(tokens, layer._feedforward_intermediate_dense, training)
    outer = _dense(inner, layer._feedforward_output_dense, training)
    outer = _dropout(layer._feedforward_dropout, outer, training)
    return _norm(layer._feedforward_layer_norm, tokens + outer)


def _attention(
    attention: Any, tokens: Any, asking: Any, packing: Packing, training: bool | None
) -> Any:
    """Attention over packed tokens [m d], for all of them or for one a text, [b d]."""
    heads, size = attention._num_heads, attention._key_dim
    query = _product(asking, attention._query_dense, training) * (1.0 / math.sqrt(size))
    key = _split_heads(_product(tokens, attention._key_dense, training), heads, packing)
    value = _split_heads(_product(tokens, attention._value_dense, training), heads, packing)
    every = asking is tokens
    one = [packing.batch, heads, 1, size]
    query = _split_heads(query, heads, packing) if every else tf.reshape(query, one)
    shares = _dropout(attention._dropout_layer, _shares(query, key, packing.bias), training)
    mixed = tf.matmul(shares, value)
    joined = [packing.batch, heads * size]
    mixed = _join_heads(mixed, packing) if every else tf.reshape(mixed, joined)
    return _product(mixed, attention._output_dense, training)


@tf.custom_gradient
def _shares(query: Any, key: Any, bias: Any) -> Any:
    """Returns softmax(query key^T + bias): [b h t t]."""
    shares = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)

    def gradient(d: Any) -> Any:
        d = shares * (d - tf.reduce_sum(d * shares, axis=-1, keepdims=True))
        return tf.matmul(d, key), tf.matmul(d, query, transpose_a=True), None

    return shares, gradient


def _product(rows: Any, dense: Any, training: bool | None) -> Any:
    """Product and bias of a Dense or EinsumDense layer, [m d] to [m f], with its adapter."""

    def product(rows: Any) -> Any:
        kernel = tf.reshape(_value(dense.kernel), [rows.shape[-1], -1])
        return tf.nn.bias_add(tf.matmul(rows, kernel), tf.reshape(_value(dense.bias), [-1]))

    adapter = getattr(dense, "adapter", None)
    return product(rows) if adapter is None else adapter.apply(product, rows, training, _dropout)


def _dense(tokens: Any, dense: Any, training: bool | None) -> Any:
    """Product, bias and activation of a Dense layer, [m d] to [m f]."""
    outer = _product(tokens, dense, training)
    exact = dense.activation is exact_gelu and training
    return _gelu(outer) if exact else dense.activation(outer)


@keras.saving.register_keras_serializable("tfft")
def exact_gelu(x: Any) -> Any:
    """Returns x times the cumulative normal probability of x; TensorFlow's tanh form is another."""
    return keras.activations.gelu(x, approximate=False)


@tf.custom_gradient
def _gelu(x: Any) -> Any:
    """The exact GELU for training; without a gradient TensorFlow's own is quicker."""
    cdf = 0.5 + 0.5 * tf.math.erf(x * math.sqrt(0.5))

    def gradient(d: Any) -> Any:
        return d * (cdf + x * (tf.exp(tf.square(x) * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))))

    return x * cdf, gradient


def _norm(norm: Any, tokens: Any) -> Any:
    """Layer normalisation over the last axis, [m d]."""

    @tf.custom_gradient
    def call(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        rate = tf.math.rsqrt(variance + norm.epsilon)
        normal = centred * rate

        def gradient(d: Any) -> Any:
            inner = d * gamma
            mean = tf.reduce_mean(inner, axis=-1, keepdims=True)
            along = tf.reduce_mean(inner * normal, axis=-1, keepdims=True)
            return (
                rate * (inner - mean - normal * along),
                tf.reduce_sum(d * normal, axis=0),
                tf.reduce_sum(d, axis=0),
            )

        return normal * gamma + beta, gradient

    return call(tokens, _value(norm.gamma), _value(norm.beta))


def _dropout(dropout: Any, x: Any, training: bool | None) -> Any:
    """Dropout from the layer's own random generator, so that a checkpoint holds its state.

    Half a word of random bits decides on a value: they cost more than all else here. The rate is
    rounded to 1/65536, and what is kept grows by the rounded rate.
    """
    threshold = round(dropout.rate * 2**16)
    if not training or not threshold:
        return x
    seed = tf.cast(dropout.seed_generator.next(), tf.int32)
    count, shape = tf.size(x), tf.shape(x)
    bits = tf.random.stateless_uniform(
        [(count + 1) // 2], seed, None, None, tf.uint32, alg="philox"
    )
    bits = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:count]
    keep = tf.cast(bits >= tf.constant(threshold, tf.uint16), x.dtype)
    keep = tf.reshape(keep * (2**16 / (2**16 - threshold)), shape)

    @tf.custom_gradient
    def call(x: Any) -> Any:
        return x * keep, lambda d: d * keep

    return call(x)


def _value(variable: Any) -> Any:
    return tf.convert_to_tensor(variable)
