{{ config(incremental_strategy='replace_decisions') }}

with

decisions as ({{ decisions_in_range() }}),

labels as (
    select
        decision_day,
        decision_ts,
        customer_id,
        product_id,
        cast(case when sum(purchases) > 0 then 3 when sum(carts) > 0 then 2 else 1 end as integer) as label,
        cast(sum(revenue) as double) as revenue,
        cast(sum(quantity) as bigint) as quantity
    from decisions
    join {{ ref('int_customer_product_days') }} as pair_days
        on pair_days.event_day >= decision_day
        and pair_days.event_day < decision_day + {{ var('horizon_days') }}
    group by all
),

asking as (
    select distinct decision_day, customer_id from labels
),

customers as (
    select
        asking.decision_day,
        asking.customer_id,
        case when state.purchases_total > 0 then 'returning' else 'new' end as customer_kind,
        coalesce(state.country, 'unknown') as country
    from asking
    asof left join {{ ref('int_customer_days') }} as state
        on asking.customer_id = state.customer_id
        and asking.decision_day > state.event_day
),

questions as (
    select decisions.decision_day, decisions.decision_ts, listed.product_id
    from decisions
    cross join (select distinct product_id from {{ ref('feat_product') }}) as listed
),

products as (
    select
        questions.decision_day,
        questions.product_id,
        state.price,
        state.buyers_28d
    from questions
    asof join {{ ref('feat_product') }} as state
        on questions.product_id = state.product_id
        and questions.decision_ts >= state.event_timestamp
),

terciles as (
    select
        decision_day,
        quantile_disc(price, 1 / 3.0) as low_until,
        quantile_disc(price, 2 / 3.0) as mid_until,
        count(*) as products
    from products
    group by decision_day
),

tiers as (
    select
        products.decision_day,
        products.product_id,
        case
            when price is null then 'unknown'
            when price <= low_until then 'low'
            when price <= mid_until then 'mid'
            else 'high'
        end as price_tier,
        case
            when buyers_28d = 0 then 'tail'
            when row_number() over by_buyers <= ceil(0.05 * terciles.products) then 'head'
            when row_number() over by_buyers <= ceil(0.30 * terciles.products) then 'torso'
            else 'tail'
        end as popularity_tier
    from products
    join terciles using (decision_day)
    window by_buyers as (partition by products.decision_day order by buyers_28d desc, products.product_id)
)

select
    labels.customer_id,
    labels.product_id,
    labels.decision_ts,
    labels.decision_day,
    labels.label,
    labels.revenue,
    labels.quantity,
    customers.customer_kind,
    customers.country,
    coalesce(tiers.price_tier, 'unknown') as price_tier,
    coalesce(tiers.popularity_tier, 'tail') as popularity_tier
from labels
join customers using (decision_day, customer_id)
left join tiers using (decision_day, product_id)
order by decision_day, customer_id, product_id
