"""Recorded kernels in: a model from the first state, fed the requests, its answers compared.

The pfns of the recording name pages that were freed or put on an LRU list; they are translated to
memsim's own pages first. No recorded pfn enters the model's state.
"""
