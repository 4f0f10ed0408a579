#!/usr/bin/env python3
"""What PyTorch's g2p model reaches in so many minutes, on the same split, scored the same way.

Trains the model of recipes/g2p.toml from scratch (no stages, no scheduled sampling) on the batches of
the recipe, with its optimiser, clipping and schedule stretched to the time, then decodes the test
words greedily: PER and WER against the best-matching pronunciation of each word.
"""

import argparse
import json
import math
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import torch

import seeds
from models import BUILD, optimiser_of
from steps import read_batches
from systems import SYSTEMS

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / "work"
LONGEST = 64


def bench_data(arguments, *command) -> str:
    done = subprocess.run([arguments.data, *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def batches_of(arguments, data: str, seed: int, count: int):
    file = WORK / f"accuracy-{data}.safetensors"
    bench_data(arguments, "batches", arguments.recipe, data, str(seed), str(count), str(file))
    return read_batches(str(file), channels_last=False)


def factor(schedule: dict, done: float, steps_done: int) -> float:
    """The learning rate's share of its peak, at a fraction of the training."""
    warmup = schedule.get("warmup", 0)
    if steps_done < warmup:
        return (steps_done + 1) / warmup
    if schedule.get("kind", "constant") != "cosine":
        sys.exit("accuracy.py follows a cosine schedule only")
    end = schedule.get("end", 0.0)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done))


def train(model, recipe: dict, batches: list, seconds: float):
    stage = SYSTEMS["g2p"].stage_of(recipe)
    optimiser = optimiser_of(model, stage)
    start, steps = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = stage["lr"] * factor(stage["schedule"], elapsed / seconds, steps)
        optimiser.zero_grad()
        loss = model.loss(batches[steps % len(batches)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), stage["clip_norm"])
        optimiser.step()
        steps += 1
        if steps % 200 == 0:
            print(f"step {steps}, {elapsed:.0f} s, loss {loss.item():.4f}", file=sys.stderr)
    return steps, time.perf_counter() - start


@torch.no_grad()
def greedy(model, batch: dict, bos: int, eos: int) -> list:
    memory, first = model.encode(batch["letters"], batch["letters.lengths"])
    mask = torch.arange(memory.shape[1]) < batch["letters.lengths"].unsqueeze(1)
    keys = model.attention.keys(memory)
    state = (first, torch.zeros_like(first))
    tokens = torch.full((len(memory), 1), bos)
    said, ended = [], torch.zeros(len(memory), dtype=torch.bool)
    for _ in range(LONGEST):
        logits, state = model.decode(tokens, state, memory, keys, mask)
        # Padding, begin, unknown and mask are never said.
        logits[:, :, [0, bos, 3, 4]] = float("-inf")
        tokens = logits.argmax(2)
        ended |= tokens[:, 0] == eos
        said.append(torch.where(ended, eos, tokens[:, 0]))
        if ended.all():
            break
    rows = torch.stack(said, 1).tolist()
    return [row[: row.index(eos)] if eos in row else row for row in rows]


def distance(a: list, b: list) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def score(model, batches: list, symbols: list, entries: list) -> dict:
    bos, eos = symbols.index("<bos>"), symbols.index("<eos>")
    errors, length, wrong, words = 0, 0, 0, 0
    model.eval()
    for batch in batches:
        for row, said in zip(batch["rows"].tolist(), greedy(model, batch, bos, eos)):
            found = [symbols[token] for token in said]
            references = [text.split(" ") for text in entries[row][1:]]
            costs = [(distance(r, found) / len(r), distance(r, found), len(r)) for r in references]
            _, cost, size = min(costs, key=lambda found: found[0])
            errors, length = errors + cost, length + size
            wrong, words = wrong + (cost > 0), words + 1
    return {"per": errors / length, "wer": wrong / words, "words": words}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=4.5, help="of training")
    parser.add_argument("--epochs", type=int, default=8, help="after which batches repeat")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--recipe", default="recipes/g2p.toml")
    parser.add_argument("--data", default=str(BENCH / "data/target/release/bench-data"))
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    WORK.mkdir(exist_ok=True)
    recipe = tomllib.loads((ROOT / arguments.recipe).read_text())
    entries = bench_data(arguments, "entries", arguments.recipe, "test").splitlines()
    entries = [line.split("\t") for line in entries]
    rows = recipe["data"]["test"]["loader"]["batch"]["size"]
    test, vocabularies = batches_of(arguments, "test", 0, -(-len(entries) // rows))
    stage = SYSTEMS["g2p"].stage_of(recipe)
    seed = seeds.training_data(arguments.seed, stage["name"])
    # An epoch has about 600 batches; a few more or less change nothing.
    batches, _ = batches_of(arguments, stage["data"], seed, 600 * arguments.epochs)
    model = BUILD["g2p"](recipe, vocabularies)
    steps, seconds = train(model, recipe, batches, 60 * arguments.minutes)
    scores = score(model, test, vocabularies["phonemes_out"], entries)
    json.dump({"steps": steps, "training_seconds": seconds, **scores}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
