{#
    The expressions are true (or unknown, where a value is missing) in every row; where day_column is given, of this
    run's days and days_back before them.
#}
{% test holds(model, expressions, day_column=none, days_back=0) %}
select *
from {{ model }}
where not ({% for expression in expressions %}coalesce({{ expression }}, true){{ ' and ' if not loop.last }}{% endfor %})
{%- if day_column %}
    and {{ ml_assets.in_reach(days_back, day_column) }}
{%- endif %}
{% endtest %}
