"""The Dagster code location."""

from flights.pipeline import pipeline

defs = pipeline.definitions()
