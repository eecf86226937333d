{# One row per key, and no part of the key missing. With day_column, which must be part of the key: of this run's days. #}
{% test grain(model, columns, day_column=none) %}
select {{ columns | join(', ') }}, count(*) as found
from {{ model }}
{%- if day_column %}
where {{ ml_assets.in_range(day_column) }}
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1 {% for column in columns %} or {{ column }} is null{% endfor %}
{% endtest %}
