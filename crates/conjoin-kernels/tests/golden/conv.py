"""Makes the golden files of the convolutions with all their options: `python conv.py`, with torch and
safetensors installed. Everything is stored channels last: x [B, H, W, C] or [B, T, C], weights
[O, kh, kw, C / groups] or [O, k, C / groups], those of transposed convolutions [C, kh, kw, O / groups]
or [C, k, O / groups]. `vision.py` has the plain settings."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
torch.manual_seed(11)


def leaf(*size, scale=1.0):
    return (torch.randn(*size) * scale).requires_grad_()


def record(store, case, operation, x, w, bias, *settings):
    """Stores inputs, output, a random gradient of the output and the gradients of the inputs."""
    inputs = {"x": x, "w": w} | ({} if bias is None else {"bias": bias})
    y = operation(x.movedim(-1, 1), w.movedim(-1, 1), bias, *settings).movedim(1, -1)
    dy = torch.randn_like(y)
    grads = torch.autograd.grad(y, list(inputs.values()), dy)
    flat = [value for setting in settings for value in (setting if isinstance(setting, tuple) else (setting,))]
    tensors = {**inputs, "y": y, "dy": dy, "options": torch.tensor(flat).float()}
    tensors |= {f"d{name}": grad for name, grad in zip(inputs, grads)}
    for name, tensor in tensors.items():
        store[f"{case}.{name}"] = tensor.detach().contiguous().clone()


def convolutions(operation, cases, transposed=False):
    """A case: batch and sizes, channels, filters, kernel, bias, then the settings, groups after them
    (before the dilation where the operation is transposed)."""
    store = {}
    for i, (size, channels, filters, kernel, bias, *settings) in enumerate(cases):
        groups = settings[3]
        x = leaf(size[0], *size[1:], channels)
        outer, inner = (channels, filters) if transposed else (filters, channels)
        w = leaf(outer, *kernel, inner // groups, scale=(inner // groups * len(kernel) * 3) ** -0.5)
        record(store, f"{i:02}", operation, x, w, leaf(filters) if bias else None, *settings)
    return store


def save(name, store):
    path = HERE / f"{name}.safetensors"
    save_file(store, path)
    assert path.stat().st_size < 100_000, path


# Size, channels, filters, kernel, bias; stride, padding, dilation, groups.
save("conv2d_options", convolutions(F.conv2d, [
    ((2, 7, 6), 3, 5, (3, 2), True, (2, 1), (1, 0), (1, 2), 1),
    ((1, 9, 11), 4, 6, (3, 3), False, (1, 1), (2, 2), (2, 2), 2),
    ((2, 8, 7), 6, 9, (3, 3), True, (2, 3), (3, 1), (3, 2), 3),
    ((2, 6, 9), 5, 5, (3, 3), True, (1, 1), (1, 1), (1, 1), 5),
    ((1, 9, 9), 3, 6, (5, 5), True, (2, 2), (2, 2), (1, 1), 3),
    ((2, 7, 13), 9, 9, (3, 1), False, (2, 1), (1, 0), (2, 1), 9),
    ((1, 5, 9), 10, 10, (3, 7), True, (1, 2), (1, 3), (1, 1), 10),
    ((1, 1, 1), 7, 3, (1, 1), True, (1, 1), (0, 0), (1, 1), 1),
    ((3, 5, 5), 2, 4, (2, 2), False, (4, 4), (0, 0), (1, 1), 2),
    ((1, 7, 7), 2, 3, (7, 7), True, (1, 1), (0, 0), (1, 1), 1),
    ((1, 6, 5), 16, 16, (3, 3), True, (1, 1), (0, 2), (1, 1), 1),
]))
save("conv1d", convolutions(F.conv1d, [
    ((2, 9), 3, 5, (3,), True, 1, 1, 1, 1),
    ((1, 17), 4, 6, (5,), False, 2, 2, 1, 2),
    ((3, 11), 6, 6, (3,), True, 1, 4, 4, 6),
    ((2, 13), 2, 17, (4,), True, 3, 0, 2, 1),
    ((2, 1), 5, 3, (1,), False, 1, 0, 1, 1),
    ((1, 29), 1, 2, (11,), True, 5, 5, 1, 1),
    ((2, 10), 17, 9, (3,), True, 1, 1, 1, 1),
]))
# Size, channels, filters, kernel, bias; stride, padding, output padding, groups, dilation.
save("conv_transpose2d", convolutions(F.conv_transpose2d, [
    ((2, 4, 5), 3, 5, (3, 3), True, (2, 2), (1, 1), (1, 1), 1, (1, 1)),
    ((1, 3, 4), 4, 6, (2, 2), False, (2, 2), (0, 0), (0, 0), 2, (1, 1)),
    ((2, 5, 3), 6, 9, (3, 2), True, (3, 2), (1, 0), (2, 0), 3, (2, 1)),
    ((2, 4, 4), 5, 5, (4, 4), True, (2, 2), (1, 1), (0, 0), 5, (1, 1)),
    ((1, 5, 4), 3, 2, (2, 2), True, (3, 4), (0, 0), (0, 1), 1, (1, 1)),
    ((1, 4, 5), 16, 16, (3, 3), True, (1, 1), (1, 1), (0, 0), 1, (1, 1)),
    ((1, 4, 3), 2, 4, (3, 3), False, (1, 2), (2, 2), (1, 0), 2, (2, 2)),
    ((1, 1, 1), 3, 1, (1, 1), True, (1, 1), (0, 0), (0, 0), 1, (1, 1)),
    ((2, 3, 3), 3, 9, (3, 3), True, (2, 2), (1, 1), (0, 1), 3, (1, 1)),
    ((1, 2, 1), 8, 4, (4, 1), True, (3, 1), (0, 0), (1, 1), 2, (2, 3)),
], transposed=True))
save("conv_transpose1d", convolutions(F.conv_transpose1d, [
    ((2, 7), 3, 5, (4,), True, 2, 1, 0, 1, 1),
    ((1, 5), 4, 6, (3,), False, 3, 0, 2, 2, 1),
    ((2, 6), 6, 6, (3,), True, 2, 2, 1, 6, 3),
    ((1, 1), 2, 3, (5,), True, 4, 0, 3, 1, 1),
], transposed=True))
