"""The Dagster code location."""

from tunekeep.pipeline import pipeline

defs = pipeline.definitions()
