select
    trip_id,
    ended_at,
    event_day,
    tipped,
    company,
    pickup_area,
    dropoff_area,
    fare,
    trip_miles,
    trip_seconds,
    fare / nullif(trip_miles, 0) as fare_per_mile,
    trip_miles / nullif(trip_seconds / 3600.0, 0) as miles_per_hour,
    hour(started_at) as start_hour,
    isodow(started_at) as weekday,
    month(started_at) as month,
    case when start_hour < 6 then 'night' when start_hour < 12 then 'morning' when start_hour < 18 then 'afternoon'
        else 'evening' end as day_part,
    case when fare < 6 then 'short' when fare < 15 then 'medium' else 'long' end as fare_tier,
    tips,
    payment_type
from {{ ref('stg_trips') }}
where {{ in_range() }}
