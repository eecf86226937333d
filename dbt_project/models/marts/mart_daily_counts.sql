with

days as (
    select cast(day as date) as event_day
    from generate_series({{ start_day() }}, {{ end_day() }}, interval 1 day) as days (day)
),

counts as (
    select
        event_day,
        count(*) as events,
        count(*) filter (where event_type = 'view') as views,
        count(*) filter (where event_type = 'cart') as carts,
        count(*) filter (where event_type = 'purchase') as purchases,
        count(distinct customer_id) as customers,
        count(distinct product_id) as products,
        cast(sum(cast(revenue as decimal(18, 4))) as double) as revenue
    from {{ ref('stg_events') }}
    where {{ in_range() }}
    group by event_day
)

select
    event_day,
    coalesce(events, 0) as events,
    coalesce(views, 0) as views,
    coalesce(carts, 0) as carts,
    coalesce(purchases, 0) as purchases,
    coalesce(customers, 0) as customers,
    coalesce(products, 0) as products,
    coalesce(revenue, 0.0) as revenue
from days
left join counts using (event_day)
order by event_day
