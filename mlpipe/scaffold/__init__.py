"""A pipeline proposed from data that was never seen before: looked at, guessed about in words, and written as a project that runs."""
