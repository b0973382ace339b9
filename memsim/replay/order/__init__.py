"""Rows are put in the order in which they took effect."""
