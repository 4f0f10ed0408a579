"""sacreBLEU scores what conjoin translated, and prints the lines that conjoin prints.

    pip install sacrebleu==2.6.0
    python tests/external/sacrebleu_agrees.py CONJOIN RUN PAIRS.tsv [--limit 500]

Translates the first sentences of PAIRS.tsv, the test set of RUN's recipe, with `conjoin predict`, scores them with
sacreBLEU, and compares with what `conjoin eval` says of the same sentences: scores, precisions, lengths,
signatures.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from sacrebleu.metrics import BLEU, CHRF, TER


def run(command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout.split("\n")[:-1]


def metrics(printed):
    """As sacreBLEU is told to score where the lines' signatures say so."""
    tokenise = next(part for part in printed["BLEU"].split("|") if part.startswith("tok:"))[4:].split(" ")[0]
    yield "BLEU", BLEU(tokenize=tokenise)
    yield "chrF2", CHRF()
    # Of Chinese sacreBLEU has no TER over characters.
    if "tok:zh-tercom" not in printed["TER"]:
        yield "TER", TER(case_sensitive="case:mixed" in printed["TER"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conjoin")
    parser.add_argument("run")
    parser.add_argument("pairs", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=500)
    arguments = parser.parse_args()

    pairs = [line.split("\t") for line in arguments.pairs.read_text(encoding="utf-8").split("\n")[: arguments.limit]]
    sources, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    predict = [arguments.conjoin, "predict", arguments.run, "--output-only"]
    outputs = run(predict, "".join(f"{source}\n" for source in sources))
    assert len(outputs) == len(sources), f"{len(sources)} lines in, {len(outputs)} out"

    with tempfile.TemporaryDirectory() as folder:
        part = pathlib.Path(folder) / "part.tsv"
        part.write_text("".join("\t".join(pair) + "\n" for pair in pairs), encoding="utf-8")
        evaluate = [arguments.conjoin, "eval", arguments.run, "--set", f"data.test.source.path={part}"]
        said = run([*evaluate, "--set", f"data.test.source.limit={arguments.limit}"])
    printed = {line.split("|")[0]: line for line in said if "|" in line}
    wrong = False
    for name, metric in metrics(printed):
        score = metric.corpus_score(outputs, [references])
        expected = score.format(signature=metric.get_signature().format(), width=2)
        agrees = printed[name] == expected
        wrong |= not agrees
        print(("" if agrees else "conjoin:   ") + printed[name])
        if not agrees:
            print(f"sacreBLEU: {expected}")
    if wrong:
        sys.exit("they differ")
    print(f"{len(outputs)} translations, {len(set(outputs))} of them different: sacreBLEU prints the same")


if __name__ == "__main__":
    main()
