{# The days of this run: vars start_date and end_date, inclusive. #}

{% macro _run_day(name) -%}
    {%- set day = var(name, none) -%}
    {%- if day is none and execute -%}
        {{ exceptions.raise_compiler_error(
            "var " ~ name ~ " is missing; pass the days to build, as in --vars '{start_date: 2025-01-06, end_date: 2025-01-12}'"
        ) }}
    {%- endif -%}
    date '{{ day }}'
{%- endmacro %}

{% macro start_day() -%} {{ ml_assets._run_day('start_date') }} {%- endmacro %}

{% macro end_day() -%} {{ ml_assets._run_day('end_date') }} {%- endmacro %}

{# True for rows whose day is built by this run. #}
{% macro in_range(column='event_day') -%}
    {{ column }} between {{ ml_assets.start_day() }} and {{ ml_assets.end_day() }}
{%- endmacro %}

{# True for the days of this run and for those that its longest window still reaches. #}
{% macro in_reach(days_back, column='event_day') -%}
    {{ column }} between {{ ml_assets.start_day() }} - {{ days_back }} and {{ ml_assets.end_day() }}
{%- endmacro %}

{# The moment at which a row about everything up to and including event_day is known. #}
{% macro known_at(day='event_day') -%}
    cast({{ day }} + 1 as timestamp)
{%- endmacro %}
