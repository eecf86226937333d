{%- set keys = ['customer_id', 'category_id'] %}
{%- set half_lives = {'purchases_hl28': 28, 'purchases_hl90': 90, 'views_hl7': 7} %}
{%- set totals = ['purchases_total', 'views_total', 'revenue_total'] %}

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
        cast(sum(revenue) as double) as revenue
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
    ({{ latest_before(this, keys, ['last_purchase_at'] + totals + half_lives.keys() | list, 'counts') }})
    {%- endif %}
),

running as ({{ folded('steps', keys, half_lives, summed=totals, latest=['last_purchase_at']) }})

select
    customer_id,
    category_id,
    event_day,
    {{ known_at() }} as event_timestamp,
    cast(purchases_total as bigint) as purchases_total,
    cast(views_total as bigint) as views_total,
    purchases_hl28,
    purchases_hl90,
    views_hl7,
    revenue_total,
    last_purchase_at
from running
where {{ in_range() }}
order by event_day
