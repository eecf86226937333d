{%- set totals = ['buyers_total', 'repeat_buyers_total', 'gaps_total', 'gap_days_total'] %}
{%- set facts = ['category_id', 'price', 'available', 'changed_at', 'seen_price'] %}
{%- set days = ['first_listed_day', 'last_event_day', 'last_purchase_day'] %}

with

counts as (
    select
        product_id,
        event_day,
        cast(sum(views) as integer) as views,
        cast(sum(carts) as integer) as carts,
        cast(sum(purchases) as integer) as purchases,
        cast(sum(revenue) as decimal(18, 4)) as revenue,
        cast(sum(shown_prices) as decimal(18, 4)) as shown_prices,
        cast(sum(priced_events) as integer) as priced_events,
        count(*) filter (where first_purchase_day = event_day) as buyers_total,
        count(*) filter (where purchases > 0 and purchase_days_total = 2) as repeat_buyers_total,
        count(*) filter (where purchases > 0 and previous_purchase_day is not null) as gaps_total,
        coalesce(sum(event_day - previous_purchase_day) filter (where purchases > 0), 0) as gap_days_total,
        event_day as last_event_day,
        case when sum(purchases) > 0 then event_day end as last_purchase_day
    from {{ ref('int_customer_product_days') }}
    where {{ in_range() }}
    group by product_id, event_day
),

news as (
    select
        product_id,
        event_day,
        max(changed_at) as changed_at,
        cast(min(changed_at) as date) as first_changed_day,
        unnest(arg_max(
            struct_pack(category_id, price, available),
            struct_pack(changed_at, product_name, price, category_id, available)
        ))
    from {{ ref('stg_products') }}
    where {{ in_range() }}
    group by product_id, event_day
),

today as (
    select
        * exclude (first_changed_day),
        cast(shown_prices / nullif(priced_events, 0) as double) as seen_price,
        least(first_changed_day, event_day) as first_listed_day
    from counts
    full join news using (product_id, event_day)
),

steps as (
    select * from today
    {%- if is_incremental() %}
    union all by name
    ({{ latest_before(this, ['product_id'], totals + facts + days, 'today') }})
    {%- endif %}
),

{# A change that arrives after a newer one is old news: it changes nothing. #}
dated as (
    select *, coalesce(changed_at = max(changed_at) over so_far, false) as is_newest
    from steps
    window so_far as (partition by product_id order by event_day)
),

running as (
    select
        product_id,
        event_day,
        coalesce(views, 0) as views,
        coalesce(carts, 0) as carts,
        coalesce(purchases, 0) as purchases,
        coalesce(revenue, 0) as revenue,
        coalesce(shown_prices, 0) as shown_prices,
        coalesce(priced_events, 0) as priced_events,
        {%- for total in totals %}
        cast(coalesce(sum({{ total }}) over so_far, 0) as bigint) as {{ total }},
        {%- endfor %}
        last_value(case when is_newest then category_id end ignore nulls) over so_far as category_id,
        last_value(case when is_newest then price end ignore nulls) over so_far as price,
        last_value(case when is_newest then available end ignore nulls) over so_far as available,
        max(changed_at) over so_far as changed_at,
        last_value(seen_price ignore nulls) over so_far as seen_price,
        min(first_listed_day) over so_far as first_listed_day,
        max(last_event_day) over so_far as last_event_day,
        max(last_purchase_day) over so_far as last_purchase_day
    from dated
    window so_far as (partition by product_id order by event_day)
)

select *
from running
where {{ in_range() }}
order by event_day
