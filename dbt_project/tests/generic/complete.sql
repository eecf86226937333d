{# No missing value in any of the columns, in this run's days where day_column is given. #}
{% test complete(model, columns, day_column=none) %}
select *
from {{ model }}
where ({% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %})
{%- if day_column %}
    and {{ ml_assets.in_range(day_column) }}
{%- endif %}
{% endtest %}
