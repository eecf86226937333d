{#
    Change-point logs. A window over the last w days changes on a day with activity and w days after it, nowhere else.
    `offsets` lists those distances: 0 and every window. A model reads, in this order,

        history        the active days that a window of this run can still see, of entities that change in this run
        change_points  the days on which one of their values changes
        timeline       change_points left join history: the day's counts, or nothing
        windows        sums over frames of the timeline
#}

{% macro history_of(relation, entity, offsets) %}
    select *
    from {{ relation }}
    where {{ ml_assets.in_reach(offsets | max) }}
        and {{ entity }} in (
            select {{ entity }}
            from {{ relation }}
            cross join unnest({{ offsets }}) as later (days)
            where {{ ml_assets.in_reach(offsets | max) }}
                and {{ ml_assets.in_range('event_day + later.days') }}
        )
{% endmacro %}

{#
    Active days are kept from before the run, for its windows to sum. Days that only close a window are needed from
    before the run where running sums of changes (buyers) must pass through them: `with_earlier`.
#}
{% macro change_points(history, entity, offsets, with_earlier=false) %}
    select distinct {{ entity }}, event_day + later.days as event_day
    from {{ history }}
    cross join unnest({{ offsets }}) as later (days)
    where event_day + later.days <= {{ ml_assets.end_day() }}
    {%- if not with_earlier %}
        and (later.days = 0 or event_day + later.days >= {{ ml_assets.start_day() }})
    {%- endif %}
{% endmacro %}

{# Named frames: so_far, and last_<w>d for each window; w days end with the current one. Numbers sort faster than dates. #}
{% macro day_frames(entity, windows) %}
    window
        so_far as (
            partition by {{ entity }} order by event_day - date '2000-01-01'
            range between unbounded preceding and current row
        )
    {%- for days in windows %},
        last_{{ days }}d as (
            partition by {{ entity }} order by event_day - date '2000-01-01'
            range between {{ days - 1 }} preceding and current row
        )
    {%- endfor %}
{% endmacro %}

{# Columns <measure>_<w>d for each measure and window. #}
{% macro window_sums(measures, windows, type='bigint') -%}
    {%- for measure in measures -%}
        {%- for days in windows %}
        cast(coalesce(sum({{ measure }}) over last_{{ days }}d, 0) as {{ type }}) as {{ measure }}_{{ days }}d,
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#
    Distinct customers in a window, as changes that a running sum adds up: a purchase day counts one buyer in, and the
    buyer leaves when the window drops that day or, if sooner, when the next purchase day takes over.
    `purchase_days` has one row per entity, customer and event_day with a purchase, within reach of the run.
#}
{% macro buyer_changes(purchase_days, entity, windows) %}
    with followed as (
        select
            {{ entity }},
            event_day,
            lead(event_day) over (partition by {{ entity }}, customer_id order by event_day) as next_day
        from {{ purchase_days }}
    ),

    changes as (
        select {{ entity }}, event_day{% for days in windows %}, 1 as buyers_{{ days }}d{% endfor %}
        from followed
        {%- for days in windows %}
        union all by name
        select {{ entity }}, least(event_day + {{ days }}, next_day) as event_day, -1 as buyers_{{ days }}d
        from followed
        {%- endfor %}
    )

    select
        {{ entity }},
        event_day
        {%- for days in windows %},
        sum(buyers_{{ days }}d) as buyers_{{ days }}d
        {%- endfor %}
    from changes
    group by all
{% endmacro %}

{% macro running_buyers(windows) -%}
    {%- for days in windows %}
        cast(coalesce(sum(buyers_{{ days }}d) over so_far, 0) as bigint) as buyers_{{ days }}d,
    {%- endfor -%}
{%- endmacro %}

{#
    Sums over the last w days of everything that happens to an entity, as a change-point log: <measure>_<w>d, the key and
    event_day. `days` has a row per key and day with something in it; `measures` maps its columns to the types of their
    sums, which are exact (bigint, a decimal, or bignum of what `exact` made), so that building day by day gives the same
    bits as building at once.
#}
{% macro windows_of(days, key, measures, windows) %}
{%- set offsets = [0] + windows %}
    with

    history as ({{ ml_assets.history_of(days, key, offsets) }}),

    change_points as ({{ ml_assets.change_points('history', key, offsets) }}),

    timeline as (
        select
            {{ key }},
            event_day
            {%- for measure in measures %},
            coalesce({{ measure }}, 0) as {{ measure }}
            {%- endfor %}
        from change_points
        left join history using ({{ key }}, event_day)
    )

    select
        {%- for measure, type in measures.items() %}
        {{ ml_assets.window_sums([measure], windows, type) }}
        {%- endfor %}
        {{ key }},
        event_day
    from timeline
    {{ ml_assets.day_frames(key, windows) }}
{% endmacro %}
