{# Trips, tipped trips and fares of each day, per company or area. #}
{% macro taxi_days(key) %}
select
    {{ key }},
    event_day,
    count(*) as trips,
    sum(tipped) as tipped,
    cast(sum(cast(fare as decimal(18, 2))) as double) as fare
from {{ ref('stg_trips') }}
where {{ ml_assets.in_range() }}
group by {{ key }}, event_day
{% endmacro %}

{# What is known of a company or area from its days: how busy it is, how its passengers tip. #}
{% macro taxi_features(days, key) %}
{%- set windows = [28, 90, 365] %}
{%- set measures = {'trips': 'bigint', 'tipped': 'bigint', 'fare': 'decimal(18, 2)'} %}

with windowed as ({{ ml_assets.windows_of(days, key, measures, windows) }})

select
    {{ key }},
    event_day,
    {{ ml_assets.known_at() }} as event_timestamp,
    trips_28d,
    trips_90d,
    trips_365d,
    -- a share of few trips is drawn to one in five, as if five more trips had been seen
    (tipped_90d + 1) / (trips_90d + 5.0) as tip_share_90d,
    (tipped_365d + 1) / (trips_365d + 5.0) as tip_share_365d,
    cast(fare_90d as double) / nullif(trips_90d, 0) as mean_fare_90d
from windowed
where {{ ml_assets.in_range() }}
{% endmacro %}
