"""Who and what features are about."""

from feast import Entity, ValueType

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A customer of the shop.",
)
product = Entity(
    name="product",
    join_keys=["product_id"],
    value_type=ValueType.STRING,
    description="A product of the catalogue.",
)
category = Entity(
    name="category",
    join_keys=["category_id"],
    value_type=ValueType.STRING,
    description="A category of products.",
)
