"""What is looked at on a watched day: one module a section, put together by `mlpipe.stages.monitor`."""
