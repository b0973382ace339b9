"""The page allocator: zones of page frames, split and merged in blocks of 2**order pages.

Clients: slub, vmalloc, and whoever calls Machine.alloc_pages(). Unit: pages; a block is its pfn.
Read buddy.py first, with free_list.py, which it moves blocks on; then fallback.py, pcp.py,
rmqueue.py, watermark.py, zone_walk.py, alloc.py, free.py and exact.py.

Kernel: mm/page_alloc.c, cut along its own sections
"""
