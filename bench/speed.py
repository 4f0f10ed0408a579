#!/usr/bin/env python3
"""Training steps of conjoin and of PyTorch side by side: the same models, batches, threads.

Each pair is one run of `conjoin train` and one of `steps.py`, one right after the other, in turns
first. What is compared is the median time of a step after warm-up. Before any figure is printed, both
sides must have had as many weights in every module and as many samples in every batch.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import seeds

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / "work"

# The stage that is timed, the only one of the arm "scratch", and what of it is left out because
# PyTorch's side does not do it: evaluations and the extra pass of scheduled sampling.
SYSTEMS = {
    "g2p": {
        "stage": "joint",
        "epochs": 0.2,
        "set": ["stages.joint.inputs={}", "stages.joint.evaluate.batches=1", "data.test.source.limit=64"],
    },
    "fashion": {
        "stage": "scratch",
        "epochs": 0.2,
        "set": ["data.test.source.take=[0,250]"],
    },
}


def run_conjoin(arguments, system: str, environment: dict) -> dict:
    """Trains the stage for a while; steps, samples and weights as the run's metrics tell them."""
    spec = SYSTEMS[system]
    out = WORK / f"{system}-run"
    shutil.rmtree(out, ignore_errors=True)
    changes = [*spec["set"], f"stages.{spec['stage']}.epochs={spec['epochs'] * arguments.length}"]
    command = [arguments.conjoin, "train", f"recipes/{system}.toml", "--out", str(out)]
    command += ["--arm", "scratch"]
    for change in changes:
        command += ["--set", change]
    finish(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True))
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    started = next(event for event in events if event["event"] == "stage-started")
    return {
        "seconds": [step["seconds"] for step in steps],
        "samples": [step["samples"] for step in steps],
        "losses": [step["loss"] for step in steps],
        "weights": started["trained"],
    }


def run_torch(arguments, system: str, layout: str, environment: dict) -> dict:
    command = [arguments.python, str(BENCH / "steps.py"), system, f"recipes/{system}.toml"]
    command += [str(WORK / f"{system}.safetensors"), "--threads", str(arguments.threads)]
    command += ["--layout", layout]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return json.loads(finish(done))


def finish(done: subprocess.CompletedProcess) -> str:
    if done.returncode != 0:
        sys.exit(f"{' '.join(done.args)}\nended with {done.returncode}\n{done.stderr}")
    return done.stdout


def write_batches(arguments, system: str, count: int):
    """The batches that conjoin's stage sees, for PyTorch."""
    recipe = tomllib.loads((ROOT / f"recipes/{system}.toml").read_text())
    stage = next(s for s in recipe["stages"] if s["name"] == SYSTEMS[system]["stage"])
    seed = seeds.training_data(recipe["seed"], stage["name"])
    file = WORK / f"{system}.safetensors"
    command = [arguments.data, "batches", f"recipes/{system}.toml", stage["data"]]
    command += [str(seed), str(count), str(file)]
    finish(subprocess.run(command, cwd=ROOT, capture_output=True, text=True))


def check_same_work(own: dict, torch: dict, system: str):
    """Both sides had the same batches and models of the same size."""
    if own["samples"] != torch["samples"]:
        sys.exit(f"{system}: the batches differ: {own['samples'][:8]} and {torch['samples'][:8]} …")
    if own["weights"] != torch["weights"]:
        sys.exit(f"{system}: the models differ: {own['weights']} and {torch['weights']}")


def measure(arguments, system: str, environment: dict) -> dict:
    median = lambda run: statistics.median(run["seconds"][arguments.warm_up :])
    # Not measured: fills caches, tells how many batches there are and which layout suits PyTorch.
    own = run_conjoin(arguments, system, environment)
    write_batches(arguments, system, len(own["seconds"]))
    layouts = ["contiguous"] if system == "g2p" else ["contiguous", "channels-last"]
    trials = {layout: run_torch(arguments, system, layout, environment) for layout in layouts}
    layout = min(layouts, key=lambda layout: median(trials[layout]))
    check_same_work(own, trials[layout], system)

    pairs = []
    for number in range(arguments.pairs):
        sides = {
            "own": lambda: run_conjoin(arguments, system, environment),
            "torch": lambda: run_torch(arguments, system, layout, environment),
        }
        order = ["own", "torch"] if number % 2 == 0 else ["torch", "own"]
        pair = {side: median(sides[side]()) for side in order}
        pairs.append(pair)
        print(
            f"{system}: pair {number + 1} of {arguments.pairs}: conjoin "
            f"{1e3 * pair['own']:.1f} ms, PyTorch {1e3 * pair['torch']:.1f} ms",
            file=sys.stderr,
        )
    samples = statistics.mean(own["samples"][arguments.warm_up :])
    own_times = [pair["own"] for pair in pairs]
    torch_times = [pair["torch"] for pair in pairs]
    return {
        "steps": len(own["seconds"]) - arguments.warm_up,
        "samples_per_step": samples,
        "weights": sum(own["weights"].values()),
        "torch_layout": layout,
        "own_seconds": spread(own_times),
        "torch_seconds": spread(torch_times),
        "ratio": spread([pair["own"] / pair["torch"] for pair in pairs]),
        "pairs": pairs,
    }


def spread(values: list) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(results: dict, threads: int) -> str:
    lines = [
        "| system | weights | conjoin, ms a step | PyTorch, ms a step | own / PyTorch |",
        "| --- | --- | --- | --- | --- |",
    ]
    show = lambda s, scale, digits: (
        f"{scale * s['median']:.{digits}f} "
        f"({scale * s['min']:.{digits}f} to {scale * s['max']:.{digits}f})"
    )
    for system, result in results.items():
        lines.append(
            f"| {system} | {result['weights']:,} | {show(result['own_seconds'], 1e3, 1)} "
            f"| {show(result['torch_seconds'], 1e3, 1)} | {show(result['ratio'], 1, 2)} |"
        )
    lines.append("")
    lines.append(f"Medians and ranges over pairs of runs; threads: {threads}; below 1 conjoin is faster.")
    return "\n".join(lines)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", default=list(SYSTEMS), help="g2p, fashion (default: both)")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, of each side")
    parser.add_argument("--warm-up", type=int, default=10, help="steps of a run that do not count")
    parser.add_argument("--length", type=float, default=1.0, help="factor of the steps of a run")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--conjoin", default=str(ROOT / "target/release/conjoin"), help="the binary")
    parser.add_argument("--data", default=str(BENCH / "data/target/release/bench-data"))
    parser.add_argument("--python", default=str(BENCH / ".venv/bin/python"))
    arguments = parser.parse_args()
    for system in arguments.systems:
        if system not in SYSTEMS:
            parser.error(f"{system!r}: expected g2p or fashion")

    WORK.mkdir(exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))[: arguments.threads]
    os.sched_setaffinity(0, cores)
    threads = str(len(cores))
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    results = {system: measure(arguments, system, environment) for system in arguments.systems}
    print(table(results, len(cores)))
    if arguments.json:
        about = {"processor": processor(), "threads": len(cores), "warm_up": arguments.warm_up}
        text = json.dumps({**about, "systems": results}, indent=2)
        Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
