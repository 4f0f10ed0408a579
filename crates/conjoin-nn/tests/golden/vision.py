"""Golden files for the vision modules of conjoin-nn that `make.py` does not make.

    python vision.py        (needs torch, numpy and safetensors; writes beside itself)

The files hold what `make.py` describes.
"""

import torch
import torch.nn.functional as F
from torch import nn

from make import Block, Case, ConvNorm, leaf


def patch_embedding(name, class_token):
    """The front of a vision transformer: a convolution with its own size as stride, and a token."""
    conv = nn.Conv2d(2, 5, 3, 3).double()
    image = leaf(2, 2, 6, 9)
    patches = conv(image).flatten(2).transpose(1, 2)
    params = {"weight": conv.weight, "bias": conv.bias}
    if class_token:
        params["class_token"] = leaf(5)
        token = params["class_token"].expand(2, 1, 5)
        patches = torch.cat([token, patches], 1)
    Case(name).write(params, {"image": image}, {"y": patches})


def pooling():
    """The mean and the largest values of the valid positions."""
    x, lengths = leaf(3, 4, 5), torch.tensor([4, 2, 1])
    valid = (torch.arange(4) < lengths[:, None])[:, :, None]
    mean = torch.where(valid, x, 0).sum(1) / lengths[:, None]
    largest = torch.where(valid, x, float("-inf")).amax(1)
    outputs = {"mean": mean, "max": largest}
    Case("pooling").write({}, {"x": x}, outputs, [("lengths", lengths)])


def conv_decoder():
    """Two levels of a U-Net's decoder, the first without a skip."""
    map_, skip = leaf(2, 4, 2, 3), leaf(2, 2, 8, 12)
    params, y = {}, map_
    for level, (channels, width) in enumerate([(4, 6), (6, 5)]):
        up = nn.ConvTranspose2d(channels, width, 2, 2).double()
        y = up(y)
        y = torch.cat([y, skip], 1) if level == 1 else y
        params |= {f"levels.{level}.weight": up.weight, f"levels.{level}.bias": up.bias}
        for block in range(2):
            conv = ConvNorm(y.shape[1], width, 3, 1).double()
            y = F.relu(conv(y))
            params |= conv.params(f"levels.{level}.blocks.{block}.")
    Case("conv-decoder").write(params, {"map": map_, "skip": skip}, {"y": y})


def strided_stem():
    """A residual encoder behind a stem that looks at 5 by 5 pixels and takes each second place."""
    blocks = {"blocks.0.first": ConvNorm(2, 4, 5, 2)}
    stem = blocks["blocks.0.first"].double()
    body = [Block(4, 4, 1, False, True).double(), Block(4, 6, 2, False, True).double()]
    image = leaf(3, 2, 11, 8)
    y = F.relu(stem(image))
    for i, block in enumerate(body):
        y = block(y)
        blocks |= {f"blocks.{i + 1}.{part}": conv for part, conv in block.named_children()}
    params = {}
    for name, conv in blocks.items():
        params |= conv.params(f"{name}.")
    Case("encoder-strided-stem").write(params, {"image": image}, {"map": y})


if __name__ == "__main__":
    torch.manual_seed(2)
    patch_embedding("patch-embedding", class_token=False)
    patch_embedding("patch-embedding-class", class_token=True)
    pooling()
    conv_decoder()
    strided_stem()
