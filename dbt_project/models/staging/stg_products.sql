with

arrived as (
    select *
    from {{ source('lake', 'products') }}
    where {{ in_range() }}
)

select
    product_id,
    cast(event_day as date) as event_day,
    cast(changed_at as timestamp) as changed_at,
    product_name,
    category_id,
    cast(price as double) as price,
    cast(available as boolean) as available
from arrived
