{{ config(materialized='view') }}

with

now as (
    select max(event_day) + 1 as today from {{ ref('mart_daily_counts') }}
)

select
    customer_id,
    cast(max(event_day) as timestamp) as last_seen_at,
    arg_max(country, event_day) as country,
    cast(any_value(today) as timestamp) as as_of
from {{ ref('int_customer_days') }}
join now on event_day >= today - 90 and event_day < today
group by customer_id
