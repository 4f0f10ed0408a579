"""Golden files for the bird's-eye view of conjoin-nn: unprojection, heads on grids, decoding of boxes.

    python birds_eye.py        (needs torch, numpy and safetensors; writes beside itself)

The files hold what `make.py` describes; maps are written channels last already.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

import make
from make import Case, ConvNorm, leaf


class Last(Case):
    """Arrays are stored as they are, except convolution kernels."""

    def put(self, key, tensor):
        if ".hidden.weight" in key:
            tensor = tensor.permute(0, 2, 3, 1)
        make.channels_last, kept = (lambda t: t), make.channels_last
        super().put(key, tensor)
        make.channels_last = kept


# Two cameras that look 20 degrees to the left and 30 to the right, 7 degrees down, and whose views overlap.
WIDTH, HEIGHT = 40, 24
CAMERAS = [(1.5, 0.3, 1.4, 20.0), (1.2, -0.4, 1.6, -30.0)]
CELLS, EXTENT, HEIGHTS = (9, 8), (-4.0, 20.0, -12.0, 10.0), (0.0, 0.8, 2.0)


def camera(x, y, z, yaw):
    yaw, pitch = math.radians(yaw), math.radians(7)
    forward = [math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), -math.sin(pitch)]
    forward, right = torch.tensor(forward), torch.tensor([math.sin(yaw), -math.cos(yaw), 0.0])
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward]).double()
    translation = -rotation @ torch.tensor([x, y, z]).double()
    return torch.cat([rotation, translation[:, None]], 1)


def placed(pose):
    """The transform from a vehicle with this pose to the ground."""
    x, y, heading = pose.tolist()
    cos, sin = math.cos(heading), math.sin(heading)
    rows = [[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def view_to_bev(name, poses=None, depths=None):
    """Samples of `grid_sample` at the projected points, the mean over the cameras that see them; of earlier views
    where these points were seen from where the vehicle stood. With depths, samples in the volume of features times how
    likely each depth is ("Lift, Splat, Shoot", `get_cam_feats`), relative to all being equally likely."""
    views, size, channels = len(CAMERAS), 5, 4
    moments = 1 if poses is None else poses.shape[1]
    features = leaf(2, moments * views, 6, 10, channels)
    intrinsics = torch.tensor([[22.0, 0.5, 19.0], [0.0, 21.0, 13.0], [0.0, 0.0, 1.0]]).double()
    extrinsics = torch.stack([camera(*c) for c in CAMERAS])
    x0, x1, y0, y1 = EXTENT
    xs = x0 + (torch.arange(CELLS[0]).double() + 0.5) * (x1 - x0) / CELLS[0]
    ys = y0 + (torch.arange(CELLS[1]).double() + 0.5) * (y1 - y0) / CELLS[1]
    zs = torch.tensor(HEIGHTS).double()
    points = torch.stack(torch.meshgrid(xs, ys, zs, indexing="ij"), -1).reshape(-1, 3)
    points = F.pad(points, (0, 1), value=1.0)

    if depths is not None:
        count, nearest, farthest = depths
        depth = nn.Linear(channels, count).double()
        likely = depth(features).softmax(-1)

    def sampled_at(sample, view, pixel, along):
        grid = torch.nan_to_num(2 * pixel / torch.tensor([WIDTH, HEIGHT]) - 1).clamp(-10, 10)
        image = features[sample, view].permute(2, 0, 1)
        if depths is None:
            found = F.grid_sample(image[None], grid[None, None], padding_mode="border", align_corners=False)
            return found[0, :, 0].T
        volume = image[:, None] * likely[sample, view].permute(2, 0, 1)[None] * count
        # The first and the last depth lie at the ends, where borders of other axes lie half a position further out.
        z = (2 * (along - nearest) / (farthest - nearest) - 1) * (count - 1) / count
        place = torch.cat([grid, z.clamp(-10, 10)[:, None]], 1)[None, None, None]
        found = F.grid_sample(volume[None], place, padding_mode="border", align_corners=False)
        return found[0, :, 0, 0].T

    def look(sample, moment):
        total, seen = 0.0, torch.zeros(len(points), dtype=torch.float64)
        there = points
        if poses is not None:
            there = points @ (placed(poses[sample, moment]).inverse() @ placed(poses[sample, -1])).T
        for view, extrinsic in enumerate(extrinsics):
            local = there @ extrinsic.T
            pixel = local @ intrinsics.T
            pixel = pixel[:, :2] / pixel[:, 2:]
            inside = (pixel >= 0).all(1) & (pixel[:, 0] < WIDTH) & (pixel[:, 1] < HEIGHT)
            inside = (inside & (local[:, 2] >= 0.1)).double()
            sampled = sampled_at(sample, moment * views + view, pixel, local[:, 2])
            total = total + sampled * inside[:, None]
            seen = seen + inside
        assert {0.0, 1.0, 2.0} == set(seen.tolist())
        return total / seen.clamp(min=1)[:, None]

    looks = [torch.stack([look(sample, m) for m in range(moments)], 1) for sample in range(2)]
    layer = nn.Linear(len(HEIGHTS) * moments * channels, size).double()
    y = layer(torch.stack(looks).reshape(2, *CELLS, -1))
    params = {"map.weight": layer.weight, "map.bias": layer.bias}
    outputs = {"map": y}
    if depths is not None:
        params |= {"depth.weight": depth.weight, "depth.bias": depth.bias}
        outputs["depths"] = likely
    constants = [("intrinsics", intrinsics), ("extrinsics", extrinsics)]
    if poses is not None:
        constants.append(("poses", poses))
    Last(name).write(params, {"features": features}, outputs, constants)


def grid_head(name, state=None):
    """A convolution with batch normalisation and ReLU, then an affine map of each cell; a linear map of the state is
    added to all cells before the ReLU."""
    features = leaf(2, 5, 4, 3)
    hidden, layer = ConvNorm(3, 6, 3, 1).double(), nn.Linear(6, 2).double()
    cells = hidden(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    params, inputs = {}, {"features": features}
    if state is not None:
        added = nn.Linear(state.shape[1], 6, bias=False).double()
        cells = cells + added(state)[:, None, None]
        params, inputs = {"state.weight": added.weight}, inputs | {"state": state}
    y = layer(F.relu(cells))
    params |= hidden.params("hidden.") | {"map.weight": layer.weight, "map.bias": layer.bias}
    Last(name).write(params, inputs, {"values": y})


def boxes(temperature=0.5, count=6, threshold=0.3):
    """CenterNet's decoding (`_nms` and `_topk` of github.com/xingyizhou/CenterNet, decode.py) for boxes on
    the ground."""
    logits, values = leaf(3, *CELLS, 1), leaf(3, *CELLS, 11)
    with torch.no_grad():
        values[..., 4:6] *= 3  # some sizes beyond the limits
        logits[2] -= 3  # hardly any peaks
    heat = torch.sigmoid(logits).detach().requires_grad_()
    flat = heat[..., 0]
    kept = (F.max_pool2d(flat, 3, 1, 1) == flat) & (flat >= threshold)
    score, index = (flat * kept).flatten(1).topk(count)
    present = (score > 0).double()[..., None]
    assert present[2].sum() < count and present[0].sum() == count
    gathered = values.flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 11))
    x0, x1, y0, y1 = EXTENT
    i, j = index // CELLS[1], index % CELLS[1]
    x = x0 + (i + 0.5) * (x1 - x0) / CELLS[0]
    y = y0 + (j + 0.5) * (y1 - y0) / CELLS[1]
    direction = gathered[..., 2:4]
    direction = direction / (direction.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    found = torch.cat(
        [
            score[..., None],
            gathered[..., :2] + torch.stack([x, y], -1),
            direction,
            gathered[..., 4:6].clamp(-3, 4).exp(),
            gathered[..., 6:8],
            (gathered[..., 8:11] / temperature).softmax(-1),
        ],
        -1,
    )
    inputs = {"heat": heat, "values": values}
    Last("boxes").write({}, inputs, {"boxes": found * present})


if __name__ == "__main__":
    torch.manual_seed(5)
    view_to_bev("view-to-bev")
    grid_head("grid-head")
    boxes()
    grid_head("grid-head-state", leaf(2, 4))
    # The first vehicle comes round a curve, the second has stood still.
    came = [[30.0, -4.0, 0.9], [31.5, -2.1, 1.0], [32.6, -0.2, 1.15]]
    stood = [[5.0, 6.0, -2.0]] * 3
    poses = torch.tensor([came, stood], dtype=torch.float64)
    view_to_bev("view-to-bev-moments", poses)
    view_to_bev("view-to-bev-depths", depths=(7, 2.0, 17.0))
    view_to_bev("view-to-bev-moments-depths", poses, (7, 2.0, 17.0))
