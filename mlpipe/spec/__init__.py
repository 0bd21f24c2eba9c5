"""What the user asked for: frozen, checked at load. No Dagster, no data."""
