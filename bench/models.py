"""The models of the timed recipes in plain PyTorch.

Sizes are read from the recipe, so that both sides always build the same model; options that a recipe
leaves out have the defaults that `conjoin list nodes` shows.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PAD = 0


class Attention(nn.Module):
    """Any of the four scores, then Luong's merging `tanh(W [c; q])`."""

    def __init__(self, node: dict, query: int, memory: int):
        super().__init__()
        score = node.get("score", "general")
        size = node.get("size", query)
        self.scale = query**-0.5 if score == "scaled-dot" else 1.0
        self.additive = score == "additive"
        if self.additive:
            common = node.get("common", query)
            self.query = nn.Linear(query, common)
            self.memory = nn.Linear(memory, common, bias=False)
            self.vector = nn.Linear(common, 1, bias=False)
        else:
            self.query = nn.Linear(query, memory, bias=False) if score == "general" else nn.Identity()
        self.merge = nn.Linear(memory + query, size, bias=False)

    def keys(self, memory):
        """What every query is compared with."""
        return self.memory(memory) if self.additive else memory

    def forward(self, queries, memory, keys, mask):
        """Queries [B, U, Q], memory [B, T, M], mask [B, T] of valid positions -> contexts [B, U, M]."""
        if self.additive:
            hidden = torch.tanh(self.query(queries).unsqueeze(2) + keys.unsqueeze(1))
            scores = self.vector(hidden).squeeze(3)
        else:
            scores = torch.bmm(self.query(queries), keys.transpose(1, 2)) * self.scale
        weights = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(2)
        return torch.bmm(weights, memory)

    def merged(self, context, queries):
        return torch.tanh(self.merge(torch.cat([context, queries], 2)))


class G2p(nn.Module):
    """Letters to phonemes: bidirectional LSTM, attention, LSTM."""

    def __init__(self, recipe: dict, letters: int, phonemes: int):
        super().__init__()
        nodes = recipe["nodes"]
        expect(nodes["encoder"], cell="lstm", bidirectional=True, layers=1)
        expect(nodes["decoder"], cell="lstm", bidirectional=False, layers=1)
        expect(nodes["attention"], merge=True)
        encoder, decoder = nodes["encoder"]["hidden"], nodes["decoder"]["hidden"]
        size = nodes["attention"].get("size", decoder)
        self.letters = nn.Embedding(letters, nodes["letters"]["size"], padding_idx=PAD)
        self.encoder = nn.LSTM(
            nodes["letters"]["size"], encoder, batch_first=True, bidirectional=True
        )
        self.bridge = nn.Linear(2 * encoder, nodes["bridge"]["size"])
        self.phonemes = nn.Embedding(phonemes, nodes["phonemes"]["size"], padding_idx=PAD)
        self.decoder = nn.LSTM(nodes["phonemes"]["size"], decoder, batch_first=True)
        self.attention = Attention(nodes["attention"], decoder, 2 * encoder)
        self.output = nn.Linear(size, phonemes)
        self.letter_dropout = nn.Dropout(nodes["letters"].get("dropout", 0.0))
        self.phoneme_dropout = nn.Dropout(nodes["phonemes"].get("dropout", 0.0))
        self.bridge_dropout = nn.Dropout(nodes["bridge"].get("dropout", 0.0))
        self.output_dropout = nn.Dropout(nodes["output"].get("dropout", 0.0))
        self.smoothing = smoothing(recipe["objectives"]["phonemes"]["loss"])

    def encode(self, letters, lengths):
        """Letters [B, T] with their lengths -> memory [B, T, 2E] and the decoder's first state."""
        vectors = self.letter_dropout(self.letters(letters))
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.encoder(packed)
        memory, _ = pad_packed_sequence(states, batch_first=True)
        bridge = torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1)))
        return memory, self.bridge_dropout(bridge).unsqueeze(0)

    def decode(self, tokens, state, memory, keys, mask):
        """Tokens [B, U] after a state -> logits [B, U, V] and the state behind them."""
        states, state = self.decoder(self.phoneme_dropout(self.phonemes(tokens)), state)
        context = self.attention(states, memory, keys, mask)
        attended = self.attention.merged(context, states)
        return self.output(self.output_dropout(attended)), state

    def forward(self, letters, lengths, tokens):
        memory, first = self.encode(letters, lengths)
        mask = torch.arange(memory.shape[1]) < lengths.unsqueeze(1)
        state = (first, torch.zeros_like(first))
        # Positions behind a target's end change nothing before them, and the loss leaves them out.
        return self.decode(tokens, state, memory, self.attention.keys(memory), mask)[0]

    def loss(self, batch: dict):
        logits = self(batch["letters"], batch["letters.lengths"], batch["phonemes_in"])
        return cross_entropy(
            logits.flatten(0, 1),
            batch["phonemes_out"].flatten(),
            ignore_index=PAD,
            label_smoothing=self.smoothing,
        )


