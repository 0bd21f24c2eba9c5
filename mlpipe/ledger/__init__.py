"""The append-only chain of decisions, and the fold that gives versions, stages and the champion."""
