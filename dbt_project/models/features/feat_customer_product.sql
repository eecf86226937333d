{%- set keys = ['customer_id', 'product_id'] %}
{%- set half_lives = {
    'purchases_hl7': 7, 'purchases_hl28': 28, 'purchases_hl90': 90, 'views_hl7': 7, 'carts_hl7': 7
} %}

with

pair_days as (
    select *
    from {{ ref('int_customer_product_days') }}
    where {{ in_range() }}
),

steps as (
    select
        customer_id,
        product_id,
        event_day,
        cast(purchases > 0 as integer) as purchases_hl7,
        cast(purchases > 0 as integer) as purchases_hl28,
        cast(purchases > 0 as integer) as purchases_hl90,
        views as views_hl7,
        carts as carts_hl7
    from pair_days
    {%- if is_incremental() %}
    union all by name
    ({{ latest_before(this, keys, half_lives.keys() | list, 'pair_days') }})
    {%- endif %}
),

decayed as ({{ folded('steps', keys, half_lives) }}),

{# The customer's orders up to the day before the pair's first purchase. #}
first_purchases as (
    select
        customer_id,
        event_day as first_purchase_day,
        orders_total - orders as customer_orders_at_first
    from {{ ref('int_customer_days') }}
    where customer_id in (select customer_id from pair_days where first_purchase_day is not null)
)

select
    customer_id,
    product_id,
    event_day,
    {{ known_at() }} as event_timestamp,
    pair_days.views_total,
    pair_days.carts_total,
    pair_days.purchase_days_total as orders_total,
    pair_days.quantity_total,
    cast(pair_days.last_view_day as timestamp) as last_view_at,
    cast(pair_days.last_cart_day as timestamp) as last_cart_at,
    cast(pair_days.last_purchase_day as timestamp) as last_purchase_at,
    cast(pair_days.first_purchase_day as timestamp) as first_purchase_at,
    decayed.purchases_hl7,
    decayed.purchases_hl28,
    decayed.purchases_hl90,
    decayed.views_hl7,
    decayed.carts_hl7,
    (pair_days.last_purchase_day - pair_days.first_purchase_day) / nullif(pair_days.purchase_days_total - 1, 0)
        as mean_gap_days,
    first_purchases.customer_orders_at_first
from pair_days
join decayed using (customer_id, product_id, event_day)
left join first_purchases using (customer_id, first_purchase_day)
order by event_day
