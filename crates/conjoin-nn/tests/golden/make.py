"""Golden files for conjoin-nn: modules of PyTorch, forward and gradient.

    python make.py        (needs torch, numpy and safetensors; writes beside itself)

Each file holds a module's parameters under the names that conjoin-nn gives them (`param.`), inputs
(`in.`), outputs (`out.`), the weights of the scalar loss `sum(out * weight)` (`loss.`), and the
gradients of that loss by inputs (`grad.in.`) and parameters (`grad.param.`). Images and kernels are
stored channels last.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = Path(__file__).parent


def channels_last(tensor):
    """[B, C, H, W] -> [B, H, W, C], and [O, C, h, w] -> [O, h, w, C]."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


class Case:
    def __init__(self, name):
        self.name, self.arrays = name, {}

    def put(self, key, tensor):
        array = channels_last(tensor.detach()).contiguous().numpy()
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.arrays[key] = np.ascontiguousarray(array)

    def write(self, params, inputs, outputs, integers=()):
        """Stores everything, and the gradients of a loss with random weights."""
        loss = 0.0
        for key, value in outputs.items():
            weight = torch.randn_like(value)
            loss = loss + (value * weight).sum()
            self.put(f"out.{key}", value)
            self.put(f"loss.{key}", weight)
        loss.backward()
        for kind, group in (("in", inputs), ("param", params)):
            for key, value in group.items():
                self.put(f"{kind}.{key}", value)
                self.put(f"grad.{kind}.{key}", value.grad)
        for key, value in integers:
            self.put(f"in.{key}", value)
        save_file(self.arrays, HERE / f"{self.name}.safetensors")


def leaf(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def embedding():
    table = nn.Embedding(7, 5, padding_idx=2).double()
    tokens = torch.tensor([[0, 1, 6, 2], [3, 1, 2, 2], [5, 5, 5, 4]])
    case = Case("embedding")
    case.write({"weight": table.weight}, {}, {"y": table(tokens)}, [("tokens", tokens)])


def linear():
    functions = {
        "none": lambda x: x,
        "tanh": torch.tanh,
        "relu": F.relu,
        "gelu": F.gelu,
        "sigmoid": torch.sigmoid,
    }
    layer, x = nn.Linear(6, 4).double(), leaf(3, 2, 6)
    outputs = {name: function(layer(x)) for name, function in functions.items()}
    params = {"weight": layer.weight, "bias": layer.bias}
    Case("linear").write(params, {"x": x}, outputs)


def recurrent(name, kind, layers, bidirectional, with_initial, everywhere=False):
    rows, time, size, hidden = 4, 6, 5, 7
    module = kind(
        size, hidden, num_layers=layers, bidirectional=bidirectional, batch_first=True
    ).double()
    lengths = torch.tensor([6, 1, 4, 3])
    x = leaf(rows, time, size)
    inputs, directions = {"x": x}, 1 + bidirectional
    state = torch.zeros(layers * directions, rows, hidden, dtype=torch.float64)
    if with_initial:
        inputs["initial"] = leaf(rows, hidden)
        first, rest = inputs["initial"][None], state[1:]
        state = torch.cat([first, first.expand_as(rest) if everywhere else rest])
    if kind is nn.LSTM:
        state = (state, torch.zeros_like(state))
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    states, last = module(packed, state)
    states, _ = pad_packed_sequence(states, batch_first=True, total_length=time)
    last = last[0] if kind is nn.LSTM else last
    last = torch.cat(list(last[-directions:]), dim=1)
    params = {}
    for layer in range(layers):
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))[:directions]:
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                value = getattr(module, f"{part}_l{layer}{suffix}")
                params[f"layers.{layer}.{direction}.{part}"] = value
    outputs = {"states": states, "last": last}
    Case(name).write(params, inputs, outputs, [("lengths", lengths)])


