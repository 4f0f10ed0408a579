"""Losses of PyTorch with their gradients, for tests/losses.rs.

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

print(json.dumps(cases))
