"""The index: a row for each record, so that any question is answered faster than it is typed. The records stay the truth."""
