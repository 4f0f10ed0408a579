"""Golden files for the transformer modules of conjoin-nn: PyTorch's own, forward and gradient.

    python transformer.py        (needs torch, numpy and safetensors; writes beside itself)

As `make.py`, whose format this follows. All parameters are random, those of norms included. States
are zero behind a row's length, as conjoin-nn gives them. Rotary positions, which PyTorch has not, are
written out here with complex numbers.
"""

import torch
import torch.nn.functional as F
from torch import nn

from make import Case, leaf

ROWS, TIME, STEPS, SIZE, HEADS, HIDDEN = 3, 5, 4, 8, 2, 12
TIME_LENGTHS, STEP_LENGTHS = torch.tensor([5, 1, 3]), torch.tensor([2, 4, 1])


def randomised(module):
    for name, param in module.named_parameters():
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        nn.init.uniform_(param, centre - 0.5, centre + 0.5)
    return module.double()


def padding(lengths, time):
    """True behind the lengths, [rows, time]."""
    return torch.arange(time)[None] >= lengths[:, None]


def cleared(states, lengths):
    return states.masked_fill(padding(lengths, states.shape[1])[:, :, None], 0.0)


def layer_norm():
    norm, x = randomised(nn.LayerNorm(SIZE)), leaf(ROWS, TIME, SIZE)
    residual = leaf(ROWS, TIME, SIZE)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    outputs = {"plain": norm(x), "normalised": norm(x + residual), "sum": x + residual}
    params = {"weight": norm.weight, "bias": norm.bias}
    Case("layer-norm").write(params, {"x": x, "residual": residual}, outputs)


def multi_head(name, memory_size):
    sizes = {} if memory_size == SIZE else {"kdim": memory_size, "vdim": memory_size}
    module = randomised(nn.MultiheadAttention(SIZE, HEADS, batch_first=True, **sizes))
    queries, memory = leaf(ROWS, STEPS, SIZE), leaf(ROWS, TIME, memory_size)
    mask = padding(TIME_LENGTHS, TIME)
    attended, weights = module(queries, memory, memory, key_padding_mask=mask)
    case = Case(name)
    case.put("weights", weights)
    inputs = {"queries": queries, "memory": memory}
    lengths = [("lengths", TIME_LENGTHS)]
    case.write(dict(module.named_parameters()), inputs, {"attended": attended}, lengths)


def layer(kind, norm, activation):
    return kind(
        SIZE,
        HEADS,
        dim_feedforward=HIDDEN,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=norm == "pre",
    )


def encoder(norm, activation):
    """With a final norm if the sub-layers' norms come first."""
    final = nn.LayerNorm(SIZE) if norm == "pre" else None
    one = layer(nn.TransformerEncoderLayer, norm, activation)
    stack = randomised(nn.TransformerEncoder(one, 2, final, enable_nested_tensor=False))
    x = leaf(ROWS, TIME, SIZE)
    states = stack(x, src_key_padding_mask=padding(TIME_LENGTHS, TIME))
    Case(f"transformer-encoder-{norm}").write(
        dict(stack.named_parameters()),
        {"x": x},
        {"states": cleared(states, TIME_LENGTHS)},
        [("lengths", TIME_LENGTHS)],
    )


def decoder(norm, activation, memory_size=SIZE):
    final = nn.LayerNorm(SIZE) if norm == "pre" else None
    one = layer(nn.TransformerDecoderLayer, norm, activation)
    stack = nn.TransformerDecoder(one, 2, final)
    if memory_size != SIZE:
        sizes = {"kdim": memory_size, "vdim": memory_size}
        for one in stack.layers:
            one.multihead_attn = nn.MultiheadAttention(SIZE, HEADS, batch_first=True, **sizes)
    stack = randomised(stack)
    x, memory = leaf(ROWS, STEPS, SIZE), leaf(ROWS, TIME, memory_size)
    states = stack(
        x,
        memory,
        tgt_mask=torch.ones(STEPS, STEPS).triu(1).bool(),
        tgt_key_padding_mask=padding(STEP_LENGTHS, STEPS),
        memory_key_padding_mask=padding(TIME_LENGTHS, TIME),
    )
    suffix = "" if memory_size == SIZE else "-sizes"
    Case(f"transformer-decoder-{norm}{suffix}").write(
        dict(stack.named_parameters()),
        {"x": x, "memory": memory},
        {"states": cleared(states, STEP_LENGTHS)},
        [("lengths", STEP_LENGTHS), ("memory_lengths", TIME_LENGTHS)],
    )


