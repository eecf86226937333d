{%- set counts = ['views', 'carts', 'purchases'] %}
{%- set buyer_windows = [7, 14, 28, 90] %}
{%- set offsets = [0, 7, 14, 28, 90] %}

with

history as ({{ history_of(ref('int_product_days'), 'product_id', offsets) }}),

purchase_days as (
    select product_id, customer_id, event_day
    from {{ ref('int_customer_product_days') }}
    where {{ in_reach(90) }} and purchases > 0
        and product_id in (select product_id from history)
),

buyers as ({{ buyer_changes('purchase_days', 'product_id', buyer_windows) }}),

change_points as ({{ change_points('history', 'product_id', offsets, with_earlier=true) }}),

timeline as (
    select
        *,
        case when views is not null then event_day end as active_day
    from change_points
    left join history using (product_id, event_day)
    left join buyers using (product_id, event_day)
),

windows as (
    select
        product_id,
        event_day,
        {{ window_sums(counts, [7, 28, 90]) }}
        {{ running_buyers(buyer_windows) }}
        {{ window_sums(['revenue', 'shown_prices'], [28], 'double') }}
        {{ window_sums(['priced_events'], [28]) }}
        max(active_day) over so_far as active_day
    from timeline
    {{ day_frames('product_id', [7, 28, 90]) }}
)

select
    windows.product_id,
    windows.event_day,
    {{ known_at('windows.event_day') }} as event_timestamp,
    {%- for count in counts %}
    windows.{{ count }}_7d,
    windows.{{ count }}_28d,
    windows.{{ count }}_90d,
    {%- endfor %}
    {%- for days in buyer_windows %}
    windows.buyers_{{ days }}d,
    {%- endfor %}
    windows.revenue_28d,
    windows.purchases_28d / nullif(windows.views_28d, 0) as conversion_28d,
    windows.carts_28d / nullif(windows.views_28d, 0) as cart_rate_28d,
    (windows.purchases_7d / 7) / nullif(windows.purchases_28d / 28, 0) as trend_7_28,
    coalesce(state.price, state.seen_price) as price,
    coalesce(state.price, state.seen_price) / nullif(windows.shown_prices_28d / nullif(windows.priced_events_28d, 0), 0)
        as price_change_28d,
    state.repeat_buyers_total / nullif(state.buyers_total, 0) as repurchase_rate,
    state.gap_days_total / nullif(state.gaps_total, 0) as mean_repurchase_gap_days,
    state.buyers_total,
    cast(state.first_listed_day as timestamp) as first_listed_at,
    cast(state.last_purchase_day as timestamp) as last_purchase_at,
    coalesce(state.available, true) as available,
    coalesce(state.category_id, 'unknown') as category_id
from windows
join history as state
    on windows.product_id = state.product_id
    and windows.active_day = state.event_day
where {{ in_range('windows.event_day') }}
order by windows.event_day
