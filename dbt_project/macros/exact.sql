{#
    Numbers that can be summed in any order, day by day or at once, and give the same bits: whole numbers of any length,
    in units of 2^-149, the least that float32 tells from 0. `as_number` makes a number of their sum.
#}

{% macro exact(number) -%}
    cast({{ number }} * pow(2, 149) as bignum)
{%- endmacro %}

{% macro as_number(sum) -%}
    cast({{ sum }} as double) / pow(2, 149)
{%- endmacro %}
