"""Golden file of rotary positions, made with PyTorch's complex numbers, which turn when multiplied.

Run from this directory: python rotary.py, with torch and safetensors installed. A tensor's name is
CASE.NAME; "d_NAME" is the gradient of sum(output * probe) with respect to NAME.
"""

import torch
from safetensors.torch import save_file


def rotary(x, heads, first):
    rows, time, size = x.shape
    width = size // heads
    pairs = torch.view_as_complex(x.reshape(rows, time, heads, width // 2, 2))
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(first, first + time, dtype=torch.float64)[:, None, None] * rate
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).reshape(x.shape)


torch.manual_seed(1)
tensors = {}
cases = [(1, 1, 1, 2, 0), (2, 5, 3, 4, 0), (3, 7, 2, 34, 11), (1, 40, 4, 16, 1), (2, 1, 1, 8, 29)]
for number, (rows, time, heads, width, first) in enumerate(cases):
    x = torch.randn(rows, time, heads * width, dtype=torch.float64, requires_grad=True)
    output = rotary(x, heads, first)
    probe = torch.randn_like(output)
    (output * probe).sum().backward()
    case = {"x": x, "output": output, "probe": probe, "d_x": x.grad}
    tensors |= {f"{number}.{name}": value.detach().float() for name, value in case.items()}
    tensors[f"{number}.heads"] = torch.tensor([heads])
    tensors[f"{number}.first"] = torch.tensor([first])
save_file(tensors, "rotary.safetensors")
