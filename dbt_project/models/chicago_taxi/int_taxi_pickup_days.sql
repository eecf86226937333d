select
    pickup_area,
    event_day,
    count(*) as trips,
    sum(tipped) as tipped,
    cast(sum(cast(fare as decimal(18, 2))) as double) as fare
from {{ ref('stg_trips') }}
where {{ in_range() }}
group by pickup_area, event_day
