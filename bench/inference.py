#!/usr/bin/env python3
"""Forward passes of conjoin and of ONNX Runtime side by side, one sample at a time.

Each round is `conjoin profile --inference` and the same model, exported from PyTorch, in ONNX Runtime, in
turns first. Both have as many threads and see samples that lie ready in memory.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from models import BUILD
from speed import ROOT, finish, spread
from systems import SYSTEMS

# The model's inputs for one sample, as random columns give them.
INPUTS = {
    "resnet18": lambda: (torch.rand(1, 3, 32, 32),),
    "transformer": lambda: (torch.randint(4, 8000, (1, 32)), torch.randint(4, 8000, (1, 32))),
}


def vocabularies(recipe: dict) -> dict:
    """As many symbols as each random column has."""
    columns = recipe["data"]["train"]["source"]["columns"]
    return {name: range(column["size"]) for name, column in columns.items() if "size" in column}


def export(name: str, folder: str) -> Path:
    recipe = tomllib.loads((ROOT / SYSTEMS[name].recipe).read_text())
    model = BUILD[name](recipe, vocabularies(recipe)).eval()
    path = Path(folder) / f"{name}.onnx"
    # The exporter cannot trace the fused layers that evaluation switches to.
    torch.backends.mha.set_fastpath_enabled(False)
    torch.onnx.export(model, INPUTS[name](), str(path), dynamo=True, verbose=False)
    return path


def onnx_seconds(path: Path, name: str, arguments) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    seconds = []
    for step in range(arguments.warm_up + arguments.steps):
        given = {key: np.asarray(value) for key, value in zip(names, INPUTS[name]())}
        begun = time.perf_counter()
        session.run(None, given)
        if step >= arguments.warm_up:
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def own_seconds(name: str, arguments, environment: dict) -> float:
    command = [arguments.conjoin, "profile", SYSTEMS[name].recipe, "--inference", "--json"]
    command += ["--steps", str(arguments.steps), "--warm-up", str(arguments.warm_up)]
    command += ["--set", "data.train.loader.batch.size=1"]
    return json.loads(finish(command, environment)[0])["seconds"]["median"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(INPUTS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--conjoin", default=str(ROOT / "target/release/conjoin"))
    arguments = parser.parse_args()
    for name in arguments.models:
        if name not in INPUTS:
            parser.error(f"{name!r}: expected one of " + ", ".join(INPUTS))

    cores = sorted(os.sched_getaffinity(0))[: arguments.threads]
    os.sched_setaffinity(0, cores)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(len(cores))}
    print("| model | conjoin, ms | ONNX Runtime, ms | own / ONNX Runtime |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            path = export(name, folder)
            pairs = []
            for number in range(arguments.pairs):
                sides = [
                    lambda: own_seconds(name, arguments, environment),
                    lambda: onnx_seconds(path, name, arguments),
                ]
                order = (0, 1) if number % 2 == 0 else (1, 0)
                found = {side: sides[side]() for side in order}
                pairs.append((found[0], found[1]))
                print(f"{name}: {1e3 * found[0]:.2f} ms, {1e3 * found[1]:.2f} ms", file=sys.stderr)
            show = lambda values, scale: "{median:.2f} ({min:.2f} to {max:.2f})".format(
                **{key: scale * value for key, value in spread(values).items()}
            )
            own, onnx = zip(*pairs)
            ratios = [a / b for a, b in pairs]
            print(f"| {name} | {show(own, 1e3)} | {show(onnx, 1e3)} | {show(ratios, 1)} |")


if __name__ == "__main__":
    main()
