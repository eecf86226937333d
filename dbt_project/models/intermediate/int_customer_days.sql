{%- set totals = ['orders_total', 'purchases_total', 'products_total', 'order_days_total'] %}
{%- set days = ['first_seen_day', 'first_order_day', 'last_order_day'] %}
{#- A session silent for longer than this is a new one when its id returns; it bounds how far a run looks back. #}
{%- set session_memory_days = 90 %}

with

counts as (
    select
        customer_id,
        event_day,
        cast(sum(views) as integer) as views,
        cast(sum(carts) as integer) as carts,
        cast(sum(purchases) as integer) as purchases,
        cast(sum(revenue) as decimal(18, 4)) as revenue,
        cast(sum(paid_prices) as decimal(18, 4)) as paid_prices,
        cast(coalesce(sum(purchases) filter (where previous_purchase_day is not null), 0) as integer) as repeat_purchases,
        cast(count(*) filter (where first_purchase_day = event_day) as integer) as new_products
    from {{ ref('int_customer_product_days') }}
    where {{ in_range() }}
    group by all
),

session_days as (
    select customer_id, session_id, event_day, max(orders) as orders
    from {{ ref('int_sessions') }}
    where {{ in_reach(session_memory_days) }}
        and session_id in (select session_id from {{ ref('int_sessions') }} where {{ in_range() }})
    group by all
),

session_history as (
    select
        *,
        lag(event_day) over (partition by customer_id, session_id order by event_day) as previous_day,
        max(case when orders > 0 then event_day end) over (
            partition by customer_id, session_id order by event_day
            rows between unbounded preceding and 1 preceding
        ) as previous_order_day
    from session_days
),

sessions as (
    select
        customer_id,
        event_day,
        cast(count(*) filter (
            where previous_day is null or event_day - previous_day > {{ session_memory_days }}
        ) as integer) as sessions,
        cast(count(*) filter (
            where orders > 0 and (previous_order_day is null or event_day - previous_order_day > {{ session_memory_days }})
        ) as integer) as orders
    from session_history
    where {{ in_range() }}
    group by all
),

countries as (
    select customer_id, event_day, arg_max(country, struct_pack(event_ts, event_id)) as country
    from {{ ref('stg_events') }}
    where {{ in_range() }} and country is not null
    group by all
),

steps as (
    select
        *,
        orders as orders_total,
        purchases as purchases_total,
        new_products as products_total,
        cast(purchases > 0 as integer) as order_days_total,
        event_day as first_seen_day,
        case when purchases > 0 then event_day end as first_order_day,
        case when purchases > 0 then event_day end as last_order_day
    from counts
    join sessions using (customer_id, event_day)
    left join countries using (customer_id, event_day)
    {%- if is_incremental() %}
    union all by name
    ({{ latest_before(this, ['customer_id'], totals + days + ['country'], 'counts') }})
    {%- endif %}
),

running as (
    select
        * replace (
            {%- for total in totals %}
            cast(sum({{ total }}) over so_far as bigint) as {{ total }},
            {%- endfor %}
            min(first_seen_day) over so_far as first_seen_day,
            min(first_order_day) over so_far as first_order_day,
            max(last_order_day) over so_far as last_order_day,
            last_value(country ignore nulls) over so_far as country
        )
    from steps
    window so_far as (partition by customer_id order by event_day)
)

select *
from running
where {{ in_range() }}
order by event_day
