"""The work of rnn_speed.rs in PyTorch: python rnn_speed.py [RUNS] [THREADS] [PROGRAM] [ROUNDS]

With PROGRAM (the built rnn_speed.rs) the two alternate for ROUNDS rounds; printed are medians of the
rounds in milliseconds, and the ratios."""

import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict

import torch

arguments = dict(enumerate(sys.argv))
RUNS, THREADS = int(arguments.get(1, 50)), int(arguments.get(2, 2))
PROGRAM, ROUNDS = arguments.get(3), int(arguments.get(4, 1))
torch.set_num_threads(THREADS)

SIZES = [
    (128, 10, 64, 256, 1),
    (32, 100, 256, 256, 1),
    (64, 20, 128, 128, 1),
    (64, 8, 64, 128, 2),
    (32, 30, 100, 150, 2),
    (32, 100, 256, 256, 2),
    (64, 1, 256, 256, 1),
]


def measure(kind, batch, steps, inputs, hidden, directions):
    """Median times of the forward and the backward pass in milliseconds."""
    layer = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, bidirectional=directions == 2)
    x = torch.randn(batch, steps, inputs, requires_grad=True)
    states = [torch.zeros(directions, batch, hidden, requires_grad=True) for _ in range(2)]
    state = tuple(states) if kind == "LSTM" else states[0]
    times = []
    for _ in range(RUNS + 5):
        layer.zero_grad(set_to_none=True)
        x.grad = None
        for each in states:
            each.grad = None
        start = time.perf_counter()
        output, _ = layer(x, state)
        middle = time.perf_counter()
        output.sum().backward()
        end = time.perf_counter()
        times.append((end - start, middle - start, end - middle))
    _, forward, backward = (t * 1e3 for t in sorted(times[5:])[RUNS // 2])
    return forward, backward


torch_times, own_times = defaultdict(list), defaultdict(list)
for _ in range(ROUNDS):
    if PROGRAM:
        environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
        lines = subprocess.run([PROGRAM, str(RUNS)], env=environment, check=True, capture_output=True, text=True).stdout
        for line in lines.splitlines():
            name, *times = line.split("\t")
            own_times[name].append([float(t) for t in times])
    for size in SIZES:
        batch, steps, inputs, hidden, directions = size
        for kind in ("LSTM", "GRU"):
            name = f"{kind.lower()}, batch {batch}, {steps} steps, {inputs}-{hidden}, directions {directions}"
            torch_times[name].append(measure(kind, *size))

print(f"{'forward + backward, ms':56} {'torch':>15} {'own':>15}  ratio")
for name, rounds in torch_times.items():
    medians = [[statistics.median(t) for t in zip(*times)] for times in (rounds, own_times[name])]
    text = [f"{m[0]:.2f} + {m[1]:.2f}" if m else "" for m in medians]
    ratio = f"{sum(medians[1]) / sum(medians[0]):.2f}" if medians[1] else ""
    print(f"{name:56} {text[0]:>15} {text[1]:>15}  {ratio:>5}")
