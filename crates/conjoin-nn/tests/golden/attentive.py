"""Golden files for the decoder that attends before each step: a plain loop over PyTorch's cells.

    python attentive.py   (needs torch, numpy and safetensors; writes beside itself)

As `make.py`, whose format this follows. Padded steps keep the state and give zeros; a row may have no
memory, and reads zeros then.
"""

import torch
from torch import nn

from make import Case, leaf

ROWS, STEPS, TIME, SIZE, HIDDEN = 4, 5, 6, 3, 7
LENGTHS, MEMORY_LENGTHS = torch.tensor([5, 1, 3, 4]), torch.tensor([4, 6, 1, 0])


def score_parameters(score, memory, common):
    if score == "additive":
        return {
            "attention.additive.query.weight": leaf(common, HIDDEN),
            "attention.additive.query.bias": leaf(common),
            "attention.additive.memory.weight": leaf(common, memory),
            "attention.additive.vector": leaf(common),
        }
    return {"attention.query.weight": leaf(memory, HIDDEN)} if score == "general" else {}


def scores(score, params, state, memory):
    """[B, T] for states [B, H]."""
    if score == "additive":
        query = state @ params["attention.additive.query.weight"].T
        query = query + params["attention.additive.query.bias"]
        keys = memory @ params["attention.additive.memory.weight"].T
        return torch.tanh(query[:, None] + keys) @ params["attention.additive.vector"]
    if score == "general":
        state = state @ params["attention.query.weight"].T
    found = (memory @ state[:, :, None]).squeeze(-1)
    return found / HIDDEN**0.5 if score == "scaled-dot" else found


def write(name, kind, score, layers, everywhere, merged, size):
    x, memory, initial = leaf(ROWS, STEPS, SIZE), leaf(ROWS, TIME, size), leaf(ROWS, HIDDEN)
    params = score_parameters(score, size, common=4)
    if merged:
        params["attention.merge.weight"] = leaf(merged, size + HIDDEN)
    cells = [kind(SIZE + size if i == 0 else HIDDEN, HIDDEN).double() for i in range(layers)]
    for index, cell in enumerate(cells):
        prefix = "first" if index == 0 else f"upper.layers.{index - 1}.forward"
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            params[f"{prefix}.{part}"] = getattr(cell, part)
    zeros = torch.zeros(ROWS, HIDDEN, dtype=torch.float64)
    hidden = [initial if index == 0 or everywhere else zeros for index in range(layers)]
    inner = [zeros] * layers
    valid = torch.arange(TIME)[None] < MEMORY_LENGTHS[:, None]
    states, attended, weights = [], [], []
    for step in range(STEPS):
        goes_on = (step < LENGTHS)[:, None]
        found = scores(score, params, hidden[0], memory).masked_fill(~valid, -1e300)
        weight = found.softmax(-1).masked_fill(~valid, 0.0)
        context = (weight[:, None] @ memory).squeeze(1)
        below = torch.cat([x[:, step], context], -1)
        for index, cell in enumerate(cells):
            if kind is nn.LSTMCell:
                new, carried = cell(below, (hidden[index], inner[index]))
                inner[index] = torch.where(goes_on, carried, inner[index])
            else:
                new = cell(below, hidden[index])
            below = new
            hidden[index] = torch.where(goes_on, new, hidden[index])
        clear = lambda value: value * goes_on
        out = clear(context)
        if merged:
            both = torch.cat([out, clear(below)], -1)
            out = torch.tanh(both @ params["attention.merge.weight"].T)
        states.append(clear(below))
        attended.append(out)
        weights.append(clear(weight))
    outputs = {"states": states, "attended": attended, "weights": weights}
    Case(f"attentive-{name}").write(
        params,
        {"x": x, "memory": memory, "initial": initial},
        {key: torch.stack(value, 1) for key, value in outputs.items()},
        [("lengths", LENGTHS), ("memory_lengths", MEMORY_LENGTHS)],
    )


if __name__ == "__main__":
    torch.manual_seed(11)
    write("lstm-additive", nn.LSTMCell, "additive", 2, everywhere=True, merged=5, size=6)
    write("gru-additive", nn.GRUCell, "additive", 1, everywhere=False, merged=None, size=6)
    write("lstm-general", nn.LSTMCell, "general", 1, everywhere=False, merged=5, size=6)
    write("gru-general", nn.GRUCell, "general", 2, everywhere=False, merged=5, size=6)
    write("lstm-scaled-dot", nn.LSTMCell, "scaled-dot", 1, everywhere=False, merged=None, size=7)
    write("gru-dot", nn.GRUCell, "dot", 2, everywhere=True, merged=None, size=7)
