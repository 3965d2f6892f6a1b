"""How one model is spread over ranks: tensor parallel lanes within a pipeline stage, stages one after the other."""

from dataclasses import dataclass

from reference_server.errors import ConfigError
from reference_server.models.shapes import Shape


@dataclass(frozen=True, slots=True)
class Grid:
    """`tensor` ranks share every layer of a stage; `pipeline` stages hold a range of layers each."""

    tensor: int = 1
    pipeline: int = 1

    @property
    def ranks(self) -> int:
        """Processes, one device each."""
        return self.tensor * self.pipeline

    def check(self, shape: Shape) -> None:
        """Raise ConfigError where the shape cannot be divided so: nothing is padded, no KV head is held twice."""
        for what, count in (("KV heads", shape.kv_heads), ("feed-forward width", shape.feed_forward)):
            if count % self.tensor:
                raise ConfigError(
                    f"DS_TENSOR_PARALLEL: a number that divides the {what} ({count}) is expected, not {self.tensor}"
                )
        if self.pipeline > shape.layers:
            raise ConfigError(
                f"DS_PIPELINE_PARALLEL: at most one stage per layer ({shape.layers}) is expected, "
                f"not {self.pipeline}"
            )


@dataclass(frozen=True, slots=True)
class Place:
    """One rank's place in the grid; ranks of a stage are neighbours."""

    grid: Grid
    rank: int

    @property
    def stage(self) -> int:
        """Which range of layers."""
        return self.rank // self.grid.tensor

    @property
    def lane(self) -> int:
        """Which part of each layer."""
        return self.rank % self.grid.tensor

    @property
    def first(self) -> bool:
        """Whether the embedding is here."""
        return self.stage == 0

    @property
    def last(self) -> bool:
        """Whether the head is here, and tokens are drawn."""
        return self.stage == self.grid.pipeline - 1

    @property
    def answers(self) -> bool:
        """Whether this rank's tokens are the step's: every lane of the last stage draws the same ones."""
        return self.last and self.lane == 0
