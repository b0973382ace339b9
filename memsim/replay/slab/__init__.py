"""Slab's rows are done to the model; objects and caches are compared."""
