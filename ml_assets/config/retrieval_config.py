"""What the `retrieval:` part of a model's YAML may say."""

from __future__ import annotations

from pydantic import Field

from ml_assets.config.yaml_file import Strict


class RetrievalSpec(Strict):
    """Candidate generation: how many products each source may nominate, and how fast evidence fades."""

    total: int = Field(default=200, ge=1, le=2000, description="candidates per customer; popularity fills what is left")
    own: int = Field(default=100, ge=0, le=2000, description="products of the customer's own history")
    co_purchase: int = Field(default=60, ge=0, le=2000, description="bought together with them, time-decayed")
    co_visitation: int = Field(default=40, ge=0, le=2000, description="carted or bought by who saw them, time-decayed")
    similar: int = Field(default=60, ge=0, le=2000, description="bought lately by customers with similar baskets")
    popular: int = Field(default=40, ge=0, le=2000, description="most bought lately; 0 also turns the filling off")
    launches: int = Field(
        default=20, ge=0, le=2000, description="launched in the last `launch_days`, most popular first"
    )
    half_life_days: float = Field(default=28.0, gt=0, le=36_500, description="age at which a purchase counts half")
    visit_half_life_days: float = Field(
        default=7.0, gt=0, le=36_500, description="age at which a view or cart counts half"
    )
    popular_days: float = Field(
        default=7.0, gt=0, le=36_500, description="age at which an event counts half for popularity"
    )
    similar_days: int = Field(
        default=28, ge=1, le=36_500, description="similar customers' purchases older than this are not news"
    )
    similar_customers: int = Field(default=200, ge=1, le=1_000_000, description="nearest customers that are asked")
    launch_days: int = Field(default=14, ge=1, le=3650, description="a product is a launch for so many days")
    neighbours: int = Field(
        default=100, ge=1, le=10_000, description="products kept beside each product, strongest first"
    )
    history_days: int = Field(default=730, ge=1, le=36_500, description="events older than this are not read")
