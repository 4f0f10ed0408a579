"""The work of rnn_speed.rs in PyTorch: python rnn_speed.py [RUNS] [THREADS]"""

import sys
import time

import torch

runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
BATCH, TIME, INPUTS, HIDDEN = 128, 10, 64, 256

for kind in ["LSTM", "GRU"]:
    layer = getattr(torch.nn, kind)(INPUTS, HIDDEN, batch_first=True)
    x = torch.randn(BATCH, TIME, INPUTS, requires_grad=True)
    states = [torch.zeros(1, BATCH, HIDDEN, requires_grad=True) for _ in range(2)]
    state = tuple(states) if kind == "LSTM" else states[0]
    times = []
    for _ in range(runs + 5):
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
    total, forward, backward = sorted(times[5:])[runs // 2]
    print(
        f"{kind.lower()}: {total * 1e3:.1f} ms"
        f" ({forward * 1e3:.1f} forward, {backward * 1e3:.1f} backward)"
    )
