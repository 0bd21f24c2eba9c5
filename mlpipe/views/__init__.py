"""Text, HTML and JSON from records and the ledger. Read-only."""
