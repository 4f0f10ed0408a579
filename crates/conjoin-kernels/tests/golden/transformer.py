"""Golden files of the operations of transformers and of normalisation, made with PyTorch.

Run from this directory: python transformer.py, with torch and safetensors installed. A tensor's name is
CASE.NAME; "d_NAME" is the gradient of sum(output * probe) with respect to NAME. Feature maps are stored
channels last, heads side by side.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


def leaf(*shape, scale=0.5, shift=0.0):
    return torch.randn(*shape).mul(scale).add(shift).requires_grad_()


def store(tensors, case, **values):
    for name, value in values.items():
        tensors[f"{case}.{name}"] = value.detach().clone().contiguous()


def gradients(tensors, case, output, **inputs):
    """Stores inputs, the output, a random probe and all gradients."""
    probe = torch.randn_like(output)
    grads = torch.autograd.grad((output * probe).sum(), list(inputs.values()))
    store(tensors, case, output=output, probe=probe, **inputs)
    store(tensors, case, **{f"d_{name}": grad for name, grad in zip(inputs, grads)})


def layer_norm():
    tensors = {}
    for number, shape in enumerate([(1, 1), (3, 5), (2, 37), (33, 16), (7, 33), (1, 130)]):
        for residual in (False, True):
            size = shape[-1]
            inputs = dict(x=leaf(*shape, scale=2, shift=3), weight=leaf(size), bias=leaf(size))
            if residual:
                inputs["residual"] = leaf(*shape)
            total = inputs["x"] + inputs["residual"] if residual else inputs["x"]
            output = F.layer_norm(total, [size], inputs["weight"], inputs["bias"], 1e-5)
            if residual:
                # Both results side by side, so that gradients flow from both.
                output = torch.cat([output, total], -1)
            gradients(tensors, f"{number}{'_residual' if residual else ''}", output, **inputs)
    save_file(tensors, "layer_norm.safetensors")


def group_norm():
    tensors = {}
    for number, (shape, groups) in enumerate([
        ((1, 1, 1, 4), 2), ((2, 3, 5, 6), 3), ((3, 4, 4, 7), 1), ((2, 5, 3, 7), 7), ((1, 7, 2, 32), 4),
    ]):
        channels = shape[-1]
        x, weight, bias = leaf(*shape, scale=2, shift=3), leaf(channels), leaf(channels)
        output = F.group_norm(x.permute(0, 3, 1, 2), groups, weight, bias, 1e-5).permute(0, 2, 3, 1)
        gradients(tensors, str(number), output, x=x, weight=weight, bias=bias)
        store(tensors, str(number), groups=torch.tensor([groups]))
    save_file(tensors, "group_norm.safetensors")


def activation():
    tensors = {}
    for name, function in {
        "relu": F.relu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    }.items():
        x = torch.cat([torch.linspace(-12, 12, 97), torch.randn(30), torch.tensor([0.0, -0.0, 1e-6])])
        x.requires_grad_()
        gradients(tensors, name, function(x), x=x)
    save_file(tensors, "activation.safetensors")


def heads(x, count):
    return x.unflatten(2, (count, -1)).transpose(1, 2)


def multi_head():
    tensors = {}
    inf = float("-inf")
    for number, (batch, queries, keys, count, width, values, causal, lengths, mask) in enumerate([
        (1, 1, 1, 1, 1, 1, False, None, None),
        (2, 5, 5, 3, 4, 4, False, None, None),
        (2, 7, 7, 2, 5, 3, True, None, None),
        (3, 4, 9, 2, 8, 8, False, [9, 1, 4], None),
        (2, 6, 6, 2, 16, 16, True, [3, 6], None),
        (2, 3, 5, 2, 7, 7, False, None, (2, 2, 3, 5)),
        (2, 5, 5, 3, 3, 3, True, [2, 5], (1, 3, 5, 5)),
        (2, 4, 6, 1, 6, 6, False, None, (2, 1, 1, 6)),
        (1, 70, 67, 1, 3, 3, True, None, None),
        (1, 66, 130, 2, 2, 2, False, [129], (1, 2, 66, 1)),
    ]):
        q, k = leaf(batch, queries, count * width, scale=1), leaf(batch, keys, count * width, scale=1)
        v = leaf(batch, keys, count * values)
        inputs = dict(q=q, k=k, v=v)
        bias = torch.zeros(batch, count, queries, keys)
        if mask:
            inputs["mask"] = leaf(*mask, scale=1)
            bias = bias + inputs["mask"]
        if causal:
            bias = bias + torch.full((queries, keys), inf).triu(1)
        if lengths:
            padding = torch.arange(keys) >= torch.tensor(lengths)[:, None]
            bias = bias.masked_fill(padding[:, None, None], inf)
        output = F.scaled_dot_product_attention(
            heads(q, count), heads(k, count), heads(v, count), attn_mask=bias
        )
        case = str(number)
        gradients(tensors, case, output.transpose(1, 2).flatten(2), **inputs)
        options = torch.tensor([count, causal])
        store(tensors, case, options=options, lengths=torch.tensor(lengths or [keys] * batch))
    save_file(tensors, "multi_head.safetensors")


def embedding():
    tensors = {}
    for number, (rows, width, batch, time, padding) in enumerate([
        (5, 3, 2, 4, None), (1, 1, 1, 1, None), (7, 5, 3, 6, 2), (4, 17, 2, 9, 0),
    ]):
        weight = leaf(rows, width)
        indices = torch.randint(rows, (batch, time))
        output = F.embedding(indices, weight, padding_idx=padding)
        gradients(tensors, str(number), output, weight=weight)
        store(tensors, str(number), indices=indices)
        store(tensors, str(number), padding=torch.tensor([-1 if padding is None else padding]))
    save_file(tensors, "embedding.safetensors")


def average_pool():
    tensors = {}
    for number, (kernel, stride, padding) in enumerate([(2, 2, 1), (3, 2, 1), (3, 1, 1), (4, 3, 2)]):
        x = leaf(2, 7, 6, 5)
        y = F.avg_pool2d(x.permute(0, 3, 1, 2), kernel, stride, padding, count_include_pad=False)
        gradients(tensors, str(number), y.permute(0, 2, 3, 1), x=x)
        store(tensors, str(number), options=torch.tensor([kernel, stride, padding]))
    save_file(tensors, "average_pool.safetensors")


def weighted_cross_entropy():
    tensors = {}
    for number, (rows, classes, ignore, smoothing) in enumerate([
        (7, 37, None, 0.0), (7, 5, 3, 0.0), (9, 16, 0, 0.1), (1, 2, None, 0.2), (40, 3, -100, 0.05),
    ]):
        logits = leaf(rows, classes, scale=4)
        weight = torch.rand(classes) * 3
        weight[0] = 0
        targets = torch.randint(classes, (rows,))
        targets[-1] = classes - 1
        if ignore is not None:
            targets[::3] = ignore
        index = -1000 if ignore is None else ignore
        loss = F.cross_entropy(logits, targets, weight, ignore_index=index, label_smoothing=smoothing)
        case = str(number)
        gradients(tensors, case, loss[None], logits=logits)
        store(tensors, case, weight=weight, targets=targets, ignore=torch.tensor([index]))
        store(tensors, case, smoothing=torch.tensor([smoothing]))
    save_file(tensors, "weighted_cross_entropy.safetensors")


if __name__ == "__main__":
    torch.manual_seed(1)
    layer_norm()
    group_norm()
    activation()
    multi_head()
    embedding()
    average_pool()
    weighted_cross_entropy()
