#!/usr/bin/env python3
"""Training steps of conjoin and of PyTorch side by side: the same models, batches, threads.

Each round is one run of `conjoin train` and one of `steps.py`, as it is and through `torch.compile`, one
right after the other, in turns first. What is compared is the median time of a step after warm-up.
Before any figure is printed, all sides must have had as many weights in every module and as many samples
in every batch.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import seeds
from systems import SYSTEMS

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / "work"
NAMES = {"own": "conjoin", "torch": "PyTorch", "compiled": "torch.compile"}


def run_conjoin(arguments, name: str, environment: dict) -> dict:
    """Trains the stage for a while; what the run's metrics tell of it."""
    system = SYSTEMS[name]
    out = WORK / f"{name}-run"
    shutil.rmtree(out, ignore_errors=True)
    command = [arguments.conjoin, "train", system.recipe, "--out", str(out), "--arm", system.arm]
    for change in system.with_epochs(arguments.length):
        command += ["--set", change]
    _, memory = finish(command, environment)
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    started = next(event for event in events if event["event"] == "stage-started")
    timing = next(event for event in events if event["event"] == "timing")
    return {
        "seconds": [step["seconds"] for step in steps],
        "samples": [step["samples"] for step in steps],
        "weights": started["trained"],
        "phases": {
            "forward": sum(timing["forward"].values()),
            "backward": timing["backward"],
            "optimiser": timing["optimiser"],
        },
        "memory": memory,
    }


def run_torch(arguments, name: str, layout: str, compiled: bool, environment: dict) -> dict:
    command = [arguments.python, str(BENCH / "steps.py"), name, SYSTEMS[name].recipe]
    command += [str(WORK / f"{name}.safetensors"), "--threads", str(arguments.threads)]
    command += ["--layout", layout]
    if compiled:
        command.append("--compile")
    printed, memory = finish(command, environment)
    return {**json.loads(printed), "memory": memory}


def finish(command: list, environment: dict | None = None) -> tuple[str, int]:
    """What a command prints, and its peak resident memory in bytes."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=printed, stderr=said, text=True
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            sys.exit(f"{' '.join(command)}\nended with {process.returncode}\n{said.read()}")
        printed.seek(0)
        return printed.read(), usage.ru_maxrss * 1024


def write_batches(arguments, name: str, count: int):
    """The batches that conjoin's stage sees, for PyTorch."""
    system = SYSTEMS[name]
    recipe = tomllib.loads((ROOT / system.recipe).read_text())
    stage = system.stage_of(recipe)
    seed = seeds.training_data(recipe["seed"], stage["name"])
    command = [arguments.data, "batches", system.recipe, stage["data"]]
    finish([*command, str(seed), str(count), str(WORK / f"{name}.safetensors")])


def has_images(name: str) -> bool:
    recipe = tomllib.loads((ROOT / SYSTEMS[name].recipe).read_text())
    kinds = {node["kind"] for node in recipe["nodes"].values()}
    return bool(kinds & {"conv-encoder", "patch-embedding"})


