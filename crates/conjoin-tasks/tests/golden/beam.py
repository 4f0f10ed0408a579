"""Golden files for beam search: what Hugging Face's `generate` finds with a small Marian model that has
seen a little training, and its weights by conjoin's names.

    python beam.py        (needs torch, numpy, safetensors and transformers; writes beside itself)

All tables are tied. Symbols that conjoin never says (padding, begin, unknown) have a bias that keeps them
from being said here too. Inputs for which some beam is not ended by the end symbol in any of the cases are
left out: what is done with those is a matter of taste.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.numpy import save_file
from torch import nn
from transformers import GenerationConfig, MarianConfig, MarianMTModel

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[2] / "conjoin-nn/tests/golden"))
from hugging_face import marian  # noqa: E402

SYMBOLS, INPUTS, LONGEST = 24, 50, 24
PAD, BOS, EOS, UNK = range(4)

CASES = [
    {"beam": 4, "length_penalty": 1.0, "search": {"early_stopping": "heuristic"}},
    {"beam": 5, "length_penalty": 0.6, "search": {"early_stopping": "first"}},
    {"beam": 3, "length_penalty": 0.0, "search": {"early_stopping": "never"}},
    {"beam": 5, "length_penalty": 1.4, "search": {"early_stopping": "never"}},
    {
        "beam": 4,
        "length_penalty": 1.0,
        "search": {"early_stopping": "heuristic", "min_length": 5, "no_repeat_ngram": 2},
    },
]


def model():
    config = MarianConfig(
        vocab_size=SYMBOLS,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        activation_function="swish",
        max_position_embeddings=32,
        dropout=0.0,
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=None,
    )
    made = MarianMTModel(config)
    for name, param in made.named_parameters():
        if param.requires_grad:
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            nn.init.uniform_(param, centre - 0.25, centre + 0.25)
    bias = torch.zeros(SYMBOLS)
    bias[[PAD, BOS, UNK]] = -1e4
    made.final_logits_bias.copy_(bias[None])
    return made


def drawn(draw):
    length = int(torch.randint(2, 9, (1,), generator=draw))
    return torch.randint(4, SYMBOLS, (length,), generator=draw).tolist()


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def train(made, draw, steps=160):
    """Some steps towards saying the input backwards: enough for outputs that depend on it and end, not
    enough for a sure model."""
    optimiser = torch.optim.Adam(made.parameters(), lr=4e-3)
    for _ in range(steps):
        rows = [drawn(draw) for _ in range(32)]
        source = padded([row + [EOS] for row in rows])
        target = padded([row[::-1] + [EOS] for row in rows])
        before = padded([[BOS] + row[::-1] for row in rows])
        logits = made(
            input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=before
        ).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"loss {loss.item():.3f}", file=sys.stderr)
    return made.eval()


def found(made, inputs, case):
    """For each input the hypotheses, best first: tokens, score, whether they ended."""
    ids = padded(inputs)
    search = case["search"]
    stopping = {"heuristic": False, "first": True, "never": "never"}
    config = GenerationConfig(
        num_beams=case["beam"],
        num_return_sequences=case["beam"],
        length_penalty=case["length_penalty"],
        early_stopping=stopping[search["early_stopping"]],
        min_new_tokens=search.get("min_length"),
        no_repeat_ngram_size=search.get("no_repeat_ngram"),
        max_new_tokens=LONGEST,
        do_sample=False,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
        decoder_start_token_id=BOS,
        return_dict_in_generate=True,
        output_scores=True,
    )
    out = made.generate(ids, attention_mask=(ids != PAD).long(), generation_config=config)
    rows = []
    for sequence, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
        said = sequence[1:]
        ended = EOS in said
        rows.append({"tokens": said[: said.index(EOS)] if ended else said, "score": score, "ended": ended})
    return [rows[i : i + case["beam"]] for i in range(0, len(rows), case["beam"])]


def main():
    torch.set_num_threads(1)
    torch.manual_seed(3)
    draw = torch.Generator().manual_seed(5)
    made = train(model(), draw)
    inputs = [drawn(draw) + [EOS] for _ in range(80)]
    results = [found(made, inputs, case) for case in CASES]
    whole = [
        index
        for index in range(len(inputs))
        if all(one["ended"] for result in results for one in result[index])
    ][:INPUTS]
    assert len(whole) == INPUTS, len(whole)
    cases = []
    for case, result in zip(CASES, results):
        kept = [[[one["tokens"], one["score"]] for one in result[index]] for index in whole]
        cases.append({**case, "found": kept})
    golden = {
        "symbols": SYMBOLS,
        "longest": LONGEST,
        "inputs": [inputs[index] for index in whole],
        "cases": cases,
    }
    (HERE / "beam.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    arrays = {"source.table.weight": made.model.encoder.embed_tokens.weight}
    for name, stack in (("encoder", made.model.encoder), ("decoder", made.model.decoder)):
        arrays |= {f"{name}.{key}": value for key, value in marian(stack).items()}
    arrays["output.tied.bias"] = made.final_logits_bias[0]
    tied = made.model.decoder.embed_tokens.weight.data_ptr()
    assert tied == arrays["source.table.weight"].data_ptr() == made.lm_head.weight.data_ptr()
    save_file(
        {key: value.detach().contiguous().numpy() for key, value in arrays.items()},
        HERE / "marian.safetensors",
    )


if __name__ == "__main__":
    main()
