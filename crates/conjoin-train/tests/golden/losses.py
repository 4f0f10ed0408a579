"""Losses of PyTorch with their gradients, for tests/training/losses.rs.

Run with PyTorch installed: python losses.py > losses.json
"""

import json

import torch
import torch.nn.functional as F

torch.manual_seed(3)
cases = []


def mask_of(lengths, time):
    return torch.arange(time)[None, :] < torch.tensor(lengths)[:, None]


def add(name, loss, prediction, target, value, count, lengths=None):
    value.backward()
    case = {
        "name": name,
        "loss": loss,
        "prediction": prediction.detach().flatten().tolist(),
        "prediction_shape": list(prediction.shape),
        "target": target.flatten().tolist(),
        "target_shape": list(target.shape),
        "value": value.item(),
        "count": count,
        "gradient": prediction.grad.flatten().tolist(),
    }
    if lengths is not None:
        case["lengths"] = lengths
    cases.append(case)


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


for smoothing in (0.0, 0.1):
    p, t = leaf(4, 5), torch.tensor([1, 0, 4, 2])
    add(f"labels, smoothing {smoothing}", {"kind": "cross-entropy", "smoothing": smoothing}, p, t,
        F.cross_entropy(p, t, label_smoothing=smoothing), 4)
    p, t, lengths = leaf(3, 4, 6), torch.randint(0, 6, (3, 4)), [4, 2, 1]
    kept = t.masked_fill(~mask_of(lengths, 4), -100)
    add(f"sequences, smoothing {smoothing}", {"kind": "cross-entropy", "smoothing": smoothing}, p, t,
        F.cross_entropy(p.flatten(0, 1), kept.flatten(), label_smoothing=smoothing), 7, lengths)
p, t = leaf(2, 3, 5), torch.tensor([[1, -100, 2], [-100, -100, 0]])
add("ignored targets", {"kind": "cross-entropy", "smoothing": 0.0}, p, t,
    F.cross_entropy(p.flatten(0, 1), t.flatten()), 3)

for kind, function in (
    ({"kind": "mse"}, F.mse_loss),
    ({"kind": "l1"}, F.l1_loss),
    ({"kind": "huber", "delta": 0.7}, lambda p, t: F.huber_loss(p, t, delta=0.7)),
):
    p, t = leaf(3, 4), torch.randn(3, 4)
    add(f"{kind['kind']}", kind, p, t, function(p, t), 12)
    p, t, lengths = leaf(2, 3, 2), torch.randn(2, 3, 2), [3, 1]
    mask = mask_of(lengths, 3)
    add(f"{kind['kind']}, ragged", kind, p, t, function(p[mask], t[mask]), 8, lengths)

for weight in (1.0, 2.5):
    kind = {"kind": "binary-cross-entropy", "positive_weight": weight}
    pos_weight = torch.tensor(weight)
    p, t = leaf(2, 3, 4), torch.rand(2, 3, 4)
    add(f"binary cross-entropy, {weight}", kind, p, t,
        F.binary_cross_entropy_with_logits(p, t, pos_weight=pos_weight), 24)
    p, t, lengths = leaf(3, 4, 2), torch.rand(3, 4, 2).round(), [4, 0, 3]
    mask = mask_of(lengths, 4)
    add(f"binary cross-entropy, ragged, {weight}", kind, p, t,
        F.binary_cross_entropy_with_logits(p[mask], t[mask], pos_weight=pos_weight), 14, lengths)
p, t = leaf(2, 3, 1), torch.rand(2, 3, 4)
add("binary cross-entropy of the first", {"kind": "binary-cross-entropy", "first": 1}, p, t,
    F.binary_cross_entropy_with_logits(p, t[..., :1]), 6)


def focal(pred, gt, alpha, beta):
    """`_neg_loss` of github.com/xingyizhou/CenterNet, losses.py, with its 2 and 4 as alpha and beta."""
    pos_inds = gt.eq(1).float()
    neg_inds = gt.lt(1).float()
    neg_weights = torch.pow(1 - gt, beta)
    pos_loss = torch.log(pred) * torch.pow(1 - pred, alpha) * pos_inds
    neg_loss = torch.log(1 - pred) * torch.pow(pred, alpha) * neg_weights * neg_inds
    num_pos, pos_loss, neg_loss = pos_inds.sum(), pos_loss.sum(), neg_loss.sum()
    return -neg_loss if num_pos == 0 else -(pos_loss + neg_loss) / num_pos


