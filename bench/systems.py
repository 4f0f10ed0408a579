"""What is timed: a recipe, one of its stages, and what of it is left out.

A stage is the only one of its arm. Left out is what PyTorch's side does not do: evaluations and the
extra pass of scheduled sampling. Scored are a few samples, because nothing can be left unscored.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    recipe: str
    arm: str
    stage: str
    epochs: float
    changes: tuple[str, ...] = ()
    # An arm that gives its stage epochs of its own.
    arm_has_epochs: bool = False

    def with_epochs(self, factor: float) -> list[str]:
        """All changes, with the stage's length times a factor."""
        place = f"arms.{self.arm}.epochs.{self.stage}" if self.arm_has_epochs else (
            f"stages.{self.stage}.epochs"
        )
        return [*self.changes, f"{place}={self.epochs * factor}"]

    def stage_of(self, recipe: dict) -> dict:
        return next(stage for stage in recipe["stages"] if stage["name"] == self.stage)


def table(name: str) -> System:
    """A model on random data; it has one stage and nothing to leave out."""
    return System(f"bench/table/{name}.toml", "all", "train", 1.0)


SYSTEMS = {
    "g2p": System(
        "recipes/g2p.toml",
        "scratch",
        "joint",
        0.2,
        (
            "stages.joint.inputs={}",
            "stages.joint.evaluate.batches=1",
            "data.test.source.limit=64",
        ),
        arm_has_epochs=True,
    ),
    "fashion": System(
        "recipes/fashion.toml", "scratch", "scratch", 0.2, ("data.test.source.take=[0,250]",)
    ),
    "cnn": table("cnn"),
    "resnet18": table("resnet18"),
    "vit": table("vit"),
    "unet": table("unet"),
    "gru": table("gru"),
    "attentive": table("attentive"),
    "transformer": table("transformer"),
    "bilstm": table("bilstm"),
}
