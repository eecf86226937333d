with

arrived as (
    select *
    from {{ source('lake', 'events') }}
    where {{ in_range() }}
)

select
    event_id,
    cast(event_ts as timestamp) as event_ts,
    cast(event_day as date) as event_day,
    customer_id,
    product_id,
    coalesce(session_id, customer_id || ':' || event_day) as session_id,
    event_type,
    cast(quantity as integer) as quantity,
    cast(price as double) as price,
    case when event_type = 'purchase' then cast(quantity * price as double) else 0 end as revenue,
    country
from arrived