def language_model():
    """A decoder without memory is PyTorch's encoder with a causal mask; its last norm is norm3."""
    one = layer(nn.TransformerEncoderLayer, "pre", "gelu")
    stack = randomised(nn.TransformerEncoder(one, 2, enable_nested_tensor=False))
    x = leaf(ROWS, STEPS, SIZE)
    states = stack(
        x,
        mask=torch.ones(STEPS, STEPS).triu(1).bool(),
        src_key_padding_mask=padding(STEP_LENGTHS, STEPS),
    )
    params = {key.replace("norm2", "norm3"): p for key, p in stack.named_parameters()}
    Case("transformer-decoder-alone").write(
        params,
        {"x": x},
        {"states": cleared(states, STEP_LENGTHS)},
        [("lengths", STEP_LENGTHS)],
    )


def sinusoids(x):
    """Position t and features 2i, 2i + 1: sine and cosine of t / 10000^(2i / size)."""
    time, size = x.shape[1:]
    table = torch.zeros(time, size, dtype=torch.float64)
    position = torch.arange(time, dtype=torch.float64)[:, None]
    rate = torch.exp(-torch.arange(0, size, 2) * torch.log(torch.tensor(10000.0)).double() / size)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return x + table


def rotated(x):
    """[B, H, T, W]: neighbours are the parts of a complex number that is turned."""
    time, width = x.shape[2:]
    pairs = torch.view_as_complex(x.unflatten(-1, (width // 2, 2)).contiguous())
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(time, dtype=torch.float64)[:, None] * rate
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2)


def with_positions(kind):
    """A layer whose heads have 4 features, after the positions."""
    one = randomised(layer(nn.TransformerEncoderLayer, "post", "relu"))
    x = leaf(ROWS, TIME, SIZE)
    params = {f"layers.0.{key}": p for key, p in one.named_parameters()}
    if kind == "learned":
        table = leaf(7, SIZE)
        params["positions.weight"] = table
    mask = padding(TIME_LENGTHS, TIME)
    if kind == "rotary":
        attention = one.self_attn
        projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        split = projected.unflatten(-1, (3, HEADS, SIZE // HEADS)).permute(2, 0, 3, 1, 4)
        visible = ~mask[:, None, None, :]
        found = F.scaled_dot_product_attention(
            rotated(split[0]), rotated(split[1]), split[2], attn_mask=visible
        )
        y = one.norm1(x + attention.out_proj(found.transpose(1, 2).flatten(-2)))
        states = one.norm2(y + one.linear2(F.relu(one.linear1(y))))
    else:
        begin = sinusoids(x) if kind == "sinusoidal" else x + table[:TIME]
        states = one(begin, src_key_padding_mask=mask)
    Case(f"transformer-{kind}").write(
        params,
        {"x": x},
        {"states": cleared(states, TIME_LENGTHS)},
        [("lengths", TIME_LENGTHS)],
    )


if __name__ == "__main__":
    torch.manual_seed(1)
    layer_norm()
    multi_head("multi-head", SIZE)
    multi_head("multi-head-sizes", 6)
    encoder("pre", "gelu")
    encoder("post", "relu")
    decoder("pre", "relu")
    decoder("post", "gelu")
    decoder("pre", "gelu", memory_size=6)
    language_model()
    for kind in ("sinusoidal", "learned", "rotary"):
        with_positions(kind)
