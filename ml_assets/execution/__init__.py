"""How runs start, wait, end and are found dead: processes, the launcher, the event log, dbt in process."""