for alpha, beta in ((2.0, 4.0), (1.5, 3.0)):
    kind = {"kind": "focal", "alpha": alpha, "beta": beta}
    p, t = leaf(3, 4, 2), torch.rand(3, 4, 2)
    t[0, 1, 0] = t[2, 3, 1] = t[2, 0, 0] = 1
    add(f"focal, {alpha}", kind, p, t, focal(p.sigmoid(), t, alpha, beta), 3)
    p, t = leaf(2, 5), torch.rand(2, 5) * 0.9
    add(f"focal without centres, {alpha}", kind, p, t, focal(p.sigmoid(), t, alpha, beta), 1)
    p, t, lengths = leaf(2, 3, 2), torch.rand(2, 3, 2), [1, 3]
    t[0, 0, 0] = t[0, 2, 0] = t[1, 2, 1] = 1
    mask = mask_of(lengths, 3)
    add(f"focal, ragged, {alpha}", kind, p, t, focal(p[mask].sigmoid(), t[mask], alpha, beta), 2,
        lengths)


def masked_l1(p, t):
    weight = t[..., :1].expand_as(p)
    return (weight * (p - t[..., 1:]).abs()).sum() / weight.sum()


p, t = leaf(4, 3), torch.randn(4, 4)
t[:, 0] = torch.tensor([1.0, 0.0, 0.5, 0.0])
add("masked l1", {"kind": "masked-l1"}, p, t, masked_l1(p, t), 4.5)
p, t, lengths = leaf(2, 3, 2), torch.randn(2, 3, 3), [3, 1]
t[..., 0] = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
mask = mask_of(lengths, 3)
add("masked l1, ragged", {"kind": "masked-l1"}, p, t, masked_l1(p[mask], t[mask]), 6, lengths)

def multi_modal(p, t, delta, weight, nearest):
    """Huber's loss of the nearest way and the cross-entropy of its logit, over agents with known steps."""
    modes, steps = p.shape[2], t.shape[2]
    known = t[..., 0] > 0.5
    counted = known.any(-1)
    ways, truth = p[..., 1:].unflatten(-1, (steps, 2))[counted], t[..., 1:3][counted]
    known, logits = known[counted], p[..., 0][counted]
    distances = (ways - truth[:, None]).norm(dim=-1)
    if nearest == "mean":
        distances = (distances * known[:, None]).sum(-1) / known.sum(-1)[:, None]
    else:
        last = steps - 1 - known.flip(-1).int().argmax(-1)
        distances = distances.gather(2, last[:, None, None].expand(-1, modes, 1)).squeeze(-1)
    winner = distances.argmin(-1)
    way = ways[torch.arange(len(winner)), winner]
    losses = F.huber_loss(way, truth, delta=delta, reduction="none").sum(-1)
    distance = (losses * known).sum(-1) / known.sum(-1)
    return distance.mean() + weight * F.cross_entropy(logits, winner), int(counted.sum())


for nearest, delta, weight in (("mean", 1.0, 1.0), ("final", 0.6, 0.3)):
    p, t = leaf(2, 4, 3, 11), torch.randn(2, 4, 5, 4)
    t[..., 0] = (torch.rand(2, 4, 5) < 0.6).float()
    t[0, 2, :, 0] = 0.0
    value, count = multi_modal(p, t, delta, weight, nearest)
    kind = {"kind": "multi-modal", "delta": delta, "mode_weight": weight, "nearest": nearest}
    add(f"multi-modal, {nearest}", kind, p, t, value, count)

for beta, heading, speed in ((0.5, 2.0, 0.5), (1.2, 0.7, 1.5)):
    p, t = (3 * torch.randn(2, 5, 4)).requires_grad_(), 3 * torch.randn(2, 5, 4)
    difference = p - t
    turn = torch.atan2(difference[..., 2].sin(), difference[..., 2].cos())
    metres = torch.stack(
        (difference[..., 0], difference[..., 1], heading * turn, speed * difference[..., 3]), -1
    )
    total = F.smooth_l1_loss(metres, torch.zeros_like(metres), beta=beta, reduction="none").sum(-1)
    kind = {"kind": "plan", "beta": beta, "heading": heading, "speed": speed}
    add(f"plan, beta {beta}", kind, p, t, total.mean(), 10)

print(json.dumps(cases))
