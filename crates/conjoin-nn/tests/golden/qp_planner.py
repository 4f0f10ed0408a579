"""Golden file for the planner: `python qp_planner.py` with torch, qpth 0.0.18, numpy and safetensors; writes beside
itself.

The program is built here anew in PyTorch, in double precision: the model linear around the reference by
`torch.func.jacobian`, limits, walls, gaps between circles, soft rows as rows with a slack variable. qpth solves
it and gives the gradient by its own implicit differentiation; what the program is made from gets gradient
by autograd. Same keys as `make.py`: inputs `in.`, outputs `out.`, weights of the loss `loss.`, gradients `grad.in.`.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from qpth.qp import QPFunction
from safetensors.numpy import save_file

B, S, N, FUTURE, POINTS = 4, 10, 3, 12, 6
DT, ACCELERATION, JERK, CURVATURE, RATE, LATERAL = 0.2, (-3.5, 2.0), 8.0, 0.2, 0.4, 3.0
LENGTH, WIDTH, CENTRE, CIRCLES, WHEELBASE = 4.5, 1.9, 1.4, 3, 2.8
LINEAR, QUADRATIC, EPS, CORRIDOR, STANDOFF = 100.0, 10.0, 1e-3, 2.5, 4.0
# The road's map: cells, what they cover, and what the front corners keep of it.
X, Y, EXTENT, ROAD_MARGIN = 18, 12, (-4.0, 32.0, -9.0, 9.0), 0.3
torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
counts = dict.fromkeys(("between", "beside", "touch", "standoff", "edge", "less", "turning"), 0)


def single(x):
    return x.float().double()


def roll_out(start, controls):
    """The bicycle at the midpoint of each step."""
    x, y, yaw, speed = start
    states = []
    for acceleration, curvature in controls.reshape(S, 2):
        middle = speed + 0.5 * DT * acceleration
        heading = yaw + 0.5 * DT * speed * curvature
        x, y = x + DT * middle * torch.cos(heading), y + DT * middle * torch.sin(heading)
        yaw, speed = yaw + DT * middle * curvature, speed + DT * acceleration
        states.append(torch.stack([x, y, yaw, speed]))
    return torch.stack(states)


def cover(length, width):
    count = int(np.clip(np.ceil(length.item() / width.item() - 0.25), 1, CIRCLES))
    radius = torch.sqrt((length / (2 * count)) ** 2 + (0.5 * width) ** 2)
    offsets = [length * ((2 * c + 1) / (2 * count) - 0.5) for c in range(count)]
    return radius, offsets


def walls(states, route):
    """Outward normal and offset of the left and the right wall at each state; the route has no bends
    near its ends, which go on for ever."""
    found = []
    segments = [(a, b) for a, b in zip(route[:-1], route[1:]) if torch.norm(b - a) > 1e-6]
    for state in states:
        best = None
        for i, (a, b) in enumerate(segments):
            along = (b - a) / torch.norm(b - a)
            at = torch.dot(state[:2] - a, along)
            low = -np.inf if i == 0 else 0.0
            high = np.inf if i == len(segments) - 1 else torch.norm(b - a).item()
            foot = a + float(np.clip(at.item(), low, high)) * along
            distance = torch.norm(state[:2] - foot).item()
            if best is None or distance < best[0]:
                best = (distance, foot, along)
        _, foot, along = best
        for side in (1.0, -1.0):
            normal = side * torch.stack([-along[1], along[0]])
            found.append((normal, torch.dot(normal, foot) + CORRIDOR))
    return found


def in_the_way(agent, route):
    """Ahead, and nearer to the route than half the widths of both."""
    near = np.inf
    for a, b in zip(route[:-1], route[1:]):
        if torch.norm(b - a) > 1e-6:
            at = float(np.clip(((agent[1:3] - a) @ (b - a) / ((b - a) @ (b - a))).item(), 0.0, 1.0))
            near = min(near, torch.norm(agent[1:3] - a - at * (b - a)).item())
    return agent[1].item() > 0 and near < 0.5 * (WIDTH + agent[6].item())


def bilinear(road, place):
    """The map at a place between the middles of its cells."""
    x = (place[0] - EXTENT[0]) * X / (EXTENT[1] - EXTENT[0]) - 0.5
    y = (place[1] - EXTENT[2]) * Y / (EXTENT[3] - EXTENT[2]) - 0.5
    i, j = int(x.item()), int(y.item())
    u, v = x - i, y - j
    low = (1 - v) * road[i, j, 0] + v * road[i, j + 1, 0]
    return (1 - u) * low + u * ((1 - v) * road[i + 1, j, 0] + v * road[i + 1, j + 1, 0])


def corner(pose, side):
    """The front corner at a side, 1 or -1, of the vehicle at x, y, yaw."""
    sin, cos = torch.sin(pose[2]), torch.cos(pose[2])
    ahead, left = CENTRE + 0.5 * LENGTH, 0.5 * WIDTH * side
    return pose[:2] + torch.stack([ahead * cos - left * sin, ahead * sin + left * cos])


def kept(road, side):
    """What a corner keeps of the road: the margin, or what it has now and in turning round."""
    now, slope = torch.func.grad_and_value(lambda place: bilinear(road.detach(), place))(corner(torch.zeros(3), side))[::-1]
    sin = max(-slope[0].item() / torch.norm(slope).item(), 0.0)
    more = (1 - (1 - sin**2) ** 0.5) / CURVATURE
    counts["less"] += now.item() - more < ROAD_MARGIN
    counts["turning"] += more > 0.01
    return min(now.item() - more, ROAD_MARGIN)


def solve(goals, state_weights, control_weights, margins, futures, agents, road, state, route, reference):
    """The plan [S, 4] and its controls [S, 2] of one row."""
    start = torch.stack([torch.zeros(()), torch.zeros(()), torch.zeros(()), state[0]])
    turn = min(CURVATURE, LATERAL / max(state[0].item() ** 2, 1e-9))
    curvature = (torch.tan(state[2]) / WHEELBASE).clamp(-turn, turn)
    current = torch.stack([state[1].clamp(*ACCELERATION), curvature])
    flat = reference.reshape(-1)
    states = roll_out(start, flat)
    effects = torch.func.jacrev(lambda c: roll_out(start, c).reshape(-1))(flat).reshape(S, 4, 2 * S)
    origin = states - effects @ flat
    weights = F.softplus(state_weights) + EPS
    q = torch.einsum("skn,sk,skm->nm", effects, weights, effects)
    q = q + torch.diag(F.softplus(control_weights.reshape(-1)) + EPS)
    p = torch.einsum("skn,sk->n", effects, weights * (origin - goals))
    hard, soft = [], []
    meet = LATERAL / CURVATURE
    for k in range(S):
        for which, (low, high), rate in ((0, ACCELERATION, JERK), (1, (-CURVATURE, CURVATURE), RATE)):
            for sign, limit in ((-1.0, -low), (1.0, high)):
                row = torch.zeros(2 * S)
                row[2 * k + which] = sign
                hard.append((row.clone(), torch.tensor(limit)))
                if k > 0:
                    row[2 * k - 2 + which] = -sign
                before = current[which] if k == 0 else 0.0
                hard.append((row, torch.as_tensor(rate * DT + sign * before)))
                if which == 1:
                    # The tangent of lateral / speed^2 at the reference's speed, in the plan's speed.
                    row = torch.zeros(2 * S)
                    row[2 * k + 1] = sign
                    room = torch.as_tensor(LATERAL / max(state[0].item() ** 2, meet))
                    if k > 0:
                        at = max(states[k - 1, 3].item(), meet**0.5)
                        slope = 2 * LATERAL / at**3
                        row = row + slope * effects[k - 1, 3]
                        room = LATERAL / at**2 + slope * (at - origin[k - 1, 3])
                    hard.append((row, room))
        soft.append((-effects[k, 3], origin[k, 3]))
    for i, (normal, offset) in enumerate(walls(states, route)):
        k = i // 2
        soft.append((normal @ effects[k, :2], offset - normal @ origin[k, :2]))
    for side in (1.0, -1.0):
        margin = kept(road, side)
        for k in range(S):
            pose = states[k, :3].detach()
            place = corner(pose, side)
            slope = torch.func.grad(lambda place: bilinear(road, place))(place)
            moves = torch.func.jacrev(lambda pose: corner(pose, side))(pose) @ effects[k, :3]
            counts["edge"] += 1
            soft.append((-slope @ moves, bilinear(road, place) - slope @ (moves @ flat) - margin))
    own_radius, own_offsets = cover(torch.tensor(LENGTH), torch.tensor(WIDTH))
    own_offsets = [CENTRE + offset for offset in own_offsets]
    for n in range(N):
        if agents[n, 0] < 0.5:
            continue
        radius, offsets = cover(agents[n, 5], agents[n, 6])
        gap = radius + own_radius + margins[n]

        def own(k, e):
            yaw = states[k, 2]
            return states[k, :2] + own_offsets[e] * torch.stack([torch.cos(yaw), torch.sin(yaw)])

        def other(k, c):
            yaw = futures[n, k, 3]
            return futures[n, k, 1:3] + offsets[c] * torch.stack([torch.cos(yaw), torch.sin(yaw)])

        def distance(k, e, c):
            return torch.norm(own(k, e) - other(k, c))

        known = [k for k in range(S) if futures[n, k, 0] >= 0.5]
        pairs = {(k, e): min(range(len(offsets)), key=lambda c: distance(k, e, c).item())
                 for k in known for e in range(len(own_offsets))}
        sides = {}
        for e in range(len(own_offsets)):
            seen, ignored, beside = False, False, None
            for k in known:
                yaw, apart = states[k, 2], (own(k, e) - other(k, pairs[k, e])).detach()
                left = torch.stack([-torch.sin(yaw), torch.cos(yaw)])
                behind = (apart @ torch.stack([torch.cos(yaw), torch.sin(yaw)])).item()
                aside = (apart @ left).item()
                at_side = abs(aside) >= 0.5 * gap.item()
                if not seen:
                    seen, ignored = True, behind > 0 and (behind > gap.item() or not at_side)
                elif behind <= 0 and at_side:
                    ignored = False
                if ignored:
                    continue
                if behind <= 0:
                    beside = None
                elif beside is None:
                    beside = left if aside >= 0 else -left
                sides[k, e] = beside
        closest = {k: min((distance(k, e, pairs[k, e]).item(), e) for e in range(len(own_offsets)) if (k, e) in sides)
                   for k in known if any((k, e) in sides for e in range(len(own_offsets)))}
        touch = next((k for k in known if k in closest and closest[k][0] < gap.item()), None)
        through = any(d < radius.item() for d, _ in closest.values())
        for (k, e), normal in sides.items():
            c, apart = pairs[k, e], None
            frozen = through and k >= touch
            if frozen:
                first = closest[touch][1]
                apart = own(touch, first) - other(touch, pairs[touch, first])
            elif normal is None:
                apart = own(k, e) - other(k, c)
            if apart is not None:
                normal = apart / torch.norm(apart)
            if (k, e) != (touch, first) if frozen else sides[k, e] is not None:
                heading = torch.stack([torch.cos(futures[n, k, 3]), torch.sin(futures[n, k, 3])])
                c = len(offsets) - 1 if (normal @ heading).item() > 0 else 0
            counts["touch" if frozen else "between" if sides[k, e] is None else "beside"] += 1
            yaw = states[k, 2]
            arm = own_offsets[e] * torch.stack([-torch.sin(yaw), torch.cos(yaw)])
            effect = effects[k, :2] + arm[:, None] * effects[k, 2]
            at_zero = own(k, e) - effect @ flat
            more = 0.0
            if torch.norm(agents[n, 7:9]).item() < 0.5 and in_the_way(agents[n], route):
                ahead = -normal @ torch.stack([torch.cos(yaw), torch.sin(yaw)])
                counts["standoff"] += 1
                more = STANDOFF * torch.clamp(ahead, min=0.0) ** 8
            soft.append((-normal @ effect, normal @ (at_zero - other(k, c)) - gap - more))
    n, m = 2 * S, len(soft)
    big_q = torch.block_diag(q, QUADRATIC * torch.eye(m))
    big_p = torch.cat([p, LINEAR * torch.ones(m)])
    g = torch.cat([
        torch.cat([torch.stack([row for row, _ in hard]), torch.zeros(len(hard), m)], 1),
        torch.cat([torch.stack([row for row, _ in soft]), -torch.eye(m)], 1),
        torch.cat([torch.zeros(m, n), -torch.eye(m)], 1),
    ])
    h = torch.cat([torch.stack([right for _, right in hard]), torch.stack([right for _, right in soft]), torch.zeros(m)])
    none = torch.empty(0)
    z = QPFunction(eps=1e-15, maxIter=100, notImprovedLim=20, verbose=0)(
        big_q[None], big_p[None], g[None], h[None], none, none)[0, :n]
    return origin + effects @ z, z.reshape(S, 2)


def scene(row):
    """A road that bends a little; cars beside it and in the way, one that is not there, and futures that end."""
    speed = single(5.0 + 2.0 * torch.rand(()))
    steer = single(0.05 * torch.randn(()))
    state = torch.stack([speed, single(0.3 * torch.randn(())), steer, torch.zeros(())])
    reference = single(torch.stack([0.2 * torch.randn(S), 0.01 * torch.randn(S)], 1))
    along = torch.arange(1, S + 1) * DT * speed
    goals = torch.stack([along, 0.3 * torch.randn(S), 0.05 * torch.randn(S), speed + torch.randn(S)], 1)
    route = torch.stack([torch.linspace(-5, 30, POINTS), torch.linspace(-1, 2, POINTS) ** 2 / 4], 1)
    agents, futures = torch.zeros(N, 12), torch.zeros(N, FUTURE, 4)
    sizes = [(4.4, 1.8), (0.6, 0.5), (7.0, 2.3)]
    places = [(11.0 + row, 0.4), (6.0 + row, 2.8), (9.0, -3.4)]
    for i in range(N):
        agents[i, 0] = 1.0 if (row, i) != (1, 0) else 0.3
        agents[i, 5:7] = torch.tensor(sizes[i])
        # The second moves, the others stand; the last one beside the route.
        agents[i, 1:3] = torch.tensor(places[i])
        agents[i, 7] = 1.0 if i == 1 else 0.0
        drift = torch.arange(FUTURE) * 0.1
        futures[i, :, 0] = 1.0
        futures[i, :, 1] = places[i][0] + drift + 0.05 * torch.randn(FUTURE)
        futures[i, :, 2] = places[i][1] + 0.05 * torch.randn(FUTURE)
        futures[i, :, 3] = 0.2 * torch.randn(()) + 0.02 * torch.randn(FUTURE)
    futures[1, 6:, 0] = 0.0
    # A road that the goals nearly fill, and that runs askew.
    x = EXTENT[0] + (torch.arange(X)[:, None] + 0.5) * (EXTENT[1] - EXTENT[0]) / X
    y = EXTENT[2] + (torch.arange(Y)[None, :] + 0.5) * (EXTENT[3] - EXTENT[2]) / Y
    middle = (0.05 - 0.05 * row) * x
    road = 2.0 - 0.3 * row - torch.abs(y - middle) + 0.1 * torch.randn(X, Y)
    return {
        "goals": goals, "state_weights": torch.randn(S, 4), "control_weights": torch.randn(S, 2),
        "margins": 0.3 + 0.4 * torch.rand(N), "futures": futures, "agents": agents,
        "road": road[:, :, None], "state": state, "route": route, "reference": reference,
    }


rows = [scene(row) for row in range(B)]
inputs = {key: single(torch.stack([row[key] for row in rows])) for key in rows[0]}
learned = ("goals", "state_weights", "control_weights", "margins", "futures", "agents", "road")
for key in learned:
    inputs[key].requires_grad_()
found = [solve(**{key: value[row] for key, value in inputs.items()}) for row in range(B)]
outputs = {"plan": torch.stack([plan for plan, _ in found]), "controls": torch.stack([u for _, u in found])}
arrays, loss = {}, 0.0
for key, value in outputs.items():
    weight = single(torch.randn_like(value))
    loss = loss + (value * weight).sum()
    arrays |= {f"out.{key}": value, f"loss.{key}": weight}
gradients = dict(zip(learned, torch.autograd.grad(loss, [inputs[key] for key in learned])))
# Only length and width of an agent are looked at for gradient.
arrays |= {f"in.{key}": value for key, value in inputs.items()}
arrays |= {f"grad.in.{key}": value for key, value in gradients.items()}
arrays = {key: np.ascontiguousarray(value.detach().numpy().astype(np.float32)) for key, value in arrays.items()}
save_file(arrays, Path(__file__).parent / "qp-planner.safetensors")
print(counts, {key: float(np.abs(value).max()) for key, value in arrays.items() if key.startswith("grad")})
