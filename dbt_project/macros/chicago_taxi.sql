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
{%- set offsets = [0] + windows %}

with

history as ({{ ml_assets.history_of(days, key, offsets) }}),

change_points as ({{ ml_assets.change_points('history', key, offsets) }}),

timeline as (
    select
        {{ key }},
        event_day,
        coalesce(trips, 0) as trips,
        coalesce(tipped, 0) as tipped,
        coalesce(fare, 0) as fare
    from change_points
    left join history using ({{ key }}, event_day)
),

windowed as (
    select
        {{ ml_assets.window_sums(['trips', 'tipped'], windows) }}
        {{ ml_assets.window_sums(['fare'], windows, 'decimal(18, 2)') }}
        {{ key }},
        event_day
    from timeline
    {{ ml_assets.day_frames(key, windows) }}
)

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
