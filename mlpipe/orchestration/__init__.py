"""The only room where Dagster is imported: assets, checks, jobs, automation, events, the YAML component."""
