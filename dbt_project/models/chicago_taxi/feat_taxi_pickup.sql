{%- set windows = [28, 90, 365] %}
{%- set offsets = [0] + windows %}

with

history as ({{ history_of(ref('int_taxi_pickup_days'), 'pickup_area', offsets) }}),

change_points as ({{ change_points('history', 'pickup_area', offsets) }}),

timeline as (
    select
        pickup_area,
        event_day,
        coalesce(trips, 0) as trips,
        coalesce(tipped, 0) as tipped,
        coalesce(fare, 0) as fare
    from change_points
    left join history using (pickup_area, event_day)
),

windowed as (
    select
        {{ window_sums(['trips', 'tipped'], windows) }}
        {{ window_sums(['fare'], windows, 'decimal(18, 2)') }}
        pickup_area,
        event_day
    from timeline
    {{ day_frames('pickup_area', windows) }}
)

select
    pickup_area,
    event_day,
    {{ known_at() }} as event_timestamp,
    trips_28d,
    trips_90d,
    trips_365d,
    -- a share of few trips is drawn to one in five, as if five more trips had been seen
    (tipped_90d + 1) / (trips_90d + 5.0) as tip_share_90d,
    (tipped_365d + 1) / (trips_365d + 5.0) as tip_share_365d,
    cast(fare_90d as double) / nullif(trips_90d, 0) as mean_fare_90d
from windowed
where {{ in_range() }}
