{# Every day between the first and the last is there: running totals and windows need the days before them. #}
{% test no_day_skipped(model) %}
select event_day, lead(event_day) over (order by event_day) as next_day
from {{ model }}
qualify next_day > event_day + 1
{% endtest %}
