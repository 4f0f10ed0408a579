"""Makes the golden files of the gradients: `python gradients.py`, with qpth 0.0.18, torch and safetensors
installed. Random strictly convex programs with equalities and inequalities in double precision: all that
they consist of, the solution, a random gradient towards it and qpth's gradients of everything."""

from pathlib import Path

import torch
from qpth.qp import QPFunction
from safetensors.torch import save_file

torch.manual_seed(5)
store = {}
for case, (n, e, m) in enumerate([(3, 0, 4), (6, 2, 9), (12, 3, 30), (40, 0, 100), (20, 5, 60)]):
    f = torch.randn(n, n, dtype=torch.float64)
    q = f @ f.T / n + 0.1 * torch.eye(n, dtype=torch.float64)
    p = 3 * torch.randn(n, dtype=torch.float64)
    a, g = torch.randn(e, n, dtype=torch.float64), torch.randn(m, n, dtype=torch.float64)
    inside = torch.randn(n, dtype=torch.float64)
    b, h = a @ inside, g @ inside + torch.rand(m, dtype=torch.float64)
    inputs = {"q": q, "p": p, "a": a, "b": b, "g": g, "h": h}
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    batched = [leaves[name][None] for name in ("q", "p", "g", "h")]
    equal = [leaves["a"][None], leaves["b"][None]] if e else [torch.empty(0, dtype=torch.float64)] * 2
    z = QPFunction(eps=1e-14, maxIter=60, verbose=0)(*batched, *equal)[0]
    dz = torch.randn(n, dtype=torch.float64)
    used = [name for name in inputs if e or name not in "ab"]
    grads = dict(zip(used, torch.autograd.grad(z, [leaves[name] for name in used], dz)))
    tensors = {**inputs, "z": z, "dz": dz, **{f"d{name}": grad for name, grad in grads.items()}}
    store |= {f"{case}.{name}": t.detach().contiguous().clone() for name, t in tensors.items()}
save_file(store, Path(__file__).parent / "gradients.safetensors")
