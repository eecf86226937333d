{# Incremental strategies: delete what the run owns, insert what it made; dbt wraps both in one transaction. #}

{% macro get_incremental_replace_days_sql(arguments) %}
    {{ ml_assets.replace_rows(arguments, ml_assets.in_range('event_day')) }}
{% endmacro %}

{# A decision is owned by every run that holds a day of its label window. #}
{% macro get_incremental_replace_decisions_sql(arguments) %}
    {{ ml_assets.replace_rows(arguments, ml_assets.in_reach(var('horizon_days') - 1, 'decision_day')) }}
{% endmacro %}

{% macro replace_rows(arguments, owned) %}
    {%- set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arguments['target_relation'] }} where {{ owned }};
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }}
{% endmacro %}
