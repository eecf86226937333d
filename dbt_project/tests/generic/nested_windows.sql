{# A longer window never counts less than a shorter one, and none counts less than 0; in this run's days. #}
{% test nested_windows(model, measures, windows=[7, 28, 90], day_column='event_day') %}
select *
from {{ model }}
where {{ ml_assets.in_range(day_column) }}
    and (
        {%- for measure in measures %}
        {%- set columns = ['0'] %}
        {%- for days in windows %}{% do columns.append(measure ~ '_' ~ days ~ 'd') %}{% endfor %}
        {%- for column in columns[1:] %}
        {{ columns[loop.index0] }} > {{ column }} or
        {%- endfor %}
        {%- endfor %}
        false
    )
{% endtest %}
