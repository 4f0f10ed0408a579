"""Golden files of what runs step by step: cells of recurrent layers, clipped updates, averages of weights;
and of the fixed maps of evaluation: convolution with a folded normalisation, sparse maps.

Run from this directory: python steps.py, with torch and safetensors installed. A tensor's name is
CASE.NAME; "dNAME" is the gradient with respect to NAME for the gradient dy of the output y. Images are
stored channels last, convolution weights as [O, kh, kw, C / groups]. Computed in double precision from
numbers of single precision.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def numbers(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).double()


def leaf(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).double().requires_grad_()


def store(tensors, case, **values):
    for name, value in values.items():
        if value.is_floating_point():
            value = value.float()
        tensors[f"{case}.{name}"] = value.detach().contiguous().clone()


def record(tensors, case, y, **inputs):
    dy = numbers(*y.shape)
    gradients = torch.autograd.grad(y, list(inputs.values()), dy)
    store(tensors, case, y=y, dy=dy, **inputs)
    store(tensors, case, **{f"d{name}": g for name, g in zip(inputs, gradients)})


def assign(module, **values):
    """The module in double precision, with given parameters and buffers instead of its own."""
    module = module.double()
    for name, value in values.items():
        module._parameters.pop(name, None)
        module._buffers.pop(name, None)
        setattr(module, name, value)
    return module


def cells():
    tensors = {}
    for number, (batch, inputs, hidden) in enumerate([(1, 1, 1), (3, 4, 7), (9, 3, 17), (2, 5, 8)]):
        for kind, gates in {"lstm": 4, "gru": 3}.items():
            values = dict(x=leaf(batch, inputs), h=leaf(batch, hidden))
            weights = dict(
                w_ih=leaf(gates * hidden, inputs, scale=0.5), w_hh=leaf(gates * hidden, hidden, scale=0.5),
                b_ih=leaf(gates * hidden), b_hh=leaf(gates * hidden),
            )
            own = {name.replace("w_", "weight_").replace("b_", "bias_"): w for name, w in weights.items()}
            cell = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind](inputs, hidden)
            cell = assign(cell, **own)
            if kind == "lstm":
                values["c"] = leaf(batch, hidden)
                # Both results side by side, so that gradients flow from both.
                y = torch.cat(cell(values["x"], (values["h"], values["c"])), 1)
            else:
                y = cell(values["x"], values["h"])
            record(tensors, f"{kind}-{number}", y, **values, **weights)
    save_file(tensors, "cells.safetensors")


SHAPES = [(5,), (3, 7), (2, 3, 17)]
# Gradients of one step are large, those of the next are small.
SIZES = [1.0, 0.05, 3.0]
OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def clipping():
    """Three steps of each optimiser; the result of every step. "clips" clips the first and the last."""
    tensors = {}
    start = [numbers(*shape) for shape in SHAPES]
    grads = [[numbers(*shape, scale=size) for shape in SHAPES] for size in SIZES]
    for i in range(len(SHAPES)):
        store(tensors, "start", **{str(i): start[i]})
        store(tensors, "grad", **{str(i): torch.stack([step[i] for step in grads])})
    for limit, largest in {"clips": 1.5, "keeps": 1000.0}.items():
        store(tensors, "limit", **{limit: torch.tensor([largest])})
        for name, make in OPTIMISERS.items():
            params = [torch.nn.Parameter(value.clone()) for value in start]
            optimiser, norms, after = make(params), [], []
            for step in grads:
                for param, grad in zip(params, step):
                    param.grad = grad.clone()
                norms.append(torch.nn.utils.clip_grad_norm_(params, largest))
                optimiser.step()
                after.append([param.detach().clone() for param in params])
            assert [bool(norm > 1.5) for norm in norms] == [True, False, True], norms
            store(tensors, "norm", **{limit: torch.stack(norms)})
            for i in range(len(SHAPES)):
                values = torch.stack([step[i] for step in after])
                store(tensors, f"{name}_{limit}", **{str(i): values})
    save_file(tensors, "clipping.safetensors")


def averages():
    tensors = {}
    for number, (shape, decay, steps) in enumerate([((1,), 500, 3), ((3, 17), 900, 4), ((37,), 999, 6)]):
        model = torch.nn.Module()
        model.weight = torch.nn.Parameter(numbers(*shape))
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay / 1000))
        weights = torch.stack([numbers(*shape) for _ in range(steps)])
        after = []
        for weight in weights:
            model.weight.data.copy_(weight)
            averaged.update_parameters(model)
            after.append(averaged.module.weight.detach().clone())
        after = torch.stack(after)
        # The first step copies.
        assert torch.equal(after[0], weights[0])
        values = dict(weights=weights.flatten(1), averages=after.flatten(1))
        store(tensors, str(number), **values, decay=torch.tensor([decay]))
    save_file(tensors, "average.safetensors")


def conv_norm():
    tensors = {}
    for number, (size, channels, filters, kernel, stride, padding, groups, residual, relu, eps) in enumerate([
        ((2, 5, 6), 3, 5, (3, 3), 1, 1, 1, True, True, 1e-5),
        ((1, 6, 5), 16, 16, (3, 3), 1, 1, 1, True, True, 1e-5),
        ((1, 5, 3), 16, 16, (3, 3), 1, 1, 1, False, False, 1e-3),
        ((1, 7, 8), 4, 19, (3, 3), 2, 1, 1, False, True, 1e-5),
        ((1, 4, 5), 8, 9, (1, 1), 1, 0, 1, True, False, 1e-5),
        ((1, 4, 5), 17, 17, (3, 3), 1, 1, 17, True, True, 1e-5),
        ((2, 4, 5), 4, 6, (3, 2), 1, 1, 2, False, True, 1e-3),
        ((1, 1, 1), 1, 1, (1, 1), 1, 0, 1, False, False, 1e-5),
    ]):
        w = leaf(filters, *kernel, channels // groups, scale=(channels // groups * kernel[0]) ** -0.5)
        inputs = dict(x=leaf(*size, channels), w=w, gamma=leaf(filters), beta=leaf(filters))
        mean, variance = numbers(filters), (torch.rand(filters) + 0.1).double()
        conv = torch.nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups, bias=False)
        conv = assign(conv, weight=w.permute(0, 3, 1, 2))
        norm = assign(
            torch.nn.BatchNorm2d(filters, eps=eps), weight=inputs["gamma"], bias=inputs["beta"],
            running_mean=mean, running_var=variance,
        ).eval()
        y = norm(conv(inputs["x"].permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        if residual:
            inputs["residual"] = leaf(*y.shape)
            y = y + inputs["residual"]
        if relu:
            # No sum so near to 0 that its rounding decides whether a gradient passes.
            assert y.abs().min() > 1e-4, (number, y.abs().min())
            y = F.relu(y)
        case = str(number)
        if filters == 16:
            # Winograd's weights are large, and their gradients are in conv_winograd.safetensors.
            store(tensors, case, y=y, **inputs)
        else:
            record(tensors, case, y, **inputs)
        millionths = round(eps * 1e6)
        options = torch.tensor([stride, padding, groups, relu, millionths])
        store(tensors, case, mean=mean, variance=variance, options=options.double())
    save_file(tensors, "conv_norm.safetensors")


def sparse():
    """Maps with rows of no entries, and with entries of the same place."""
    tensors = {}
    for number, (samples, inputs, outputs, width, terms) in enumerate([
        (1, 1, 1, 1, 1), (2, 7, 11, 3, 9), (3, 5, 4, 17, 30), (1, 18, 9, 33, 25), (4, 3, 20, 1, 40),
    ]):
        x, weight = leaf(samples, inputs, width), numbers(terms)
        place = torch.stack([torch.randint(outputs, (terms,)).sort()[0], torch.randint(inputs, (terms,))])
        matrix = torch.sparse_coo_tensor(place, weight, (outputs, inputs), check_invariants=True)
        # Samples side by side: a sparse matrix multiplies one dense one.
        wide = x.transpose(0, 1).flatten(1)
        y = torch.sparse.mm(matrix, wide).unflatten(1, (samples, width)).transpose(0, 1)
        case = str(number)
        record(tensors, case, y, x=x)
        store(tensors, case, outputs=place[0], inputs=place[1], weight=weight)
    save_file(tensors, "sparse.safetensors")


if __name__ == "__main__":
    torch.manual_seed(5)
    cells()
    clipping()
    averages()
    conv_norm()
    sparse()
