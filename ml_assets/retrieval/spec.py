"""What the `retrieval:` part of a model's YAML may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RetrievalSpec(BaseModel):
    """Candidate generation: how many products each source may nominate, and how fast evidence fades."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int = Field(default=200, ge=1, le=2000, description="candidates per customer at most")
    own: int = Field(default=100, ge=0, description="products of the customer's own history")
    co_purchase: int = Field(default=60, ge=0, description="bought together with them, time-decayed")
    co_visitation: int = Field(default=40, ge=0, description="seen in the same session after them, time-decayed")
    similar: int = Field(default=60, ge=0, description="bought lately by customers with similar baskets")
    popular: int = Field(default=40, ge=0, description="most bought in the last `popular_days`")
    launches: int = Field(default=20, ge=0, description="launched in the last `launch_days`")
    half_life_days: float = Field(default=28.0, gt=0, description="age at which an event counts half")
    popular_days: int = Field(default=7, ge=1)
    similar_days: int = Field(default=28, ge=1)
    launch_days: int = Field(default=14, ge=1)
    history_days: int = Field(default=730, ge=1, description="events older than this are not read")
