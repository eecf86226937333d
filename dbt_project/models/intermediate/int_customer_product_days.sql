{%- set keys = ['customer_id', 'product_id'] %}
{%- set totals = ['views_total', 'carts_total', 'quantity_total', 'purchase_days_total'] %}
{%- set days = ['last_view_day', 'last_cart_day', 'first_purchase_day', 'last_purchase_day'] %}

with

events as (
    select
        *,
        event_type = 'view' as is_view,
        event_type = 'cart' as is_cart,
        event_type = 'purchase' as is_purchase
    from {{ ref('stg_events') }}
    where {{ in_range() }}
),

counts as (
    select
        customer_id,
        product_id,
        event_day,
        cast(count(*) filter (where is_view) as integer) as views,
        cast(count(*) filter (where is_cart) as integer) as carts,
        cast(count(*) filter (where is_purchase) as integer) as purchases,
        cast(coalesce(sum(quantity) filter (where is_purchase), 0) as bigint) as quantity,
        cast(sum(cast(revenue as decimal(18, 4))) as decimal(18, 4)) as revenue,
        cast(coalesce(sum(cast(price as decimal(18, 4))) filter (where is_purchase), 0) as decimal(18, 4)) as paid_prices,
        cast(coalesce(sum(cast(price as decimal(18, 4))), 0) as decimal(18, 4)) as shown_prices,
        cast(count(price) as integer) as priced_events
    from events
    group by all
),

steps as (
    select
        *,
        views as views_total,
        carts as carts_total,
        quantity as quantity_total,
        cast(purchases > 0 as integer) as purchase_days_total,
        case when views > 0 then event_day end as last_view_day,
        case when carts > 0 then event_day end as last_cart_day,
        case when purchases > 0 then event_day end as first_purchase_day,
        case when purchases > 0 then event_day end as last_purchase_day
    from counts
    {%- if is_incremental() %}
    union all by name
    ({{ latest_before(this, keys, totals + days, 'counts') }})
    {%- endif %}
),

running as (
    select
        * replace (
            {%- for total in totals %}
            cast(sum({{ total }}) over so_far as bigint) as {{ total }},
            {%- endfor %}
            max(last_view_day) over so_far as last_view_day,
            max(last_cart_day) over so_far as last_cart_day,
            min(first_purchase_day) over so_far as first_purchase_day,
            max(last_purchase_day) over so_far as last_purchase_day
        ),
        max(last_purchase_day) over (so_far rows between unbounded preceding and 1 preceding) as previous_purchase_day
    from steps
    window so_far as (partition by customer_id, product_id order by event_day)
)

select *
from running
where {{ in_range() }}
order by event_day
