with

events as (
    select *
    from {{ ref('stg_events') }}
    where {{ in_range() }}
)

select
    session_id,
    customer_id,
    product_id,
    event_day,
    cast(count(*) filter (where event_type = 'view') as integer) as views,
    cast(count(*) filter (where event_type = 'cart') as integer) as carts,
    cast(count(*) filter (where event_type = 'purchase') as integer) as purchases,
    cast(max(event_type = 'purchase') as integer) as orders,
    cast(coalesce(sum(quantity) filter (where event_type = 'purchase'), 0) as bigint) as quantity,
    min(event_ts) as first_event_ts
from events
group by all
order by event_day
