"""Golden files for prediction and planning on the road: written out with PyTorch's own modules.

    python driving.py        (needs torch, numpy and safetensors; writes beside itself)

As `make.py`, whose format this follows, but nothing is permuted: arrays are as conjoin-nn has them.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from make import Case, leaf
from transformer import randomised, sinusoids

import numpy as np

ROWS, AGENTS, HEADS, SIZE = 2, 3, 2, 8
EXTENT = (-4.0, 8.0, -6.0, 6.0)


class Plain(Case):
    """A case whose arrays of rank 4 are no images."""

    def put(self, key, tensor):
        array = tensor.detach().contiguous().numpy()
        self.arrays[key] = np.ascontiguousarray(array.astype(np.float32))


def perceptron(input, hidden, output):
    layers = nn.Sequential(nn.Linear(input, hidden), nn.ReLU(), nn.Linear(hidden, output))
    return randomised(layers)


def named(params, name, module):
    """The parameters of a perceptron under the names of conjoin-nn."""
    for key, param in module.named_parameters():
        layer, what = key.split(".")
        params[f"{name}.linear{int(layer) // 2 + 1}.{what}"] = param


def agents():
    """The second of the first row is half there, the third not at all."""
    x = torch.randn(ROWS, AGENTS, 12, dtype=torch.float64)
    x[..., 0] = 0.9
    # Absent, but not 0 itself, where it is a matter of taste whether a clamp has a gradient.
    x[0, 1, 0], x[0, 2, 0] = 0.5, 5e-5
    x[..., 1:3] *= 3.0
    x[..., 7:9] *= 2.0
    return x.requires_grad_()


def visibility(x):
    present = x[..., 0].clamp(0, 1)
    scores = present.clamp(min=1e-4).log()
    return scores.masked_fill(present < 1e-4, -math.inf)


def per_head(mask, queries):
    """[B, K] to [B H, U, K], as PyTorch's attention takes it."""
    return mask[:, None, None].expand(-1, HEADS, queries, -1).flatten(0, 1)


def agent_features(x):
    scales = [1, 0.1, 0.1, 1, 1, 0.2, 0.2, 0.1, 0.1, 1, 1, 1]
    y = x * torch.tensor(scales, dtype=torch.float64)
    cos, sin, vx, vy = y[..., 3], y[..., 4], y[..., 7], y[..., 8]
    along, across = vx * cos + vy * sin, vy * cos - vx * sin
    return torch.cat((y, along[..., None], across[..., None]), -1)


def state_features(state):
    return state * torch.tensor([0.1, 0.3, 2.0, 2.0], dtype=torch.float64)


