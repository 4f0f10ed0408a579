"""Makes the golden files of the vision operations and the optimisers: `python vision.py`, with torch
and safetensors installed. Images are stored channels last, convolution weights as [O, kh, kw, C]."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
torch.manual_seed(7)


def leaf(*size, scale=1.0):
    return (torch.randn(*size) * scale).requires_grad_()


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def record(store, case, inputs, y, **constants):
    """Stores inputs, output, a random gradient of the output and the gradients of the inputs."""
    dy = torch.randn_like(y)
    grads = torch.autograd.grad(y, list(inputs.values()), dy)
    tensors = {**inputs, **constants, "y": y, "dy": dy}
    tensors |= {f"d{name}": grad for name, grad in zip(inputs, grads)}
    for name, tensor in tensors.items():
        store[f"{case}.{name}"] = tensor.detach().contiguous().clone()


def save(name, store):
    path = HERE / f"{name}.safetensors"
    save_file(store, path)
    assert path.stat().st_size < 100_000, path


def conv(cases):
    store = {}
    for i, (b, h, w, c, o, kh, kw, stride, padding, bias) in enumerate(cases):
        inputs = {"x": leaf(b, h, w, c), "w": leaf(o, kh, kw, c, scale=(kh * kw * c) ** -0.5)}
        if bias:
            inputs["bias"] = leaf(o)
        y = F.conv2d(nchw(inputs["x"]), nchw(inputs["w"]), inputs.get("bias"), stride, padding)
        record(store, str(i), inputs, nhwc(y), options=torch.tensor([stride, padding]).float())
    return store


save("conv", conv([
    # B, H, W, C, O, kh, kw, stride, padding, bias
    (2, 7, 5, 1, 4, 3, 3, 1, 1, True),
    (1, 8, 9, 3, 5, 5, 5, 1, 2, True),
    (3, 6, 7, 4, 9, 1, 1, 1, 0, False),
    (2, 9, 8, 3, 6, 3, 3, 2, 1, True),
    (2, 7, 7, 5, 17, 1, 1, 2, 0, True),
    (1, 11, 6, 2, 3, 5, 5, 2, 2, False),
    (2, 5, 6, 3, 8, 3, 3, 1, 0, True),
    (2, 5, 7, 2, 3, 3, 1, 1, 1, True),
    (1, 10, 10, 1, 2, 3, 3, 3, 2, True),
    (1, 4, 4, 2, 2, 4, 2, 2, 0, True),
]))
save("conv_winograd", conv([(2, 9, 6, 16, 16, 3, 3, 1, 1, True), (1, 7, 8, 16, 16, 3, 3, 1, 0, False)]))


def batch_norm():
    store = {}
    shapes = [(6, 5), (1, 3, 4, 7), (2, 2, 2, 16), (9, 1)]
    for shape in shapes:
        for training in (True, False):
            for relu, residual in ((False, False), (True, False), (True, True), (False, True)):
                channels = shape[-1]
                inputs = {"x": leaf(*shape, scale=2.0), "gamma": leaf(channels), "beta": leaf(channels)}
                inputs["x"].data += 3.0
                if residual:
                    inputs["residual"] = leaf(*shape)
                rows = inputs["x"].reshape(-1, channels)
                mean, var = torch.randn(channels) + 3.0, torch.rand(channels) + 0.5
                running = (torch.zeros(channels), torch.zeros(channels)) if training else (mean, var)
                y = F.batch_norm(rows, *running, inputs["gamma"], inputs["beta"], training, 1.0, 1e-5)
                y = y.reshape(shape)
                if residual:
                    y = y + inputs["residual"]
                if relu:
                    y = y.relu()
                # With momentum 1 the running statistics are the batch's mean and unbiased variance.
                options = torch.tensor([training, relu]).float()
                case = f"{len(shape)}d-{shapes.index(shape)}{training:d}{relu:d}{residual:d}"
                record(store, case, inputs, y, mean=running[0], var=running[1], options=options)
    return store


save("batch_norm", batch_norm())


def pool():
    store = {}
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1)):
        for kind, operation in (("max", F.max_pool2d), ("avg", F.avg_pool2d)):
            inputs = {"x": leaf(2, 7, 6, 5)}
            y = nhwc(operation(nchw(inputs["x"]), kernel, stride, padding))
            options = torch.tensor([kernel, stride, padding]).float()
            record(store, f"{kind}-{kernel}{stride}{padding}", inputs, y, options=options)
    inputs = {"x": leaf(3, 4, 5, 6)}
    record(store, "global-", inputs, inputs["x"].mean((1, 2)))
    inputs = {"x": leaf(2, 3, 4, 5)}
    y = nhwc(F.interpolate(nchw(inputs["x"]), scale_factor=3, mode="nearest"))
    record(store, "upsample-", inputs, y, options=torch.tensor([3.0]))
    return store


save("pool", pool())


def linear():
    store = {}
    activations = {"none": lambda z: z, "relu": F.relu, "tanh": F.tanh, "sigmoid": F.sigmoid, "gelu": F.gelu}
    later = {"gelu_tanh": lambda z: F.gelu(z, approximate="tanh"), "silu": F.silu}

    def cases(activations):
        for name, activation in activations.items():
            for rows, inputs, outputs, bias in ((5, 7, 3, True), (1, 4, 9, False)):
                tensors = {"x": leaf(rows, inputs), "w": leaf(outputs, inputs)}
                if bias:
                    tensors["bias"] = leaf(outputs)
                y = activation(F.linear(tensors["x"], tensors["w"], tensors.get("bias")))
                record(store, f"{name}-{rows}", tensors, y)

    cases(activations)
    # Apart, so that the numbers of the files below stay as they were.
    with torch.random.fork_rng():
        cases(later)
    return store


save("linear", linear())

STEPS, CLIP = 10, 0.7
OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam_l2": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, weight_decay=0.1),
    "rmsprop_momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    "rmsprop_centered": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, centered=True),
    "rmsprop_all": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.5, centered=True),
}
shapes = [(5,), (3, 7), (2, 3, 17)]
store = {f"start.{i}": torch.randn(shape) for i, shape in enumerate(shapes)}
store |= {f"grad.{i}": torch.randn(STEPS, *shape) for i, shape in enumerate(shapes)}
for name, make in OPTIMISERS.items():
    params = [torch.nn.Parameter(store[f"start.{i}"].clone()) for i in range(len(shapes))]
    optimiser = make(params)
    for step in range(STEPS):
        for i, param in enumerate(params):
            param.grad = store[f"grad.{i}"][step] * CLIP
        optimiser.step()
    store |= {f"{name}.{i}": param.detach() for i, param in enumerate(params)}
save("optim", store)
