"""One file a stage, named as the stage. The whole lifecycle runs here without Dagster."""
