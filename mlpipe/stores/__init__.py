"""Objects by content id, tables, model bundles, on a local folder or S3."""
