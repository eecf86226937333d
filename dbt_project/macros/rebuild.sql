{#
    A table is made anew when the var `rebuild` is true: aside, from all days, swapped in one transaction. The run's days
    must then be all days; `python -m ml_assets rebuild MODEL...` sees to that.
#}
{% macro should_full_refresh() %}
    {% do return(var('rebuild', false)) %}
{% endmacro %}

{# What dbt does on `on_schema_change: fail`, with the command that puts it right. #}
{% macro duckdb__process_schema_changes(on_schema_change, source_relation, target_relation) %}
    {%- set changes = check_for_schema_changes(source_relation, target_relation) -%}
    {%- if changes['schema_changed'] -%}
        {%- set told = [] -%}
        {%- for what, columns in [
            ('new', changes['source_not_in_target']),
            ('gone', changes['target_not_in_source']),
        ] if columns -%}
            {%- do told.append(what ~ ': ' ~ columns | map(attribute='name') | join(', ')) -%}
        {%- endfor -%}
        {%- for column in changes['new_target_types'] -%}
            {%- do told.append(column['column_name'] ~ ' is of type ' ~ column['new_type']) -%}
        {%- endfor -%}
        {{ exceptions.raise_compiler_error(
            "the columns of " ~ target_relation.identifier ~ " have changed (" ~ told | join('; ') ~ "), and its old days "
            ~ "have the old ones; make all days anew: python -m ml_assets rebuild " ~ target_relation.identifier
        ) }}
    {%- endif -%}
    {{ return(changes['source_columns']) }}
{% endmacro %}