def sample(grid, places):
    """grid [B, X, Y, C] at places [B, N, 2]; PyTorch has y before x, from -1 to 1."""
    x0, x1, y0, y1 = EXTENT
    u = (places[..., 0] - x0) / (x1 - x0) * 2 - 1
    v = (places[..., 1] - y0) / (y1 - y0) * 2 - 1
    found = F.grid_sample(
        grid.permute(0, 3, 1, 2), torch.stack((v, u), -1)[:, None], align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def grid_sample():
    grid = leaf(ROWS, 4, 6, 3)
    places = (5 * torch.randn(ROWS, 7, 2, dtype=torch.float64)).requires_grad_()
    found = sample(grid, places)
    Plain("grid-sample").write({}, {"map": grid, "places": places}, {"found": found})


def layer(kind):
    return kind(SIZE, HEADS, 2 * SIZE, 0.0, "relu", batch_first=True, norm_first=True)


def prediction():
    modes, steps, channels = 3, 4, 2
    x, grid = agents(), leaf(ROWS, 4, 6, channels)
    state = leaf(ROWS, 4)
    embed = perceptron(14 + 3 * channels, SIZE, SIZE)
    ego = perceptron(4, SIZE, SIZE)
    one = layer(nn.TransformerEncoderLayer)
    stack = randomised(
        nn.TransformerEncoder(one, 2, nn.LayerNorm(SIZE), enable_nested_tensor=False)
    )
    head = perceptron(SIZE, SIZE, modes * (1 + 2 * steps))

    place, velocity = x[..., 1:3], x[..., 7:9]
    found = [sample(grid, place + velocity * (share * 0.1 * steps)) for share in (0.0, 0.5, 1.0)]
    tokens = embed(torch.cat((agent_features(x), *found), -1))
    tokens = torch.cat((tokens, ego(state_features(state))[:, None]), 1)
    mask = torch.cat((visibility(x), torch.zeros(ROWS, 1, dtype=torch.float64)), 1)
    states = stack(tokens, mask=per_head(mask, AGENTS + 1))
    said = head(states[:, :AGENTS]).unflatten(-1, (modes, 1 + 2 * steps))

    times = 0.1 * torch.arange(1, steps + 1, dtype=torch.float64)
    scale = 0.5 + 2 * times
    logits, along, across = said.split((1, steps, steps), -1)
    length = (x[..., 3] ** 2 + x[..., 4] ** 2 + 1e-6).sqrt()
    cos = (x[..., 3] / length + 1e-6 / length**2)[..., None, None]
    sin = (x[..., 4] / length)[..., None, None]
    along, across = along * scale, across * scale
    on = place[..., None, None, :] + velocity[..., None, None, :] * times[:, None]
    turned = torch.stack((along * cos - across * sin, along * sin + across * cos), -1)
    ways = on + turned
    modal = torch.cat((logits, ways.flatten(-2)), -1)

    chosen = logits.argmax(2)[..., None, None].expand(-1, -1, 1, steps, 2)
    way = ways.gather(2, chosen).squeeze(2)
    before = torch.cat((place[:, :, None], way[:, :, :-1]), 2)
    behind = torch.cat((way[:, :, 1:], way[:, :, -1:]), 2)
    moved = behind - before + 0.05 * torch.cat((cos, sin), -1)
    heading = torch.atan2(moved[..., 1], moved[..., 0])
    present = x[..., 0].clamp(0, 1)[..., None].expand(-1, -1, steps)
    likely = torch.stack((present, way[..., 0], way[..., 1], heading), -1)

    params = {f"encoder.{key}": param for key, param in stack.named_parameters()}
    for name, module in (("agent", embed), ("ego", ego), ("head", head)):
        named(params, name, module)
    inputs = {"agents": x, "map": grid, "state": state}
    Plain("agent-prediction").write(params, inputs, {"modal": modal, "likely": likely})


def travel(route, distances):
    """Written with a search for the piece, where conjoin-nn adds up all pieces."""
    points = torch.cat((torch.zeros_like(route[:, :1]), route), 1)
    pieces = points[:, 1:] - points[:, :-1]
    lengths = pieces.norm(dim=-1)
    begins = lengths.cumsum(1) - lengths

    def at(s):
        s = s.clamp(min=0)
        piece = (s[..., None] >= begins[:, None]).sum(-1) - 1
        row = torch.arange(len(route))[:, None]
        share = (s - begins[row, piece]) / lengths[row, piece]
        return points[row, piece] + share[..., None] * pieces[row, piece]

    way = at(distances + 1.0) - at(distances - 1.0)
    return at(distances), way / ((way**2).sum(-1, keepdim=True) + 1e-6).sqrt()


def planning():
    points, future, steps, times, channels, patch = 4, 3, 5, 2, 3, 2
    x = agents()
    state = torch.randn(ROWS, 4, dtype=torch.float64)
    # One drives, one stands and is told to go backward by some steps.
    state[:, 0] = torch.tensor([6.0, 0.01])
    state.requires_grad_()
    spacing = torch.tensor([1.0, 2.5, 4.0, 7.0], dtype=torch.float64)[:, None]
    ahead = torch.tensor([1.0, 0.3], dtype=torch.float64)
    noise = 0.3 * torch.randn(ROWS, points, 2, dtype=torch.float64)
    route = (spacing * ahead + noise).requires_grad_()
    futures = torch.randn(ROWS, AGENTS, future, 4, dtype=torch.float64)
    futures[..., 0] = (torch.rand(ROWS, AGENTS, future) < 0.7).double()
    futures.requires_grad_()
    occupancy, grid, light = leaf(ROWS, 4, 6, times), leaf(ROWS, 4, 6, channels), leaf(ROWS, 5)

    modules = {
        "ego": perceptron(5, SIZE, SIZE),
        "route": perceptron(4, SIZE, SIZE),
        "agent": perceptron(14 + 5 * future, SIZE, SIZE),
        "light": perceptron(5, SIZE, SIZE),
        "margin": perceptron(2 * SIZE, SIZE, 1),
    }
    narrow = randomised(nn.Linear(channels, 8))
    # Kernels lie channels last.
    kernel, bias, positions = leaf(SIZE, patch, patch, times + 8), leaf(SIZE), leaf(2 * 3, SIZE)
    one = layer(nn.TransformerDecoderLayer)
    stack = randomised(nn.TransformerDecoder(one, 2, nn.LayerNorm(SIZE)))
    heads = {
        "motion": randomised(nn.Linear(SIZE, 3)),
        "state_weights": randomised(nn.Linear(SIZE, 4)),
        "control_weights": randomised(nn.Linear(SIZE, 2)),
    }

    known = state_features(state)
    ego = modules["ego"](torch.cat((known, torch.zeros_like(known[:, :1])), -1))[:, None]
    known, px, py, heading = futures.split(1, -1)
    read = torch.cat((px / 20, py / 20, heading.cos(), heading.sin()), -1)
    read = torch.cat((known, read * known), -1).flatten(2)
    others = modules["agent"](torch.cat((agent_features(x), read), -1))
    cells = torch.cat((occupancy, narrow(grid).relu()), -1).permute(0, 3, 1, 2)
    patches = F.conv2d(cells, kernel.permute(0, 3, 1, 2), bias, stride=patch)
    scales = torch.tensor([1, 1, 1, 1, 0.05], dtype=torch.float64)
    memory = torch.cat(
        (
            ego,
            modules["route"](route.reshape(ROWS, points // 2, 4) / 20),
            patches.flatten(2).transpose(1, 2) + positions,
            modules["light"](light * scales)[:, None],
            others,
        ),
        1,
    )
    seen = torch.zeros(ROWS, memory.shape[1] - AGENTS, dtype=torch.float64)
    mask = per_head(torch.cat((seen, visibility(x)), 1), steps)
    states = stack(sinusoids(ego.expand(-1, steps, -1)), memory, memory_mask=mask)

    def inverse(y):
        return math.log(math.expm1(y))

    motion = heads["motion"](states)
    wanted = state[:, :1] + 0.1 * motion[..., 0].cumsum(1)
    speed = F.leaky_relu(wanted, 0.1)
    before = torch.cat((state[:, :1], speed[:, :-1]), 1)
    places, ways = travel(route, (0.05 * (before + speed)).cumsum(1))
    left = motion[..., 1]
    goals = torch.stack(
        (
            places[..., 0] - left * ways[..., 1],
            places[..., 1] + left * ways[..., 0],
            torch.atan2(ways[..., 1], ways[..., 0] + 1e-4) + 0.2 * motion[..., 2],
            speed,
        ),
        -1,
    )
    first = torch.tensor([inverse(1.0)] * 3 + [inverse(0.5)], dtype=torch.float64)
    second = torch.tensor([inverse(0.1), inverse(1.0)], dtype=torch.float64)
    intent = states.mean(1, keepdim=True).expand(-1, AGENTS, -1)
    margin = modules["margin"](torch.cat((others, intent), -1)).squeeze(-1)
    outputs = {
        "goals": goals,
        "state_weights": heads["state_weights"](states) + first,
        "control_weights": heads["control_weights"](states) + second,
        "margins": F.softplus(margin + inverse(0.5)),
    }
    params = {f"decoder.{key}": param for key, param in stack.named_parameters()}
    for name, module in modules.items():
        named(params, name, module)
    for name, module in {**heads, "grid.narrow": narrow}.items():
        params.update({f"{name}.{key}": param for key, param in module.named_parameters()})
    params["grid.patches.weight"], params["grid.patches.bias"] = kernel, bias
    params["grid.positions"] = positions
    inputs = {
        "state": state,
        "route": route,
        "agents": x,
        "futures": futures,
        "occupancy": occupancy,
        "map": grid,
        "light": light,
    }
    Plain("planning-transformer").write(params, inputs, outputs)


if __name__ == "__main__":
    torch.manual_seed(1)
    grid_sample()
    prediction()
    planning()
