"""The work of conv_speed.rs in PyTorch: python conv_speed.py [RUNS] [THREADS]

Convolutions in both memory formats; conv_speed.rs is to be compared with the faster."""

import sys
import time

import torch
import torch.nn.functional as F

runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
BATCH = 128


def report(name, parameters, forward):
    dy = torch.randn_like(forward())
    times = []
    for _ in range(runs + 3):
        for parameter in parameters:
            parameter.grad = None
        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        (y * dy).sum().backward()
        end = time.perf_counter()
        times.append((end - start, middle - start, end - middle))
    total, first, second = (t * 1e3 for t in sorted(times[3:])[runs // 2])
    print(f"{name}: {total:.1f} ms ({first:.1f} forward, {second:.1f} backward)")


def leaf(*size):
    return torch.randn(*size)


LAYOUTS = (torch.contiguous_format, torch.channels_last)

for layout in LAYOUTS:
    x = leaf(BATCH, 32, 28, 28).contiguous(memory_format=layout).requires_grad_()
    layers = []
    for channels, filters in ((32, 32), (32, 64), (64, 64)):
        w = (leaf(filters, channels, 3, 3) * 0.05).contiguous(memory_format=layout)
        layers += [w.requires_grad_(), leaf(filters).requires_grad_()]

    def piece():
        y = F.max_pool2d(F.conv2d(x, *layers[:2], padding=1), 2)
        y = F.conv2d(F.conv2d(y, *layers[2:4], padding=1), *layers[4:], padding=1)
        return y.mean((2, 3))

    report(f"conv 32-32, pool, conv 32-64, conv 64-64, {layout}", [x, *layers], piece)

for size, channels, filters in [(28, 32, 32), (14, 32, 64), (14, 64, 64), (28, 1, 32)]:
    for layout in LAYOUTS:
        x = leaf(BATCH, channels, size, size).contiguous(memory_format=layout).requires_grad_()
        w = leaf(filters, channels, 3, 3).contiguous(memory_format=layout).requires_grad_()
        bias = leaf(filters).requires_grad_()
        name = f"conv 3x3 {channels}-{filters} at {size}x{size}, {layout}"
        report(name, [x, w, bias], lambda: F.conv2d(x, w, bias, padding=1))

for layout in LAYOUTS:
    x = leaf(BATCH, 32, 28, 28).contiguous(memory_format=layout).requires_grad_()
    gamma, beta = leaf(32).requires_grad_(), leaf(32).requires_grad_()
    norm = lambda: F.batch_norm(x, None, None, gamma, beta, training=True).relu()
    report(f"batch norm + relu 32 at 28x28, {layout}", [x, gamma, beta], norm)
    report(f"max pool 2 32 at 28x28, {layout}", [x], lambda: F.max_pool2d(x, 2))

x, w, bias = (leaf(*size).requires_grad_() for size in ((BATCH, 3136), (128, 3136), (128,)))
report("linear 3136-128 + relu", [x, w, bias], lambda: F.linear(x, w, bias).relu())
