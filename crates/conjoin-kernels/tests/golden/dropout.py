"""Golden files of dropout: which numbers `src/dropout.rs` and `src/attention/heads/block.rs` drop, by their
formulas in numpy's wrapping integers, and what PyTorch makes of that.

Run from this directory: python dropout.py, with torch and safetensors installed. A tensor's name is
CASE.NAME; "dNAME" is the gradient with respect to NAME for the gradient dy of the output y. Probabilities
and scales are integers, in thousandths, so that both sides divide to the same number. Computed in double
precision from numbers of single precision.
"""

import numpy as np
import torch
from safetensors.torch import save_file

BLOCK = 1 << 14


def mix32(x):
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def mix64(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def kept(rows, width, p, seed):
    """Whether each of `width` numbers of `rows` rows stays: a row has two keys, a number its place."""
    seed = np.array([seed % 2**64], dtype=np.uint64)
    key = mix64(seed ^ mix64(np.arange(rows, dtype=np.uint64)))[:, None]
    low, high = key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)
    bits = mix32(mix32(np.arange(width, dtype=np.uint32) ^ low) + high)
    threshold = min(int(np.floor(p * 2.0**32 + 0.5)), 2**32 - 1)
    return bits >= threshold


def factors(mask, p):
    return torch.from_numpy(mask).double() * float(np.float32(1 / (1 - p)))


def leaf(*shape):
    return torch.randn(*shape).double().requires_grad_()


def record(tensors, case, y, settings, **inputs):
    dy = torch.randn(y.shape).double()
    gradients = torch.autograd.grad(y, list(inputs.values()), dy)
    floats = inputs | {"y": y, "dy": dy} | {f"d{name}": g for name, g in zip(inputs, gradients)}
    for name, value in floats.items():
        assert not value.isnan().any(), f"{case}.{name}"
        tensors[f"{case}.{name}"] = value.detach().float().contiguous().clone()
    tensors[f"{case}.settings"] = torch.tensor(settings)


def dropout():
    tensors = {}
    for number, (shape, p, seed) in enumerate([
        ((1, 1, 1), 500, 3), ((3, 7, 5), 100, 0), ((2, 1, 67), 300, -1), ((1, 130, 3), 950, 2**62 + 5),
        ((2, 3, 4), 0, 7),
    ]):
        x = leaf(*shape)
        mask = kept(1, x.numel(), p / 1000, seed)
        y = x * factors(mask, p / 1000).reshape(shape)
        record(tensors, str(number), y, [p, seed], x=x)
    # More than two blocks of keys: bits alone, 64 to a number, the first lowest.
    count, p, seed = 2 * BLOCK + 37, 300, 12345678901234567
    bits = kept(3, BLOCK, p / 1000, seed).reshape(-1)[:count]
    assert abs(bits.mean() - 0.7) < 0.01
    packed = np.packbits(np.pad(bits, (0, -count % 64)), bitorder="little").view(np.int64)
    tensors["blocks.kept"] = torch.from_numpy(packed)
    tensors["blocks.settings"] = torch.tensor([p, seed, count])
    save_file(tensors, "dropout.safetensors")


def heads(x, count):
    return x.unflatten(2, (count, -1)).transpose(1, 2)


def attention():
    tensors = {}
    inf = float("-inf")
    # Scale 0 is the default, 1 / sqrt(width).
    for number, (batch, queries, keys, count, width, values, causal, lengths, mask, scale, p, seed) in enumerate([
        (1, 1, 1, 1, 1, 1, False, None, None, 300, 250, 2),
        (3, 5, 7, 3, 4, 3, False, [7, 1, 4], None, 300, 300, 11),
        (2, 6, 6, 2, 5, 5, True, [3, 6], (1, 2, 6, 6), 300, 100, -5),
        (2, 4, 9, 2, 8, 7, False, [4, 9], (2, 1, 1, 9), 300, 500, 2**63 - 1),
        (2, 3, 5, 2, 7, 1, False, None, (2, 2, 3, 5), 0, 200, 0),
        (1, 5, 131, 2, 3, 2, False, [129], (1, 1, 5, 131), 300, 300, 77),
        (1, 67, 3, 2, 2, 3, False, None, (1, 2, 67, 3), 300, 400, 2**40 + 1),
        (1, 70, 67, 1, 3, 3, True, None, None, 0, 100, 123456789012345678),
        (1, 66, 65, 1, 2, 2, False, [64], (1, 1, 66, 1), 300, 900, -(2**63)),
    ]):
        q, k = leaf(batch, queries, count * width), leaf(batch, keys, count * width)
        inputs = dict(q=q, k=k, v=leaf(batch, keys, count * values))
        factor = scale / 1000 if scale else width**-0.5
        scores = factor * heads(q, count) @ heads(k, count).transpose(2, 3)
        if mask:
            additive = torch.randn(*mask).double()
            if mask[3] > 1:
                # Some keys hidden, never the first.
                hidden = torch.rand(*mask) < 0.3
                hidden[..., 0] = False
                hidden[..., -1, 1] = True
                additive = additive.masked_fill(hidden, inf)
            inputs["mask"] = additive.requires_grad_()
            scores = scores + inputs["mask"]
        if causal:
            scores = scores + torch.full((queries, keys), inf).triu(1)
        padding = torch.arange(keys) >= torch.tensor(lengths or [keys] * batch)[:, None]
        scores = scores.masked_fill(padding[:, None, None], inf)
        dropped = kept(batch * count * queries, keys, p / 1000, seed)
        dropped = factors(dropped, p / 1000).reshape(batch, count, queries, keys)
        context = (torch.softmax(scores, -1) * dropped) @ heads(inputs["v"], count)
        case = str(number)
        y = context.transpose(1, 2).flatten(2)
        record(tensors, case, y, [count, causal, scale, p, seed], **inputs)
        tensors[f"{case}.lengths"] = torch.tensor(lengths or [keys] * batch)
    save_file(tensors, "attention_dropout.safetensors")


if __name__ == "__main__":
    # The first output of SplitMix64 from state 0.
    assert mix64(np.zeros(1, np.uint64))[0] == 0xE220A8397B1DCDAF
    torch.manual_seed(3)
    dropout()
    attention()
