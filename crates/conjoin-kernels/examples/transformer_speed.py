"""The work of transformer_speed.rs in PyTorch: python transformer_speed.py [RUNS] [THREADS]

Feature maps in both memory formats; transformer_speed.rs is to be compared with the faster."""

import sys
import time

import torch
import torch.nn.functional as F

runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)


def report(name, parameters, forward):
    dy = torch.ones_like(forward())
    times = []
    for _ in range(runs + 3):
        for parameter in parameters:
            parameter.grad = None
        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        y.backward(dy)
        end = time.perf_counter()
        times.append((end - start, middle - start, end - middle))
    total, first, second = (t * 1e3 for t in sorted(times[3:])[runs // 2])
    print(f"{name}: {total:.2f} ms ({first:.2f} forward, {second:.2f} backward)", flush=True)


def leaf(*size):
    return (torch.rand(*size) * 2 - 1).requires_grad_()


for batch, length, causal in [(32, 32, False), (32, 32, True), (8, 512, False), (8, 512, True)]:
    q, k, v = (leaf(batch, 4, length, 64) for _ in range(3))
    name = f"attention {batch}x4x{length}x64{', causal' if causal else ''}"
    for backend in (torch.nn.attention.SDPBackend.FLASH_ATTENTION, torch.nn.attention.SDPBackend.MATH):
        with torch.nn.attention.sdpa_kernel(backend):
            attend = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
            report(f"{name} {backend.name}", [q, k, v], attend)

x, weight, bias = leaf(1024, 256), leaf(256), leaf(256)
report("layer norm 1024x256", [x, weight, bias], lambda: F.layer_norm(x, [256], weight, bias))
residual = leaf(1024, 256)
report(
    "layer norm 1024x256 of a sum", [x, residual, weight, bias],
    lambda: F.layer_norm(x + residual, [256], weight, bias),
)
for layout in (torch.contiguous_format, torch.channels_last):
    x = leaf(16, 64, 64, 64).detach().contiguous(memory_format=layout).requires_grad_()
    weight, bias = leaf(64), leaf(64)
    report(f"group norm 8 of 16x64x64x64, {layout}", [x, weight, bias], lambda: F.group_norm(x, 8, weight, bias))
x = leaf(1024, 1024)
for name, function in (("gelu", F.gelu), ("silu", F.silu), ("relu", F.relu)):
    report(f"{name} 1024x1024", [x], lambda: function(x))
table, indices = leaf(8000, 256), (torch.arange(1024) * 7919 % 8000).reshape(32, 32)
report("embedding 1024 of 8000x256", [table], lambda: F.embedding(indices, table))