class ConvNorm(nn.Sequential):
    def __init__(self, channels: int, output: int, kernel: int, stride: int):
        conv = nn.Conv2d(channels, output, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(output))


class Block(nn.Module):
    """A ResNet basic block, or one convolution; with pooling it halves the size first."""

    def __init__(self, channels: int, output: int, stride: int, pool: bool, residual: bool):
        super().__init__()
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.first = ConvNorm(channels, output, 3, stride)
        self.second = ConvNorm(output, output, 3, 1) if residual else None
        changes = stride > 1 or channels != output
        self.shortcut = (
            ConvNorm(channels, output, 1, stride) if residual and changes else nn.Identity()
        )

    def forward(self, x):
        x = self.pool(x)
        y = torch.relu(self.first(x))
        if self.second is None:
            return y
        return torch.relu(self.second(y) + self.shortcut(x))


class Images(nn.Module):
    """A convolutional encoder, a hidden layer where the recipe has one, and a linear classifier."""

    def __init__(self, recipe: dict, classes: int):
        super().__init__()
        node = recipe["nodes"]["features"]
        columns = recipe["data"]["train"]["source"].get("columns", {})
        height, width, channels = columns.get("image", {"shape": [28, 28, 1]})["shape"]
        image = torch.zeros(1, channels, height, width)
        stem = node.get("stem", 16)
        residual = node.get("residual", True)
        pools = node.get("pool", "stride") == "max"
        blocks = [Block(channels, stem, 1, False, False)]
        channels = stem
        for stage, width in enumerate(node.get("widths", [32, 64])):
            for block in range(node.get("blocks", 1)):
                halves = block == 0 and (stage > 0 or node.get("reduce_first", True))
                stride = 2 if halves and not pools else 1
                blocks.append(Block(channels, width, stride, halves and pools, residual))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.flatten = node.get("head", "avg") == "flatten"
        # One image tells how large the map is.
        with torch.no_grad():
            height, width = self.features.eval()(image).shape[2:]
        size = channels * height * width if self.flatten else channels
        self.dropout = nn.Dropout(node.get("dropout", 0.0))
        self.classifier_dropout = nn.Dropout(recipe["nodes"]["classifier"].get("dropout", 0.0))
        hidden = recipe["nodes"].get("hidden")
        self.hidden = nn.Linear(size, hidden["size"]) if hidden else None
        self.hidden_dropout = nn.Dropout(hidden.get("dropout", 0.0) if hidden else 0.0)
        self.classifier = nn.Linear(hidden["size"] if hidden else size, classes)
        self.smoothing = smoothing(recipe["objectives"]["label"]["loss"])
        self.train()

    def forward(self, image):
        features = self.features(image)
        features = features.flatten(1) if self.flatten else features.mean((2, 3))
        features = self.dropout(features)
        if self.hidden is not None:
            features = self.hidden_dropout(torch.relu(self.hidden(features)))
        return self.classifier(self.classifier_dropout(features))

    def loss(self, batch: dict):
        return cross_entropy(
            self(batch["image"]), batch["label"], label_smoothing=self.smoothing
        )


