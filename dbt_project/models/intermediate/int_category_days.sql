with

product_days as (
    select product_id, event_day, coalesce(category_id, 'unknown') as category_id
    from {{ ref('int_product_days') }}
    where {{ in_range() }}
),

pair_days as (
    select *
    from {{ ref('int_customer_product_days') }}
    where {{ in_range() }}
)

select
    category_id,
    event_day,
    cast(sum(views) as integer) as views,
    cast(sum(carts) as integer) as carts,
    cast(sum(purchases) as integer) as purchases,
    cast(sum(revenue) as decimal(18, 4)) as revenue,
    cast(sum(paid_prices) as decimal(18, 4)) as paid_prices
from pair_days
join product_days using (product_id, event_day)
group by all
order by event_day
