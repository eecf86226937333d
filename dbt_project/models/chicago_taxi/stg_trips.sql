with

arrived as (
    select *
    from {{ source('chicago_taxi', 'trips') }}
    where {{ in_range() }}
)

select
    trip_id,
    cast(event_day as date) as event_day,
    cast(started_at as timestamp) as started_at,
    cast(ended_at as timestamp) as ended_at,
    coalesce(company, 'unknown') as company,
    coalesce(pickup_area, 'unknown') as pickup_area,
    coalesce(dropoff_area, 'unknown') as dropoff_area,
    cast(trip_seconds as double) as trip_seconds,
    cast(trip_miles as double) as trip_miles,
    cast(fare as double) as fare,
    cast(tips as double) as tips,
    payment_type,
    cast(tips > 0.2 * fare as integer) as tipped
from arrived
