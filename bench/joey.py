"""Trains Joey NMT 2.3 on the pairs of recipes/translate-transformer.toml: the same TSV files, a model of the
same size (three layers a side, 256 features, 4 heads, one tied table of 4,000 subwords), the recipe's dropout and
batches of as many tokens, and scores it on the test pages with sacreBLEU.

    bench/setup.sh joey
    bench/.venv/bin/python bench/joey.py --updates 100      # seconds an update, on a quiet machine
    bench/.venv/bin/python bench/joey.py --updates 4000     # as many as fit into the time to compare

`translation.py` runs it beside conjoin for as long as that takes.
"""

import argparse
import json
import sys
import time
import tomllib
from pathlib import Path

import sacrebleu
import sentencepiece
import torch
import yaml

HERE = Path(__file__).resolve().parent
SIZE = 4000
LONGEST = 128
RECIPE = HERE.parent / "recipes/translate-transformer.toml"


def read_pairs(path):
    with path.open(encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t")[:2] for line in file]


def prepare(data, out, every):
    """The splits as plain files, one subword model for both sides, and its symbols as vocabulary."""
    out.mkdir(parents=True, exist_ok=True)
    pairs = {split: read_pairs(data / f"{split}.tsv") for split in ("train", "valid", "test")}
    pairs["test"] = pairs["test"][::every]
    # Joey NMT scores all of the validation pairs each time; as many as conjoin's recipe takes are enough.
    pairs["valid"] = pairs["valid"][:500]
    for split, rows in pairs.items():
        for side, language in enumerate(("en", "de")):
            text = "".join(row[side] + "\n" for row in rows)
            (out / f"{split}.{language}").write_text(text, encoding="utf-8")
    model = out / "bpe"
    if not model.with_suffix(".model").exists():
        sentencepiece.SentencePieceTrainer.train(
            input=[str(out / "train.en"), str(out / "train.de")],
            model_prefix=str(model),
            model_type="bpe",
            vocab_size=SIZE,
            character_coverage=1.0,
            unk_id=0,
            pad_id=1,
            bos_id=2,
            eos_id=3,
        )
    rows = model.with_suffix(".vocab").read_text(encoding="utf-8").splitlines()
    special = {"<unk>", "<pad>", "<s>", "</s>"}
    symbols = [row.split("\t")[0] for row in rows]
    (out / "vocab.txt").write_text(
        "".join(symbol + "\n" for symbol in symbols if symbol not in special), encoding="utf-8"
    )
    return pairs["test"]


def configuration(out, updates, beam, tokens):
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    nodes = recipe["nodes"]
    language = lambda code: {
        "lang": code,
        "max_length": LONGEST,
        "level": "bpe",
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(out / "bpe.model")},
        "voc_file": str(out / "vocab.txt"),
    }
    layers = {
        "type": "transformer",
        "num_layers": 3,
        "num_heads": 4,
        "hidden_size": 256,
        "ff_size": 1024,
        "dropout": nodes["encoder"].get("dropout", 0.0),
        "layer_norm": "pre",
        "embeddings": {
            "embedding_dim": 256,
            "scale": True,
            "dropout": nodes["source"].get("dropout", 0.0),
        },
    }
    return {
        "name": "help",
        "joeynmt_version": "2.3.0",
        "model_dir": str(out / "model"),
        "use_cuda": False,
        "random_seed": 7,
        "data": {
            "train": str(out / "train"),
            "dev": str(out / "valid"),
            "test": str(out / "test"),
            "dataset_type": "plain",
            "src": language("en"),
            "trg": language("de"),
        },
        "testing": {
            "batch_size": 64,
            "batch_type": "sentence",
            "max_output_length": LONGEST,
            "eval_metrics": ["bleu"],
            "sacrebleu_cfg": {"tokenize": "13a"},
            "beam_size": beam,
            "beam_alpha": 1.0,
        },
        "training": {
            "optimizer": "adamw",
            "adam_betas": [0.9, 0.98],
            "learning_rate": 1e-3,
            "learning_rate_min": 1e-8,
            "learning_rate_warmup": 400,
            "scheduling": "warmupinversesquareroot",
            "clip_grad_norm": 1.0,
            "label_smoothing": 0.1,
            "loss": "crossentropy",
            "normalization": "tokens",
            "batch_size": tokens or recipe["data"]["train"]["loader"]["batch"]["tokens"],
            "batch_type": "token",
            "epochs": 1000,
            "updates": updates,
            "validation_freq": max(100, min(1000, updates // 100 * 100)),
            "logging_freq": 100,
            "early_stopping_metric": "bleu",
            "keep_best_ckpts": 1,
            "shuffle": True,
            "print_valid_sents": [0],
        },
        "model": {
            "initializer": "xavier_uniform",
            "init_gain": 1.0,
            "bias_initializer": "zeros",
            "embed_initializer": "xavier_uniform",
            "embed_init_gain": 1.0,
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": layers,
            "decoder": dict(layers),
        },
    }


def stop_when(path):
    """Ends a training once the file is there; its last weights are kept."""
    from joeynmt.training import TrainManager

    step = TrainManager._train_step

    def until(self, batch):
        if path.exists():
            self.stats.is_max_update = True
        return step(self, batch)

    TrainManager._train_step = until


def score(config, out, references):
    """BLEU and chrF of the translations of the test pairs."""
    from joeynmt.prediction import test

    del config["data"]["dev"]
    began = time.perf_counter()
    test(cfg=config, output_path=str(out / "hypotheses"), prepared=None, save_attention=False)
    seconds = time.perf_counter() - began
    hypotheses = (out / "hypotheses.test").read_text(encoding="utf-8").splitlines()
    assert len(hypotheses) == len(references), (len(hypotheses), len(references))
    return {
        "pairs": len(references),
        "translating_seconds": round(seconds, 1),
        "bleu": round(sacrebleu.corpus_bleu(hypotheses, [references]).score, 2),
        "chrf": round(sacrebleu.corpus_chrf(hypotheses, [references]).score, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent / "data/help-en-de")
    parser.add_argument("--out", type=Path, default=HERE / "work/joey")
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--until", type=Path, help="stop once this file is there, without validation before")
    parser.add_argument("--every", type=int, default=1, help="test every n-th pair alone")
    parser.add_argument("--tokens", type=int, help="in a batch, padding counted; the recipe's by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beam", type=int, default=5, help="1 is greedy")
    parser.add_argument("--no-test", action="store_true", help="time the updates alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    from joeynmt.training import train

    if arguments.until:
        stop_when(arguments.until)

    if not (arguments.data / "train.tsv").exists():
        sys.exit(f"{arguments.data}/train.tsv: not there; the recipe's header says how it is made")
    pairs = prepare(arguments.data, arguments.out, arguments.every)
    config = configuration(arguments.out, arguments.updates, arguments.beam, arguments.tokens)
    if arguments.until:
        # Must be a multiple of `logging_freq`.
        config["training"]["validation_freq"] = (arguments.updates // 100 + 1) * 100
    path = arguments.out / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    model = Path(config["model_dir"])

    if model.exists():
        sys.exit(f"{model}: exists; remove it or choose another --out")
    model.mkdir(parents=True)
    began = time.perf_counter()
    train(rank=0, world_size=None, cfg=yaml.safe_load(path.read_text(encoding="utf-8")), skip_test=True)
    seconds = time.perf_counter() - began
    # The newest checkpoint is called after its updates.
    updates = int((model / "latest.ckpt").resolve().stem)
    result = {"updates": updates, "seconds": round(seconds, 1)}
    if not arguments.no_test:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        result |= score(config, arguments.out, [row[1] for row in pairs])
    result["model"] = str(model)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
