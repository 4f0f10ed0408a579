"""Writes rates.json: 200 phoneme strings with jiwer's error rates, one by one and in total.

    pip install jiwer==4.0.0
    python make_rates.py

PER is jiwer's word error rate over phonemes. WER is jiwer's word error rate when the phonemes of
an item are joined into one word.
"""

import json
import pathlib
import random

import jiwer

PHONEMES = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW".split()
random.seed(20)


def corrupt(phonemes, rate):
    out = []
    for phoneme in phonemes:
        draw = random.random()
        if draw < rate / 3:
            continue
        if draw < 2 * rate / 3:
            out.append(random.choice(PHONEMES))
        else:
            out.append(phoneme)
        if random.random() < rate / 3:
            out.append(random.choice(PHONEMES))
    return out


cases = []
for index in range(200):
    reference = [random.choice(PHONEMES) for _ in range(random.randint(1, 14))]
    hypothesis = corrupt(reference, random.choice([0.0, 0.1, 0.4, 0.9]))
    if index % 40 == 7:
        hypothesis = []
    per = jiwer.wer(" ".join(reference), " ".join(hypothesis))
    cases.append({"reference": reference, "hypothesis": hypothesis, "per": per})

references = [" ".join(case["reference"]) for case in cases]
hypotheses = [" ".join(case["hypothesis"]) for case in cases]
joined = ["".join(case["reference"]) for case in cases]
joined_hypotheses = ["".join(case["hypothesis"]) for case in cases]
golden = {
    "jiwer": jiwer.__version__ if hasattr(jiwer, "__version__") else "4.0.0",
    "per": jiwer.wer(references, hypotheses),
    "wer": jiwer.wer(joined, joined_hypotheses),
    "cases": cases,
}
path = pathlib.Path(__file__).with_name("rates.json")
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
