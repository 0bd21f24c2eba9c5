"""Bad input, item by item: what a person is told, with which exit code, and what became of store and ledger."""
