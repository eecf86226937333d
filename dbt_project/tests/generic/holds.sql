{# The expressions are true (or unknown, where a value is missing) in every row, of this run's days where day_column is given. #}
{% test holds(model, expressions, day_column=none) %}
select *
from {{ model }}
where not ({% for expression in expressions %}coalesce({{ expression }}, true){{ ' and ' if not loop.last }}{% endfor %})
{%- if day_column %}
    and {{ ml_assets.in_range(day_column) }}
{%- endif %}
{% endtest %}