def attention(score):
    rows, queries, time, size = 3, 4, 5, 6
    memory_size, common, merged = (4, 7, 5) if score in ("general", "additive") else (6, 6, 5)
    lengths = torch.tensor([5, 1, 3])
    q, m = leaf(rows, queries, size), leaf(rows, time, memory_size)
    params = {"merge.weight": leaf(merged, memory_size + size)}
    if score == "additive":
        params["additive.query.weight"] = leaf(common, size)
        params["additive.query.bias"] = leaf(common)
        params["additive.memory.weight"] = leaf(common, memory_size)
        params["additive.vector"] = leaf(common)
        projected = q @ params["additive.query.weight"].T + params["additive.query.bias"]
        keys = m @ params["additive.memory.weight"].T
        scores = torch.tanh(projected[:, :, None] + keys[:, None]) @ params["additive.vector"]
    elif score == "general":
        params["query.weight"] = leaf(memory_size, size)
        scores = (q @ params["query.weight"].T) @ m.transpose(1, 2)
    else:
        scores = q @ m.transpose(1, 2)
        if score == "scaled-dot":
            scores = scores / size**0.5
    valid = torch.arange(time)[None, None] < lengths[:, None, None]
    weights = scores.masked_fill(~valid, -torch.inf).softmax(-1)
    attended = torch.tanh(torch.cat([weights @ m, q], -1) @ params["merge.weight"].T)
    outputs = {"attended": attended, "weights": weights}
    inputs = {"queries": q, "memory": m}
    Case(f"attention-{score}").write(params, inputs, outputs, [("lengths", lengths)])


class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.uniform_(self.norm.bias, -0.5, 0.5)

    def forward(self, x):
        return self.norm(self.conv(x))

    def params(self, prefix=""):
        return {
            f"{prefix}weight": self.conv.weight,
            f"{prefix}norm.weight": self.norm.weight,
            f"{prefix}norm.bias": self.norm.bias,
        }


def conv_norm():
    """Training mode with a residual; the statistics afterwards; evaluation mode with those."""
    block = ConvNorm(3, 4, 3, 2).double()
    x, residual = leaf(2, 3, 7, 5), leaf(2, 4, 4, 3)
    train = F.relu(block(x) + residual)
    case = Case("conv-norm")
    case.put("stat.norm.running_mean", block.norm.running_mean)
    case.put("stat.norm.running_var", block.norm.running_var)
    block.eval()
    case.put("eval.y", F.relu(block(x) + residual))
    case.write(block.params(), {"x": x, "residual": residual}, {"y": train})


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, pool, residual):
        super().__init__()
        self.pool, self.residual = pool, residual
        self.first = ConvNorm(inputs, outputs, 3, stride)
        if residual:
            self.second = ConvNorm(outputs, outputs, 3, 1)
            if stride > 1 or inputs != outputs:
                self.projection = ConvNorm(inputs, outputs, 1, stride)

    def forward(self, x):
        x = F.max_pool2d(x, 2) if self.pool else x
        y = F.relu(self.first(x))
        if not self.residual:
            return y
        shortcut = self.projection(x) if hasattr(self, "projection") else x
        return F.relu(self.second(y) + shortcut)


def conv_encoder(name, residual, pool):
    reduced = {"stride": 1, "pool": True} if pool else {"stride": 2, "pool": False}
    same = {"stride": 1, "pool": False}
    blocks = nn.ModuleList(
        [
            Block(2, 4, residual=False, **same),
            Block(4, 4, residual=residual, **same),
            Block(4, 4, residual=residual, **same),
            Block(4, 6, residual=residual, **reduced),
            Block(6, 6, residual=residual, **same),
        ]
    ).double()
    image = leaf(3, 2, 9, 7)
    y = image
    for block in blocks:
        y = block(y)
    params = {}
    for i, block in enumerate(blocks):
        for part, conv in block.named_children():
            params |= conv.params(f"blocks.{i}.{part}.")
    Case(name).write(params, {"image": image}, {"map": y})


if __name__ == "__main__":
    torch.manual_seed(1)
    embedding()
    linear()
    recurrent("lstm", nn.LSTM, layers=2, bidirectional=True, with_initial=False)
    recurrent("lstm-initial", nn.LSTM, layers=2, bidirectional=False, with_initial=True)
    recurrent("gru", nn.GRU, layers=2, bidirectional=True, with_initial=False)
    recurrent("gru-initial", nn.GRU, layers=2, bidirectional=False, with_initial=True)
    for score in ("dot", "scaled-dot", "general", "additive"):
        attention(score)
    conv_norm()
    conv_encoder("encoder-residual", residual=True, pool=False)
    conv_encoder("encoder-plain", residual=False, pool=True)
    recurrent("rnn", nn.RNN, layers=2, bidirectional=True, with_initial=False)
    recurrent("rnn-initial", nn.RNN, layers=2, bidirectional=False, with_initial=True)
    recurrent(
        "gru-everywhere", nn.GRU, layers=2, bidirectional=False, with_initial=True, everywhere=True
    )
