"""Ranges of kernel addresses, pages mapped into them, and their page tables.

Kernel: mm/vmalloc.c, cut along its own sections
"""
