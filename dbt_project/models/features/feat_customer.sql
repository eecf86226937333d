{%- set counts = ['views', 'carts', 'purchases', 'orders', 'sessions'] %}
{%- set offsets = [0, 7, 28, 90] %}

with

history as ({{ history_of(ref('int_customer_days'), 'customer_id', offsets) }}),

change_points as ({{ change_points('history', 'customer_id', offsets) }}),

timeline as (
    select
        *,
        case when views is not null then event_day end as active_day
    from change_points
    left join history using (customer_id, event_day)
),

windows as (
    select
        customer_id,
        event_day,
        {{ window_sums(counts, [7, 28, 90]) }}
        {{ window_sums(['revenue'], [28, 90], 'double') }}
        {{ window_sums(['paid_prices'], [90], 'double') }}
        {{ window_sums(['repeat_purchases'], [90]) }}
        max(active_day) over so_far as active_day
    from timeline
    {{ day_frames('customer_id', [7, 28, 90]) }}
)

select
    windows.customer_id,
    windows.event_day,
    {{ known_at('windows.event_day') }} as event_timestamp,
    {%- for count in counts %}
    windows.{{ count }}_7d,
    windows.{{ count }}_28d,
    windows.{{ count }}_90d,
    {%- endfor %}
    windows.revenue_28d,
    windows.revenue_90d,
    windows.purchases_28d / nullif(windows.views_28d, 0) as conversion_28d,
    windows.paid_prices_90d / nullif(windows.purchases_90d, 0) as avg_price_90d,
    state.orders_total,
    state.purchases_total,
    state.products_total,
    (state.last_order_day - state.first_order_day) / nullif(state.order_days_total - 1, 0) as mean_order_gap_days,
    windows.repeat_purchases_90d / nullif(windows.purchases_90d, 0) as repeat_share_90d,
    cast(state.first_seen_day as timestamp) as first_seen_at,
    cast(windows.active_day as timestamp) as last_seen_at,
    cast(state.last_order_day as timestamp) as last_order_at,
    state.country
from windows
join history as state
    on windows.customer_id = state.customer_id
    and windows.active_day = state.event_day
where {{ in_range('windows.event_day') }}
order by windows.event_day
