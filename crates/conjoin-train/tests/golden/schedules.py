"""Learning-rate factors of torch.optim.lr_scheduler and of transformers, for tests/training/schedules.rs.

Run with PyTorch and transformers installed: python schedules.py > schedules.json
"""

import json
import warnings

import torch
from torch.optim import lr_scheduler as s
from transformers import get_inverse_sqrt_schedule

warnings.filterwarnings("ignore")


def factors(kind, warmup, total, end=0.0, every=None, gamma=0.1):
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    main = {
        "constant": lambda: s.ConstantLR(optimiser, factor=1.0, total_iters=0),
        "cosine": lambda: s.CosineAnnealingLR(optimiser, T_max=total - warmup, eta_min=end),
        "linear": lambda: s.LinearLR(optimiser, 1.0, end, total_iters=total - warmup),
        "step": lambda: s.StepLR(optimiser, every, gamma),
    }[kind]
    if warmup > 1:
        rise = s.LinearLR(optimiser, 1.0 / warmup, 1.0, total_iters=warmup - 1)
        schedule = s.SequentialLR(optimiser, [rise, main()], milestones=[warmup])
    else:
        schedule = main()
    values = []
    for _ in range(total):
        values.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return values


def rate(step, model_size, factor, warmup):
    """Vaswani et al. 2017, equation 3, as The Annotated Transformer has it."""
    return factor * (model_size ** (-0.5) * min(step ** (-0.5), step * warmup ** (-1.5)))


def counted_from_one(warmup, total, size=None):
    """Curves whose first step is number 1: the value at 0, which nothing is trained with, is left out."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    if size is None:
        schedule = get_inverse_sqrt_schedule(optimiser, warmup)
    else:
        schedule = s.LambdaLR(optimiser, lambda step: rate(max(step, 1), size, 1.0, warmup))
    values = []
    for _ in range(total):
        optimiser.step()
        schedule.step()
        values.append(optimiser.param_groups[0]["lr"])
    return values


falling = [
    {"kind": "inverse-sqrt", "warmup": 8, "total": 40},
    {"kind": "inverse-sqrt", "warmup": 1, "total": 12},
    {"kind": "noam", "warmup": 8, "total": 40, "size": 512},
]
cases = [
    {"kind": "constant", "warmup": 5, "total": 12},
    {"kind": "cosine", "warmup": 0, "total": 20},
    {"kind": "cosine", "warmup": 7, "total": 40, "end": 0.1},
    {"kind": "linear", "warmup": 0, "total": 15, "end": 0.01},
    {"kind": "linear", "warmup": 4, "total": 30},
    {"kind": "step", "warmup": 0, "total": 25, "every": 10, "gamma": 0.5},
    {"kind": "step", "warmup": 3, "total": 25, "every": 6, "gamma": 0.1},
]
golden = [{**case, "factors": factors(**case)} for case in cases]
for case in falling:
    options = {key: value for key, value in case.items() if key != "kind"}
    golden.append({**case, "factors": counted_from_one(**options)})
print(json.dumps(golden))
