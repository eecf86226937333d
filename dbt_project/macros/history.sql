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
    Decayed sums in order of time: sum := sum * 2^(-days since the row before / half-life) + the day's count.
    `rows` has one row per keys and event_day; the row carried in from before the run holds the sums as they stood.
    Folding a list keeps the order of the additions, so building day by day gives the same bits as building at once.
    `half_lives` maps a column, count in `rows` and sum in the result, to its half-life in days.
#}
{% macro decayed_sums(rows, keys, half_lives) %}
    select {{ keys | join(', ') }}, unnest(sums, recursive := true)
    from (
        select
            {{ keys | join(', ') }},
            list_reduce(
                list([struct_pack(event_day{% for name in half_lives %}, {{ name }} := cast({{ name }} as double){% endfor %})] order by event_day),
                lambda sums, now: list_append(sums, struct_pack(
                    event_day := now[1].event_day
                    {%- for name, days in half_lives.items() %},
                    {{ name }} := sums[-1].{{ name }}
                        * pow(2, (sums[-1].event_day - now[1].event_day) / {{ days }}.0) + now[1].{{ name }}
                    {%- endfor %}
                ))
            ) as sums
        from {{ rows }}
        group by all
    )
{% endmacro %}
