"""Python's tokenizers reads the vocabularies that conjoin writes, and cuts lines as conjoin cuts them.

    pip install tokenizers==0.23.2
    python tests/external/tokenizers_agrees.py CONJOIN [--write]

Trains vocabularies of several kinds with `conjoin data vocabulary` on a small text, compares the files with those in
crates/conjoin-data/tests/golden/tokenizers, cuts lines with Python's tokenizers, and compares their indices with
ids.json there. `cargo test --test tokenizers` compares conjoin's own indices with the same file. --write makes the
files anew.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import tokenizers

GOLDEN = pathlib.Path(__file__).parents[2] / "crates/conjoin-data/tests/golden/tokenizers"

# By name, what the command is told. The sizes leave some characters and most words without a symbol of their own.
KINDS = {
    "bpe": ["--kind", "bpe", "--size", "150"],
    "bytes": ["--kind", "bpe", "--size", "380", "--coverage", "0.99", "--byte-fallback"],
    "unigram": ["--kind", "unigram", "--size", "140"],
    "char": ["--kind", "char", "--size", "60", "--normalise", "nfkc", "--lowercase"],
}

SUBJECTS = ["The window", "Das Fenster", 'Ein "Absatz"', "单元格", "A cell (B2)", "Η οδός"]
VERBS = ["shows", "zeigt", "enthält nicht", "包含", "can't have"]
OBJECTS = ["the text.", "den Text!", "文本。", "3.5 lines, all told", "größere Zeilen?"]
TEXT = [" ".join(parts) for parts in itertools.product(SUBJECTS, VERBS, OBJECTS)]

LINES = [
    "The window shows the text.",
    "Größere Übungen öffnen die Straße, ÄÖÜ ẞ",
    "单元格包含文本。单元格不显示三行",
    # Combined as one code point, as two, and where there is no such code point.
    "enth\u00e4lt gr\u00f6\u00dfere",
    "entha\u0308lt gro\u0308\u00dfere",
    "x\u0301 q\u0308\u0323 e\u0301\u0301 \u0928\u093f \u0e01\u0e47",
    "한글 \u1112\u1161\u11ab",
    # Emoji of one code point, with a skin tone, joined, and a flag.
    "👍 👍🏽 the 👩\u200d💻 text🙂🙂 🇩🇪",
    "Ω Ж ∑ 𝔄 \u00b6\u00a7 zzz",
    "ΟΔΟΣ Σ Η ΟΔΌΣ.",
    "İstanbul ǅ",
    "ﬁnd ① ｆｕｌｌ２ 100 %",
    "",
    " ",
    "\u00a0\u3000\t",
    "  The   window\tshows\u00a0the\u3000text.  ",
    "can't (B2), \"told\"... 3.5!?",
    "The <eos> window <unk><pad> </s> <0x41>",
    "▁The▁window ▁",
    "Fenster" * 30,
]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def indices(path):
    """Indices of all lines, by Python's tokenizers."""
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    # What a text says is never a special symbol.
    tokenizer.encode_special_tokens = True
    # Conjoin reads white space between words as one space.
    lines = [" ".join(line.split()) for line in LINES]
    return [encoded.ids for encoded in tokenizer.encode_batch(lines, add_special_tokens=False)]


def layout(golden):
    """As JSON, a line of text or of indices a line."""

    def rows(items):
        return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"

    ids = ",\n".join(f'"{kind}": {rows(found)}' for kind, found in golden["ids"].items())
    return (
        f'{{"tokenizers": "{golden["tokenizers"]}",\n"text": {rows(golden["text"])},\n'
        f'"lines": {rows(golden["lines"])},\n"ids": {{{ids}}}}}\n'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conjoin")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    found = {"tokenizers": tokenizers.__version__, "text": TEXT, "lines": LINES, "ids": {}}
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text.txt"
        text.write_text("".join(f"{line}\n" for line in TEXT), encoding="utf-8")
        for kind, options in KINDS.items():
            path = (GOLDEN if arguments.write else pathlib.Path(folder)) / f"{kind}.json"
            run([arguments.conjoin, "data", "vocabulary", str(text), *options, "--out", str(path), "--force"])
            found["ids"][kind] = indices(path)
            if path.read_bytes() != (GOLDEN / path.name).read_bytes():
                sys.exit(f"{kind}: conjoin writes another vocabulary than {GOLDEN / path.name}")
    if arguments.write:
        (GOLDEN / "ids.json").write_text(layout(found), encoding="utf-8")
    if json.loads((GOLDEN / "ids.json").read_text(encoding="utf-8")) != found:
        sys.exit("tokenizers gives other indices than ids.json has")
    print(f"{len(LINES)} lines, {len(KINDS)} vocabularies: tokenizers {tokenizers.__version__} gives the same indices")


if __name__ == "__main__":
    main()
