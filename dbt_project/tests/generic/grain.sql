{#
    One row per key, and no part of the key missing. With day_column, which must be part of the key: of this run's days
    and of so many days before them as the run rewrites.
#}
{% test grain(model, columns, day_column=none, days_back=0) %}
select {{ columns | join(', ') }}, count(*) as found
from {{ model }}
{%- if day_column %}
where {{ ml_assets.in_reach(days_back, day_column) }}
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1 {% for column in columns %} or {{ column }} is null{% endfor %}
{% endtest %}
