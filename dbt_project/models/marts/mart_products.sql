{{ config(materialized='view') }}

with

newest as (
    select
        product_id,
        unnest(arg_max(
            struct_pack(category_id, price, available, seen_price, first_listed_day, last_event_day),
            event_day
        ))
    from {{ ref('int_product_days') }}
    group by product_id
),

names as (
    select product_id, arg_max(product_name, struct_pack(changed_at, event_day, product_name)) as product_name
    from {{ ref('stg_products') }}
    group by product_id
)

select
    product_id,
    names.product_name,
    coalesce(newest.category_id, 'unknown') as category_id,
    coalesce(newest.price, newest.seen_price) as price,
    coalesce(newest.available, true) as available,
    cast(newest.first_listed_day as timestamp) as first_listed_at,
    newest.last_event_day
from newest
left join names using (product_id)
