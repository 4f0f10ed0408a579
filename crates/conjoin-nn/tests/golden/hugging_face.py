"""Golden files for the transformer modules of conjoin-nn: blocks of Hugging Face's transformers,
forward and gradient.

    python hugging_face.py   (needs torch, numpy, safetensors and transformers; writes beside itself)

BERT's encoder (norms behind, GELU, learned positions, a norm on the embeddings) and Marian's encoder and
decoder (norms behind, SiLU, sines before cosines), small and with random weights. As `make.py`, whose
format this follows; inputs are embeddings, before positions. What `marian` gives is what beam.py of
conjoin-tasks exports too.
"""

import torch
from torch import nn
from transformers import BertConfig, BertModel, MarianConfig, MarianModel

from make import Case, leaf

ROWS, TIME, STEPS, SIZE = 3, 5, 4, 8
TIME_LENGTHS, STEP_LENGTHS = torch.tensor([5, 1, 3]), torch.tensor([2, 4, 1])


class Joined:
    """Parameters that conjoin holds as one."""

    def __init__(self, *parts):
        self.parts = parts

    def detach(self):
        return torch.cat([part.detach() for part in self.parts])

    @property
    def grad(self):
        return torch.cat([part.grad for part in self.parts])


class Sum:
    """Parameters that conjoin holds as their sum; `row` of the second is added to all rows."""

    def __init__(self, table, other, row):
        self.table, self.other, self.row = table, other, row

    def detach(self):
        return self.table.detach() + self.other.detach()[self.row]

    @property
    def grad(self):
        return self.table.grad


def affine(name, module):
    return {f"{name}.weight": module.weight, f"{name}.bias": module.bias}


def attention(name, query, key, value, out):
    return {
        f"{name}.in_proj_weight": Joined(query.weight, key.weight, value.weight),
        f"{name}.in_proj_bias": Joined(query.bias, key.bias, value.bias),
        **affine(f"{name}.out_proj", out),
    }


def bert(model):
    """Parameters of a BERT encoder by conjoin's names."""
    embeddings = model.embeddings
    positions, kinds = embeddings.position_embeddings, embeddings.token_type_embeddings
    params = {
        "positions.weight": Sum(positions.weight, kinds.weight, 0),
        **affine("embedding_norm", embeddings.LayerNorm),
    }
    for index, layer in enumerate(model.encoder.layer):
        own, name = layer.attention.self, f"layers.{index}"
        params |= attention(
            f"{name}.self_attn", own.query, own.key, own.value, layer.attention.output.dense
        )
        params |= affine(f"{name}.norm1", layer.attention.output.LayerNorm)
        params |= affine(f"{name}.linear1", layer.intermediate.dense)
        params |= affine(f"{name}.linear2", layer.output.dense)
        params |= affine(f"{name}.norm2", layer.output.LayerNorm)
    return params


def marian(stack):
    """Parameters of a Marian encoder or decoder by conjoin's names."""
    params = {}
    for index, layer in enumerate(stack.layers):
        name = f"layers.{index}"

        def part(ours, theirs):
            return attention(
                f"{name}.{ours}", theirs.q_proj, theirs.k_proj, theirs.v_proj, theirs.out_proj
            )

        params |= part("self_attn", layer.self_attn)
        params |= affine(f"{name}.norm1", layer.self_attn_layer_norm)
        last = "norm2"
        if hasattr(layer, "encoder_attn"):
            params |= part("multihead_attn", layer.encoder_attn)
            params |= affine(f"{name}.norm2", layer.encoder_attn_layer_norm)
            last = "norm3"
        params |= affine(f"{name}.linear1", layer.fc1)
        params |= affine(f"{name}.linear2", layer.fc2)
        params |= affine(f"{name}.{last}", layer.final_layer_norm)
    return params


def randomised(model):
    for name, param in model.named_parameters():
        if not param.requires_grad:
            continue
        centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
        nn.init.uniform_(param, centre - 0.5, centre + 0.5)
    return model.double().eval()


def valid(lengths, time):
    """1 within the lengths, [rows, time]."""
    return (torch.arange(time)[None] < lengths[:, None]).long()


def cleared(states, lengths):
    return states.masked_fill(valid(lengths, states.shape[1])[:, :, None] == 0, 0.0)


def write_bert():
    config = BertConfig(
        vocab_size=11,
        hidden_size=SIZE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=7,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model, x = randomised(BertModel(config, add_pooling_layer=False)), leaf(ROWS, TIME, SIZE)
    # Small inputs: the variance added by the norms must be the same.
    small = 0.01 * x.detach()
    small.requires_grad_()
    with torch.no_grad():
        model.embeddings.position_embeddings.weight *= 0.01
        model.embeddings.token_type_embeddings.weight *= 0.01
    mask = valid(TIME_LENGTHS, TIME)
    states = model(inputs_embeds=small, attention_mask=mask).last_hidden_state
    Case("bert-encoder").write(
        bert(model),
        {"x": small},
        {"states": cleared(states, TIME_LENGTHS)},
        [("lengths", TIME_LENGTHS)],
    )


def write_marian():
    config = MarianConfig(
        vocab_size=11,
        d_model=SIZE,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        activation_function="swish",
        max_position_embeddings=16,
        dropout=0.0,
        scale_embedding=False,
        pad_token_id=0,
    )
    model = randomised(MarianModel(config))
    x = leaf(ROWS, TIME, SIZE)
    encoded = model.encoder(inputs_embeds=x, attention_mask=valid(TIME_LENGTHS, TIME))
    Case("marian-encoder").write(
        marian(model.encoder),
        {"x": x},
        {"states": cleared(encoded.last_hidden_state, TIME_LENGTHS)},
        [("lengths", TIME_LENGTHS)],
    )
    x, memory = leaf(ROWS, STEPS, SIZE), leaf(ROWS, TIME, SIZE)
    decoded = model.decoder(
        inputs_embeds=x,
        attention_mask=valid(STEP_LENGTHS, STEPS),
        encoder_hidden_states=memory,
        encoder_attention_mask=valid(TIME_LENGTHS, TIME),
        use_cache=False,
    )
    Case("marian-decoder").write(
        marian(model.decoder),
        {"x": x, "memory": memory},
        {"states": cleared(decoded.last_hidden_state, STEP_LENGTHS)},
        [("lengths", STEP_LENGTHS), ("memory_lengths", TIME_LENGTHS)],
    )


if __name__ == "__main__":
    torch.manual_seed(1)
    write_bert()
    write_marian()
