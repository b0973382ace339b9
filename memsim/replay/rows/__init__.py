"""Lines of a trace become rows of numbers, kept in columns beside it."""
