"""memblock: who has memory before there is a page allocator.

Two sorted arrays of regions, in bytes: what is RAM, and what of it is in use. Allocation looks for
a gap in what is in use, and notes it there; at the end everything that is not in use goes to the
buddy allocator. `region` ← `iterate` ← `find` ← `add` ← `remove`, `alloc`; `dump`.

Kernel: mm/memblock.c
"""
