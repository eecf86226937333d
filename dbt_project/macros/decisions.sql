{#
    The decisions a run (re)builds: those whose label window [decision_day, decision_day + horizon) holds a day of the
    run and lies within the days that are built (mart_daily_counts knows them: it also has the days without events).
#}
{% macro decisions_in_range() %}
    {%- set horizon = var('horizon_days') %}
    select
        decision_day,
        cast(decision_day as timestamp) as decision_ts
    from (
        select cast(day as date) as decision_day
        from generate_series({{ ml_assets.start_day() }} - {{ horizon - 1 }}, {{ ml_assets.end_day() }}, interval 1 day) as days (day)
    )
    cross join (select min(event_day) as oldest, max(event_day) as newest from {{ ref('mart_daily_counts') }})
    where (decision_day - date '{{ var("decision_anchor") }}') % {{ var('decision_every_days') }} = 0
        and decision_day >= oldest
        and decision_day + {{ horizon - 1 }} <= newest
{% endmacro %}