class UNet(nn.Module):
    """Images to images: a plain encoder with max-pooling, a decoder with skips, a linear head."""

    class Level(nn.Module):
        def __init__(self, channels: int, skip: int, width: int, blocks: int):
            super().__init__()
            self.up = nn.ConvTranspose2d(channels, width, 2, 2)
            first = Block(width + skip, width, 1, False, False)
            rest = [Block(width, width, 1, False, False) for _ in range(blocks - 1)]
            self.blocks = nn.Sequential(first, *rest)

        def forward(self, x, skip):
            return self.blocks(torch.cat([self.up(x), skip], 1))

    def __init__(self, recipe: dict):
        super().__init__()
        encoder, decoder = recipe["nodes"]["encoder"], recipe["nodes"]["decoder"]
        expect(encoder, residual=False, pool="max", stages=True)
        blocks = encoder["blocks"]
        sizes = [encoder["stem"], *encoder["widths"]]
        _, _, channels = recipe["data"]["train"]["source"]["columns"]["image"]["shape"]
        stages = [Block(channels, sizes[0], 1, False, False)]
        for before, width in zip(sizes, sizes[1:]):
            first = Block(before, width, 1, True, False)
            rest = [Block(width, width, 1, False, False) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
        self.encoder = nn.ModuleList(stages)
        skips, levels, before = sizes[-2::-1], [], sizes[-1]
        for skip, width in zip(skips, decoder["widths"]):
            levels.append(self.Level(before, skip, width, decoder["blocks"]))
            before = width
        self.decoder = nn.ModuleList(levels)
        self.head = nn.Conv2d(before, recipe["nodes"]["head"]["size"], 1)

    def forward(self, image):
        maps = []
        for stage in self.encoder:
            maps.append(stage(maps[-1] if maps else image))
        x = maps.pop()
        for level in self.decoder:
            x = level(x, maps.pop())
        return self.head(x)

    def loss(self, batch: dict):
        # The target is stored with its channels last.
        return mse_loss(self(batch["image"]).permute(0, 2, 3, 1), batch["target"])


class VisionTransformer(nn.Module):
    """Patches, a class token, learned positions, a pre-norm encoder, a linear classifier."""

    class Patches(nn.Module):
        def __init__(self, channels: int, patch: int, size: int):
            super().__init__()
            self.map = nn.Conv2d(channels, size, patch, patch)
            self.token = nn.Parameter(torch.zeros(size))

        def forward(self, image):
            patches = self.map(image).flatten(2).transpose(1, 2)
            token = self.token.expand(len(patches), 1, -1)
            return torch.cat([token, patches], 1)

    class Encoder(nn.Module):
        def __init__(self, node: dict, size: int):
            super().__init__()
            expect(node, norm="pre", positions="learned", activation="gelu")
            layer = nn.TransformerEncoderLayer(
                size,
                node["heads"],
                node["hidden"],
                node.get("dropout", 0.0),
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            self.positions = nn.Parameter(0.02 * torch.randn(node["max_length"], size))
            norm = nn.LayerNorm(size)
            self.layers = nn.TransformerEncoder(
                layer, node["layers"], norm, enable_nested_tensor=False
            )

        def forward(self, x):
            return self.layers(x + self.positions)

    def __init__(self, recipe: dict, classes: int):
        super().__init__()
        nodes = recipe["nodes"]
        expect(nodes["patches"], class_token=True)
        expect(nodes["class"], take="first")
        size = nodes["patches"]["size"]
        _, _, channels = recipe["data"]["train"]["source"]["columns"]["image"]["shape"]
        self.patches = self.Patches(channels, nodes["patches"]["patch"], size)
        self.encoder = self.Encoder(nodes["encoder"], size)
        # `class` picks a position; a module named so, without weights, answers for the node.
        setattr(self, "class", nn.Identity())
        self.classifier = nn.Linear(size, classes)

    def forward(self, image):
        return self.classifier(self.encoder(self.patches(image))[:, 0])

    def loss(self, batch: dict):
        return cross_entropy(self(batch["image"]), batch["label"])


class Gru(nn.Module):
    """Tokens to tokens: GRU, attention, GRU."""

    def __init__(self, recipe: dict, vocabularies: dict):
        super().__init__()
        nodes = recipe["nodes"]
        expect(nodes["encoder"], cell="gru", bidirectional=False, layers=1)
        expect(nodes["decoder"], cell="gru", bidirectional=False, layers=1)
        encoder, decoder = nodes["encoder"]["hidden"], nodes["decoder"]["hidden"]
        source, said = nodes["source"]["size"], nodes["said"]["size"]
        size = nodes["attention"].get("size", decoder)
        self.source = nn.Embedding(len(vocabularies["source"]), source, padding_idx=PAD)
        self.encoder = nn.GRU(source, encoder, batch_first=True)
        self.said = nn.Embedding(len(vocabularies["said"]), said, padding_idx=PAD)
        self.decoder = nn.GRU(said, decoder, batch_first=True)
        self.attention = Attention(nodes["attention"], decoder, encoder)
        self.output = nn.Linear(size, len(vocabularies["target"]))

    def loss(self, batch: dict):
        # Every row is as long as the others, so nothing needs packing.
        memory, last = self.encoder(self.source(batch["source"]))
        states, _ = self.decoder(self.said(batch["said"]), last)
        mask = torch.ones(memory.shape[:2], dtype=torch.bool)
        context = self.attention(states, memory, self.attention.keys(memory), mask)
        logits = self.output(self.attention.merged(context, states))
        return cross_entropy(logits.flatten(0, 1), batch["target"].flatten(), ignore_index=PAD)


class Attentive(nn.Module):
    """Tokens to tokens: LSTM, and an LSTM cell in a loop that attends before each step."""

    class Decoder(nn.Module):
        def __init__(self, node: dict, features: int, memory: int):
            super().__init__()
            self.attention = Attention(node, node["hidden"], memory)
            self.cell = nn.LSTMCell(features + memory, node["hidden"])

        def forward(self, x, first, memory):
            # Every row is as long as the others, so nothing is padded.
            mask = torch.ones(memory.shape[:2], dtype=torch.bool)
            keys = self.attention.keys(memory)
            hidden, carried = first, torch.zeros_like(first)
            states, contexts = [], []
            for step in range(x.shape[1]):
                context = self.attention(hidden.unsqueeze(1), memory, keys, mask).squeeze(1)
                read = torch.cat([x[:, step], context], 1)
                hidden, carried = self.cell(read, (hidden, carried))
                states.append(hidden)
                contexts.append(context)
            return self.attention.merged(torch.stack(contexts, 1), torch.stack(states, 1))

    def __init__(self, recipe: dict, vocabularies: dict):
        super().__init__()
        nodes = recipe["nodes"]
        expect(nodes["encoder"], cell="lstm", bidirectional=False, layers=1)
        expect(nodes["decoder"], cell="lstm", layers=1, merge=True)
        source, said = nodes["source"]["size"], nodes["said"]["size"]
        encoder, decoder = nodes["encoder"]["hidden"], nodes["decoder"]
        self.source = nn.Embedding(len(vocabularies["source"]), source, padding_idx=PAD)
        self.encoder = nn.LSTM(source, encoder, batch_first=True)
        self.said = nn.Embedding(len(vocabularies["said"]), said, padding_idx=PAD)
        self.decoder = self.Decoder(decoder, said, encoder)
        size = decoder.get("size", decoder["hidden"])
        self.output = nn.Linear(size, len(vocabularies["target"]))

    def loss(self, batch: dict):
        memory, (last, _) = self.encoder(self.source(batch["source"]))
        logits = self.output(self.decoder(self.said(batch["said"]), last[0], memory))
        return cross_entropy(logits.flatten(0, 1), batch["target"].flatten(), ignore_index=PAD)


class BiLstm(nn.Module):
    """A class for a sequence of features: the last states of both directions, a linear layer."""

    def __init__(self, recipe: dict, classes: int):
        super().__init__()
        node = recipe["nodes"]["encoder"]
        expect(node, cell="lstm", bidirectional=True, layers=1)
        size = recipe["data"]["train"]["source"]["columns"]["frames"]["shape"][1]
        self.encoder = nn.LSTM(size, node["hidden"], batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * node["hidden"], classes)

    def loss(self, batch: dict):
        _, (last, _) = self.encoder(batch["frames"])
        logits = self.classifier(torch.cat([last[0], last[1]], 1))
        return cross_entropy(logits, batch["label"])


class Transformer(nn.Module):
    """Tokens to tokens: sinusoidal positions, encoder, decoder."""

    def __init__(self, recipe: dict, vocabularies: dict):
        super().__init__()
        nodes = recipe["nodes"]
        size = nodes["source"]["size"]

        def layer(node, make):
            expect(node, norm="post", positions="sinusoidal")
            return make(
                size,
                node["heads"],
                node.get("hidden", 4 * size),
                node.get("dropout", 0.0),
                batch_first=True,
            )

        encoder, decoder = nodes["encoder"], nodes["decoder"]
        self.source = nn.Embedding(len(vocabularies["source"]), size, padding_idx=PAD)
        self.encoder = nn.TransformerEncoder(
            layer(encoder, nn.TransformerEncoderLayer), encoder["layers"]
        )
        self.said = nn.Embedding(len(vocabularies["said"]), size, padding_idx=PAD)
        self.decoder = nn.TransformerDecoder(
            layer(decoder, nn.TransformerDecoderLayer), decoder["layers"]
        )
        self.output = nn.Linear(size, len(vocabularies["target"]))
        length = recipe["data"]["train"]["source"]["columns"]["source"]["length"][1]
        angles = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
        self.positions = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
        self.causal = nn.Transformer.generate_square_subsequent_mask(length)

    def forward(self, source, said):
        # Every row is as long as the others, so nothing is padded.
        memory = self.encoder(self.source(source) + self.positions)
        said = self.said(said) + self.positions
        states = self.decoder(said, memory, tgt_mask=self.causal, tgt_is_causal=True)
        return self.output(states)

    def loss(self, batch: dict):
        logits = self(batch["source"], batch["said"])
        return cross_entropy(logits.flatten(0, 1), batch["target"].flatten(), ignore_index=PAD)


def expect(node: dict, **wanted):
    """Refuses a recipe that these models do not follow."""
    defaults = {
        "cell": "lstm",
        "bidirectional": False,
        "layers": 1,
        "merge": True,
        "norm": "pre",
        "positions": "sinusoidal",
        "residual": True,
        "pool": "stride",
        "stages": False,
        "class_token": False,
        "activation": "relu",
        "take": "mean",
    }
    for key, value in wanted.items():
        found = node.get(key, defaults.get(key))
        if found != value:
            raise SystemExit(f"bench/models.py builds {key} = {value!r} only, found {found!r}")


def smoothing(loss) -> float:
    return loss.get("smoothing", 0.0) if isinstance(loss, dict) else 0.0


def images(recipe: dict, vocabularies: dict):
    return Images(recipe, len(vocabularies["label"]))


# How a system's model is built from its recipe and the vocabularies of its columns.
BUILD = {
    "g2p": lambda recipe, vocabularies: G2p(
        recipe, len(vocabularies["letters"]), len(vocabularies["phonemes_out"])
    ),
    "fashion": images,
    "cnn": images,
    "resnet18": images,
    "vit": lambda recipe, vocabularies: VisionTransformer(recipe, len(vocabularies["label"])),
    "unet": lambda recipe, vocabularies: UNet(recipe),
    "gru": Gru,
    "attentive": Attentive,
    "transformer": Transformer,
    "bilstm": lambda recipe, vocabularies: BiLstm(recipe, len(vocabularies["label"])),
}


def optimiser_of(model, stage: dict):
    """The stage's AdamW with its peak learning rate, PyTorch's fused version."""
    found = stage.get("optimiser", "adamw")
    options = found if isinstance(found, dict) else {"kind": found}
    if options.get("kind") != "adamw" or not isinstance(stage["lr"], float):
        raise SystemExit(f"the benchmark wants AdamW and one learning rate, found {found!r}")
    return torch.optim.AdamW(
        model.parameters(),
        lr=stage["lr"],
        betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
        eps=options.get("eps", 1e-8),
        weight_decay=options.get("weight_decay", 0.01),
        fused=True,
    )
