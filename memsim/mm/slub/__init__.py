"""The slab allocator: objects of one size in slabs, which are blocks of pages.

Read slab.py first, for what there is; then alloc.py and free.py, the fast and the slow paths;
partial.py and pages.py, for where slabs come from and go to; sizes.py. debug_*.py and memory.py
are for caches that debug.

Kernel: mm/slub.c, cut along its own sections
"""
