{%- set keys = ['customer_id', 'category_id'] %}
{%- set half_lives = {'purchases_hl28': 28, 'purchases_hl90': 90, 'views_hl7': 7} %}

with

product_days as (
    select product_id, event_day, coalesce(category_id, 'unknown') as category_id
    from {{ ref('int_product_days') }}
    where {{ in_range() }}
),

counts as (
    select
        customer_id,
        category_id,
        event_day,
        sum(purchases) as purchases,
        sum(views) as views,
        sum(revenue) as revenue
    from {{ ref('int_customer_product_days') }}
    join product_days using (product_id, event_day)
    where {{ in_range() }}
    group by all
),

steps as (
    select
        customer_id,
        category_id,
        event_day,
        purchases as purchases_total,
        views as views_total,
        revenue as revenue_total,
        case when purchases > 0 then cast(event_day as timestamp) end as last_purchase_at,
        purchases as purchases_hl28,
        purchases as purchases_hl90,
        views as views_hl7
    from counts
    {%- if is_incremental() %}
    union all by name
    select * replace (cast(revenue_total as decimal(18, 4)) as revenue_total)
    from ({{ latest_before(
        this, keys,
        ['purchases_total', 'views_total', 'revenue_total', 'last_purchase_at'] + half_lives.keys() | list,
        'counts'
    ) }})
    {%- endif %}
),

decayed as ({{ decayed_sums('steps', keys, half_lives) }}),

running as (
    select
        customer_id,
        category_id,
        event_day,
        cast(sum(purchases_total) over so_far as bigint) as purchases_total,
        cast(sum(views_total) over so_far as bigint) as views_total,
        cast(sum(revenue_total) over so_far as double) as revenue_total,
        max(last_purchase_at) over so_far as last_purchase_at
    from steps
    window so_far as (partition by customer_id, category_id order by event_day)
)

select
    customer_id,
    category_id,
    event_day,
    {{ known_at() }} as event_timestamp,
    running.purchases_total,
    running.views_total,
    decayed.purchases_hl28,
    decayed.purchases_hl90,
    decayed.views_hl7,
    running.revenue_total,
    running.last_purchase_at
from running
join decayed using (customer_id, category_id, event_day)
where {{ in_range() }}
order by event_day
