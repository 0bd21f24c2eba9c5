"""How production is watched."""

from pydantic import Field

from mlpipe.spec.nodes import Int, Names, Node


class Monitor(Node):
    """How live days are compared with what the champion learned from."""

    window: Int = Field(default=14, ge=1, description="trailing partitions compared at once")
    watch: Names = Field(
        default=(),
        description="features that may raise an alarm; default: all but calendar and low-cardinality ones",
    )
    grid_window: Int = Field(
        default=28, ge=1, description="first partitions by calendar, whose quantiles make the profile grid"
    )