def profile_of(arguments, name: str, environment: dict) -> dict:
    """What `conjoin profile` tells of a few steps: `flops` of a step, `peak` of the machine."""
    system = SYSTEMS[name]
    command = [arguments.conjoin, "profile", system.recipe, "--arm", system.arm, "--json"]
    command += ["--stage", system.stage, "--steps", "4", "--warm-up", "1"]
    for change in system.changes:
        command += ["--set", change]
    return json.loads(finish(command, environment)[0])


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
    layouts = ["contiguous", "channels-last"] if has_images(system) else ["contiguous"]
    trials = {
        layout: run_torch(arguments, system, layout, False, environment) for layout in layouts
    }
    layout = min(layouts, key=lambda layout: median(trials[layout]))
    check_same_work(own, trials[layout], system)
    sides = {
        "own": lambda: run_conjoin(arguments, system, environment),
        "torch": lambda: run_torch(arguments, system, layout, False, environment),
    }
    if arguments.compile:
        sides["compiled"] = lambda: run_torch(arguments, system, layout, True, environment)
        # Fills the compiler's cache on disk, and must have done the same work.
        check_same_work(own, sides["compiled"](), system)

    rounds, runs = [], []
    for number in range(arguments.pairs):
        names = list(sides)
        first = number % len(names)
        found = {side: sides[side]() for side in names[first:] + names[:first]}
        runs.append(found)
        times = {side: median(found[side]) for side in names}
        rounds.append(times)
        told = ", ".join(f"{NAMES[side]} {1e3 * times[side]:.1f} ms" for side in names)
        print(f"{system}: round {number + 1} of {arguments.pairs}: {told}", file=sys.stderr)
    profile = profile_of(arguments, system, environment)
    seconds = {side: spread([times[side] for times in rounds]) for side in sides}
    result = {
        "steps": len(own["seconds"]) - arguments.warm_up,
        "samples_per_step": statistics.mean(own["samples"][arguments.warm_up :]),
        "weights": sum(own["weights"].values()),
        "torch_layout": layout,
        "seconds": seconds,
        "ratio": spread([times["own"] / times["torch"] for times in rounds]),
        "phases": {
            phase: {side: phase_seconds(runs, side, phase) for side in sides}
            for phase in ("forward", "backward", "optimiser")
        },
        "memory": {
            side: statistics.median(found[side]["memory"] for found in runs) for side in sides
        },
        "own_flops_per_second": profile["flops"] / seconds["own"]["median"],
        "peak_flops_per_second": profile["peak"],
        "rounds": rounds,
    }
    if arguments.compile:
        result["compiled_ratio"] = spread([times["own"] / times["compiled"] for times in rounds])
    return result


def phase_seconds(runs: list, side: str, phase: str) -> float:
    """Of a step, on average over a run; the median of the runs."""
    return statistics.median(
        found[side]["phases"][phase] / len(found[side]["seconds"]) for found in runs
    )


def spread(values: list) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(results: dict, threads: int) -> str:
    lines = [
        "| system | conjoin, ms a step | PyTorch, ms | own / PyTorch | own / torch.compile | forward "
        "| backward | optimiser | memory | GFLOP/s | of peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    show = lambda s, scale, digits: (
        f"{scale * s['median']:.{digits}f} "
        f"({scale * s['min']:.{digits}f} to {scale * s['max']:.{digits}f})"
    )
    share = lambda pair: f"{pair['own'] / pair['torch']:.2f}"
    for system, result in results.items():
        phases = " | ".join(share(phase) for phase in result["phases"].values())
        compiled = show(result["compiled_ratio"], 1, 2) if "compiled_ratio" in result else ""
        rate, peak = result["own_flops_per_second"], result["peak_flops_per_second"]
        lines.append(
            f"| {system} | {show(result['seconds']['own'], 1e3, 1)} "
            f"| {show(result['seconds']['torch'], 1e3, 1)} | {show(result['ratio'], 1, 2)} "
            f"| {compiled} | {phases} | {share(result['memory'])} | {rate / 1e9:.0f} "
            f"| {100 * rate / peak:.0f} % |"
        )
    lines.append("")
    lines.append(
        f"Medians and ranges over rounds of runs; threads: {threads}; below 1 conjoin is better. "
        "Forward, backward, optimiser and peak memory (of the whole process) are ratios to PyTorch "
        "as it is. The peak is that of a product of large matrices."
    )
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
    parser.add_argument("systems", nargs="*", default=list(SYSTEMS), help=", ".join(SYSTEMS) + " (default: all)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of all sides")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, of each side")
    parser.add_argument("--warm-up", type=int, default=10, help="steps of a run that do not count")
    parser.add_argument("--length", type=float, default=1.0, help="factor of the steps of a run")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--conjoin", default=str(ROOT / "target/release/conjoin"), help="the binary")
    parser.add_argument("--data", default=str(BENCH / "data/target/release/bench-data"))
    parser.add_argument("--python", default=str(BENCH / ".venv/bin/python"))
    arguments = parser.parse_args()
    for system in arguments.systems:
        if system not in SYSTEMS:
            parser.error(f"{system!r}: expected one of " + ", ".join(SYSTEMS))

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
