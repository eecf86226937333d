{%- set counts = ['views', 'carts', 'purchases'] %}
{%- set windows = [7, 28, 90] %}
{%- set offsets = [0, 7, 28, 90] %}

with

history as ({{ history_of(ref('int_category_days'), 'category_id', offsets) }}),

product_days as (
    select product_id, event_day, coalesce(category_id, 'unknown') as category_id
    from {{ ref('int_product_days') }}
    where {{ in_reach(90) }}
),

purchase_days as (
    select distinct product_days.category_id, pair_days.customer_id, pair_days.event_day
    from {{ ref('int_customer_product_days') }} as pair_days
    join product_days using (product_id, event_day)
    where {{ in_reach(90, 'pair_days.event_day') }} and pair_days.purchases > 0
),

buyers as ({{ buyer_changes('purchase_days', 'category_id', windows) }}),

change_points as ({{ change_points('history', 'category_id', offsets, with_earlier=true) }}),

timeline as (
    select *
    from change_points
    left join history using (category_id, event_day)
    left join buyers using (category_id, event_day)
),

windows as (
    select
        category_id,
        event_day,
        {{ window_sums(counts, windows) }}
        {{ running_buyers(windows) }}
        {{ window_sums(['revenue', 'paid_prices'], [28], 'double') }}
    from timeline
    {{ day_frames('category_id', windows) }}
)

select
    category_id,
    event_day,
    {{ known_at() }} as event_timestamp,
    {%- for count in counts + ['buyers'] %}
    {{ count }}_7d,
    {{ count }}_28d,
    {{ count }}_90d,
    {%- endfor %}
    revenue_28d,
    purchases_28d / nullif(views_28d, 0) as conversion_28d,
    (purchases_7d / 7) / nullif(purchases_28d / 28, 0) as trend_7_28,
    paid_prices_28d / nullif(purchases_28d, 0) as avg_price_28d
from windows
where {{ in_range() }}
order by event_day
