{# Per day of this run, the sum of each measure equals that of the expression of the same position in `to`. #}
{% test adds_up(model, measures, to, expressions) %}
with

here as (
    select event_day{% for measure in measures %}, sum({{ measure }}) as sum_{{ loop.index }}{% endfor %}
    from {{ model }}
    where {{ ml_assets.in_range() }}
    group by event_day
),

there as (
    select event_day{% for expression in expressions %}, sum({{ expression }}) as sum_{{ loop.index }}{% endfor %}
    from {{ to }}
    where {{ ml_assets.in_range() }}
    group by event_day
)

select *
from here
full join there using (event_day)
where {% for measure in measures -%}
    coalesce(here.sum_{{ loop.index }}, 0) <> coalesce(there.sum_{{ loop.index }}, 0){{ ' or ' if not loop.last }}
{%- endfor %}
{% endtest %}
