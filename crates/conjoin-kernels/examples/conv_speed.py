"""The work of conv_speed.rs in PyTorch: python conv_speed.py [RUNS] [THREADS] [PROGRAM] [ROUNDS]

Every convolution in both memory formats, the faster counts. With PROGRAM (the built conv_speed.rs) the two
alternate for ROUNDS rounds; printed are medians of the rounds in milliseconds, and the ratios."""

import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict

import torch
import torch.nn.functional as F

arguments = dict(enumerate(sys.argv))
RUNS, THREADS = int(arguments.get(1, 30)), int(arguments.get(2, 2))
PROGRAM, ROUNDS = arguments.get(3), int(arguments.get(4, 1))
torch.set_num_threads(THREADS)

LAYERS = [
    (64, 32, 3, 32, 3, 1, 1),
    (64, 16, 32, 64, 3, 1, 1),
    (128, 28, 1, 32, 3, 1, 1),
    (128, 14, 32, 64, 3, 1, 1),
    (32, 32, 3, 64, 3, 1, 1),
    (32, 32, 64, 64, 3, 1, 1),
    (32, 32, 64, 128, 3, 2, 1),
    (32, 32, 64, 128, 1, 2, 1),
    (32, 16, 128, 128, 3, 1, 1),
    (32, 16, 128, 256, 3, 2, 1),
    (32, 8, 256, 256, 3, 1, 1),
    (32, 8, 256, 512, 3, 2, 1),
    (32, 8, 256, 512, 1, 2, 1),
    (32, 4, 512, 512, 3, 1, 1),
    (32, 7, 96, 96, 5, 1, 1),
    (32, 16, 96, 96, 1, 1, 1),
    (32, 32, 64, 64, 3, 1, 64),
]


def measure(parameters, forward):
    """Median times of the forward and the backward pass in milliseconds."""
    times = []
    for _ in range(RUNS + 3):
        for parameter in parameters:
            parameter.grad = None
        start = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        y.backward(torch.ones_like(y))
        end = time.perf_counter()
        times.append((end - start, middle - start, end - middle))
    _, first, second = (t * 1e3 for t in sorted(times[3:])[RUNS // 2])
    return first, second


def leaf(*size, layout=torch.contiguous_format, grad=True):
    return torch.randn(*size).contiguous(memory_format=layout).requires_grad_(grad)


def work():
    """Name, and the times of every way to do it."""
    layouts = (torch.contiguous_format, torch.channels_last)
    for batch, size, channels, filters, kernel, stride, groups in LAYERS:
        times = []
        for layout in layouts:
            x = leaf(batch, channels, size, size, layout=layout, grad=channels > 3)
            w = leaf(filters, channels // groups, kernel, kernel, layout=layout)
            bias = leaf(filters)
            forward = lambda: F.conv2d(x, w, bias, stride, kernel // 2, 1, groups)
            times.append(measure([x, w, bias], forward))
        name = f"conv {kernel}x{kernel} {channels}-{filters} at {size}, stride {stride}, groups {groups}, batch {batch}"
        yield name, times
    x, w = leaf(32, 128, 100), leaf(128, 128, 5)
    yield "conv1d 5 128-128 at 100, batch 32", [measure([x, w], lambda: F.conv1d(x, w, None, 1, 2))]
    times = []
    for layout in layouts:
        x, w = leaf(16, 64, 16, 16, layout=layout), leaf(64, 32, 4, 4, layout=layout)
        times.append(measure([x, w], lambda: F.conv_transpose2d(x, w, None, 2, 1)))
    yield "conv_transpose2d 4x4 64-32 at 16, stride 2, batch 16", times
    for batch, size, channels, kernel, padding in (
        (64, 32, 32, 2, 0),
        (64, 16, 64, 2, 0),
        (128, 28, 32, 2, 0),
        (32, 32, 64, 3, 1),
    ):
        for kind, pool in (("max", F.max_pool2d), ("average", F.avg_pool2d)):
            times = []
            for layout in layouts:
                x = leaf(batch, channels, size, size, layout=layout)
                times.append(measure([x], lambda: pool(x, kernel, 2, padding)))
            yield f"{kind} pool {kernel} of {channels} at {size}, batch {batch}", times


torch_times, own_times = defaultdict(list), defaultdict(list)
for _ in range(ROUNDS):
    if PROGRAM:
        environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
        lines = subprocess.run([PROGRAM, str(RUNS)], env=environment, check=True, capture_output=True, text=True).stdout
        for line in lines.splitlines():
            name, *times = line.split("\t")
            own_times[name].append([float(t) for t in times])
    for name, times in work():
        torch_times[name].append(min(times, key=sum))

print(f"{'forward + backward, ms':64} {'torch':>15} {'own':>15}  ratio")
for name, rounds in torch_times.items():
    medians = [[statistics.median(t) for t in zip(*times)] for times in (rounds, own_times[name])]
    text = [f"{m[0]:.2f} + {m[1]:.2f}" if m else "" for m in medians]
    ratio = f"{sum(medians[1]) / sum(medians[0]):.2f}" if medians[1] else ""
    print(f"{name:64} {text[0]:>15} {text[1]:>15}  {ratio:>5}")
