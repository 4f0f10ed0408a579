#!/usr/bin/env python3
"""Translation with conjoin and with Joey NMT side by side: the same pairs, a model of the same size, batches of
as many tokens, one core each for the same time.

conjoin trains `recipes/translate-transformer.toml` with its epochs shortened by a factor; Joey NMT starts at the
same moment and stops when conjoin's last stage has ended. Both then translate every n-th segment of the test pages,
greedily by default, and sacreBLEU scores them. Joey NMT has no cache of keys and values: it needs about ten minutes
for 500 segments on one core, and so is not asked to validate before its end.

    bench/setup.sh joey
    bench/.venv/bin/python bench/translation.py --length 0.36
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import sacrebleu

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / "work/translation"
RECIPE = "recipes/translate-transformer.toml"


def events(run: Path) -> list[dict]:
    path = run / "metrics.jsonl"
    if not path.exists():
        return []
    # The last line may be half written.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def curve(run: Path) -> list:
    """Seconds in training steps and BLEU on the validation pairs then."""
    seconds, points = 0.0, []
    for event in events(run):
        if event["event"] == "step":
            seconds += event["seconds"]
        elif event["event"] == "evaluated" and event["data"] == "valid":
            points.append([round(seconds), round(event["scores"]["bleu"], 2)])
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--conjoin", default=str(ROOT / "target/release/conjoin"))
    parser.add_argument("--arm", help="default: the recipe's")
    parser.add_argument("--length", type=float, required=True, help="factor of the recipe's epochs")
    parser.add_argument("--beam", type=int, default=1, help="1 is greedy")
    parser.add_argument("--every", type=int, default=4, help="score every n-th segment of the test pages")
    arguments = parser.parse_args()

    recipe = tomllib.loads((ROOT / RECIPE).read_text(encoding="utf-8"))
    arms = recipe["arms"]
    arm = arguments.arm or arms["default"]
    names = arms[arm] if isinstance(arms[arm], list) else arms[arm]["stages"]
    changed = {} if isinstance(arms[arm], list) else arms[arm].get("epochs", {})
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run, until = WORK / "conjoin", WORK / "stop"

    command = ["taskset", "-c", "0", arguments.conjoin, "train", RECIPE, "--arm", arm, "--out", str(run)]
    for stage in recipe["stages"]:
        name = stage["name"]
        if name in names:
            epochs = changed.get(name, stage["epochs"]) * arguments.length
            where = f"arms.{arm}.epochs.{name}" if name in changed else f"stages.{name}.epochs"
            command += ["--set", f"{where}={epochs:g}"]
    joey = ["taskset", "-c", "1", sys.executable, str(BENCH / "joey.py"), "--threads", "1"]
    joey += ["--out", str(WORK / "joey"), "--until", str(until)]
    joey += ["--beam", str(arguments.beam), "--every", str(arguments.every)]

    with (WORK / "conjoin.log").open("w") as log, (WORK / "joey.log").open("w") as other:
        began = time.perf_counter()
        ours = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        theirs = subprocess.Popen(joey, cwd=ROOT, stdout=subprocess.PIPE, stderr=other, text=True)
        try:
            seconds = None
            while ours.poll() is None:
                time.sleep(2)
                done = [event["stage"] for event in events(run) if event["event"] == "stage-finished"]
                if seconds is None and done[-1:] == names[-1:]:
                    seconds = time.perf_counter() - began
                    until.touch()
                if theirs.poll():
                    sys.exit(f"Joey NMT ended with {theirs.returncode}, see {WORK}/joey.log")
        finally:
            until.touch()
            if ours.poll() is None:
                ours.terminate()
        printed, _ = theirs.communicate()
    if ours.returncode or theirs.returncode or seconds is None:
        sys.exit(f"ended with {ours.returncode} and {theirs.returncode}, see {WORK}/conjoin.log and joey.log")

    pairs = (ROOT / "data/help-en-de/test.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    pairs = [line.split("\t") for line in pairs][:: arguments.every]
    predict = ["taskset", "-c", "0", arguments.conjoin, "predict", str(run), "--output-only"]
    predict += ["--set", f"task.beam={arguments.beam}"]
    lines = "".join(pair[0] + "\n" for pair in pairs)
    began = time.perf_counter()
    said = subprocess.run(predict, cwd=ROOT, check=True, input=lines, capture_output=True, text=True).stdout
    translating = time.perf_counter() - began
    hypotheses, references = said.split("\n")[:-1], [[pair[1] for pair in pairs]]
    assert len(hypotheses) == len(pairs), (len(hypotheses), len(pairs))
    scores = {
        "pairs": len(pairs),
        "translating_seconds": round(translating, 1),
        "bleu": round(sacrebleu.corpus_bleu(hypotheses, references).score, 2),
        "chrf": round(sacrebleu.corpus_chrf(hypotheses, references).score, 2),
    }
    steps = sum(event["event"] == "step" for event in events(run))
    print(json.dumps({"conjoin": {"updates": steps, "seconds": round(seconds, 1), **scores}}))
    print(json.dumps({"conjoin on the validation pairs": curve(run)}))
    print(json.dumps({"Joey NMT": json.loads(printed.splitlines()[-1])}))


if __name__ == "__main__":
    main()
