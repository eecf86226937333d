{# The newest row of each key before this run, of the keys in `active`: where running totals continue. #}
{% macro latest_before(relation, keys, columns, active) %}
    select
        {{ keys | join(', ') }},
        event_day,
        unnest(latest)
    from (
        select
            {{ keys | join(', ') }},
            max(event_day) as event_day,
            arg_max(struct_pack({{ columns | join(', ') }}), event_day) as latest
        from {{ relation }}
        semi join {{ active }} using ({{ keys | join(', ') }})
        where event_day < {{ ml_assets.start_day() }}
        group by all
    )
{% endmacro %}

{#
    Values that build on the row before, in order of time, per key:
        decayed   sum := sum * 2^(-days since the row before / half-life) + the day's count; maps a column to its half-life
        summed    sum := sum + the day's value
        latest    the day's value or, where it has none, the one before
    `rows` has one row per keys and event_day; the row carried in from before the run holds the values as they stood.
    Folding a list (sorted by its first field, the day) keeps the order of the additions, so building day by day gives the same bits as building at once.
#}
{% macro folded(rows, keys, decayed, summed=[], latest=[]) %}
    select {{ keys | join(', ') }}, unnest(states, recursive := true)
    from (
        select
            {{ keys | join(', ') }},
            list_reduce(
                list_sort(list([struct_pack(
                    event_day
                    {%- for column in latest %}, {{ column }}{% endfor %}
                    {%- for column in summed + decayed.keys() | list %}, {{ column }} := cast({{ column }} as double){% endfor -%}
                )])),
                lambda states, now: list_append(states, struct_pack(
                    event_day := now[1].event_day
                    {%- for column in latest %},
                    {{ column }} := coalesce(now[1].{{ column }}, states[-1].{{ column }})
                    {%- endfor %}
                    {%- for column in summed %},
                    {{ column }} := states[-1].{{ column }} + now[1].{{ column }}
                    {%- endfor %}
                    {%- for column, half_life in decayed.items() %},
                    {{ column }} := states[-1].{{ column }}
                        * pow(2, (states[-1].event_day - now[1].event_day) / {{ half_life }}.0) + now[1].{{ column }}
                    {%- endfor %}
                ))
            ) as states
        from {{ rows }}
        group by all
    )
{% endmacro %}
