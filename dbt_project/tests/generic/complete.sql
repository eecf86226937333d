{# No missing value in any of the columns; where day_column is given, in this run's days and days_back before them. #}
{% test complete(model, columns, day_column=none, days_back=0) %}
select *
from {{ model }}
where ({% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %})
{%- if day_column %}
    and {{ ml_assets.in_reach(days_back, day_column) }}
{%- endif %}
{% endtest %}
