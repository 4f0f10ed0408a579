"""Golden files of the recurrent layers, attention and cross-entropy, made with PyTorch.

Run from this directory: python sequence.py
Every file holds cases; a tensor's name is CASE.NAME. "d_NAME" is the gradient of
sum(output * probe) with respect to NAME. Lengths and options are integer tensors.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# (B, T, I, H, lengths): odd sizes, one row, one step, one unit, several panels of weights
SHAPES = [
    (3, 5, 4, 7, [5, 2, 3]),
    (1, 1, 3, 5, [1]),
    (1, 6, 1, 1, [4]),
    (8, 4, 5, 19, [4, 4, 1, 3, 2, 4, 1, 2]),
]


def leaf(*shape):
    return torch.randn(*shape).mul(0.5).requires_grad_()


def store(tensors, case, **values):
    for name, value in values.items():
        tensors[f"{case}.{name}"] = value.detach().clone().contiguous()


def gradients(tensors, case, output, **inputs):
    """Stores inputs, the output, a random probe and all gradients."""
    probe = torch.randn_like(output)
    grads = torch.autograd.grad((output * probe).sum(), list(inputs.values()), retain_graph=True)
    store(tensors, case, output=output, probe=probe, **inputs)
    store(tensors, case, **{f"d_{name}": grad for name, grad in zip(inputs, grads)})


def recurrent(kind):
    """A bidirectional PyTorch layer; its two directions are two cases."""
    tensors = {}
    for number, (batch, time, inputs, hidden, lengths) in enumerate(SHAPES):
        layer = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, bidirectional=True)
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        x, h0 = leaf(batch, time, inputs), leaf(2, batch, hidden)
        c0 = leaf(2, batch, hidden)
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        state = (h0, c0) if kind == "LSTM" else h0
        output, _ = pad_packed_sequence(layer(packed, state)[0], batch_first=True, total_length=time)
        for direction, suffix in enumerate(["", "_reverse"]):
            case = f"{number}{suffix}"
            weight = lambda name: getattr(layer, f"{name}_l0{suffix}")
            own = output[..., direction * hidden : (direction + 1) * hidden]
            leaves = dict(
                x=x, h0=h0, w_ih=weight("weight_ih"), w_hh=weight("weight_hh"),
                b_ih=weight("bias_ih"), b_hh=weight("bias_hh"),
            )
            if kind == "LSTM":
                leaves["c0"] = c0
            gradients(tensors, case, own, **leaves)
            for name in ["h0", "c0", "d_h0", "d_c0"]:
                if f"{case}.{name}" in tensors:
                    tensors[f"{case}.{name}"] = tensors[f"{case}.{name}"][direction].contiguous()
            store(tensors, case, lengths=torch.tensor(lengths), reverse=torch.tensor([direction]))
    save_file(tensors, f"{kind.lower()}.safetensors")


def original_gru():
    """Cho et al. 2014: the reset gate scales the state before the product. Step by step."""
    tensors = {}
    for number, (batch, time, inputs, hidden, lengths) in enumerate(SHAPES):
        for reverse in [0, 1]:
            x, h0 = leaf(batch, time, inputs), leaf(batch, hidden)
            w_ih, w_hh = leaf(3 * hidden, inputs), leaf(3 * hidden, hidden)
            b_ih, b_hh = leaf(3 * hidden), leaf(3 * hidden)
            rows = []
            for row, length in enumerate(lengths):
                h, outputs = h0[row], [torch.zeros(hidden)] * time
                for t in reversed(range(length)) if reverse else range(length):
                    xr, xz, xn = (w_ih @ x[row, t] + b_ih).chunk(3)
                    ur, uz, un = w_hh.chunk(3)
                    br, bz, bn = b_hh.chunk(3)
                    r, z = torch.sigmoid(xr + ur @ h + br), torch.sigmoid(xz + uz @ h + bz)
                    n = torch.tanh(xn + un @ (r * h) + bn)
                    h = (1 - z) * n + z * h
                    outputs[t] = h
                rows.append(torch.stack(outputs))
            case = f"{number}_{reverse}"
            gradients(
                tensors, case, torch.stack(rows),
                x=x, h0=h0, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh,
            )
            store(tensors, case, lengths=torch.tensor(lengths), reverse=torch.tensor([reverse]))
    save_file(tensors, "gru_original.safetensors")


def attention():
    tensors = {}
    for number, (batch, queries, time, width, values, lengths) in enumerate([
        (3, 4, 5, 7, 6, [5, 1, 3]), (1, 1, 1, 1, 1, [1]), (2, 3, 18, 37, 5, [18, 17]),
    ]):
        for kind in ["dot", "additive"]:
            query, keys = leaf(batch, queries, width), leaf(batch, time, width)
            value, v = leaf(batch, time, values), leaf(width)
            if kind == "dot":
                scores = query @ keys.transpose(1, 2) / width**0.5 + 0 * v.sum()
            else:
                scores = torch.tanh(query[:, :, None] + keys[:, None]) @ v
            padding = torch.arange(time) >= torch.tensor(lengths)[:, None, None]
            weights = torch.softmax(scores.masked_fill(padding, float("-inf")), -1)
            case = f"{number}_{kind}"
            # Context and weights side by side, so that gradients flow from both.
            output = torch.cat([weights @ value, weights], -1)
            gradients(tensors, case, output, query=query, keys=keys, values=value, v=v)
            store(tensors, case, lengths=torch.tensor(lengths))
    save_file(tensors, "attention.safetensors")


def cross_entropy():
    tensors = {}
    for number, (rows, classes, ignore, smoothing) in enumerate([
        (7, 37, None, 0.0), (7, 37, 3, 0.0), (5, 16, 0, 0.1), (1, 2, None, 0.2), (40, 3, -100, 0.05),
    ]):
        logits = leaf(rows, classes).detach().mul(8).requires_grad_()
        targets = torch.randint(classes, (rows,))
        if ignore is not None:
            targets[::3] = ignore
        index = -1000 if ignore is None else ignore
        loss = F.cross_entropy(logits, targets, ignore_index=index, label_smoothing=smoothing)
        case = str(number)
        gradients(tensors, case, loss[None], logits=logits)
        store(tensors, case, targets=targets, ignore=torch.tensor([index]))
        store(tensors, case, smoothing=torch.tensor([smoothing]))
    save_file(tensors, "cross_entropy.safetensors")


if __name__ == "__main__":
    torch.manual_seed(1)
    recurrent("LSTM")
    recurrent("GRU")
    original_gru()
    attention()
    cross_entropy()
