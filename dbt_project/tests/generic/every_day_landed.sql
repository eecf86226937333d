{#
    The lake has a file of the table for every day of this run: an empty day has a file without rows. Days of the var
    `gaps` (table: days) never came, while later ones did; the check `no_gaps` tells them.
#}
{% test every_day_landed(model, table) %}
select cast(day as date) as missing_day
from generate_series({{ ml_assets.start_day() }}, {{ ml_assets.end_day() }}, interval 1 day) as days (day)
where not list_contains({{ var('gaps', {}).get(table, []) }}::varchar[], strftime(day, '%Y-%m-%d'))
    and strftime(day, '%Y-%m-%d') not in (
    select regexp_extract(file, 'event_day=(\d{4}-\d{2}-\d{2})/[^/]*$', 1)
    from glob('{{ env_var("ML_ASSETS_LAKE") | replace("[", "[[]") | replace("*", "[*]") | replace("?", "[?]")
        | replace("'", "''") }}/{{ table }}/*/*.parquet')
)
{% endtest %}
