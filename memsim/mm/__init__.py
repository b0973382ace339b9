"""State and algorithms. The only place that changes state; a file mirrors a kernel file.

House rules. Free lists change only in page_alloc/free_list.py, pcp lists only in page_alloc/pcp.py.
A page is its pfn. Errors are values (NULL is -1, False): Machine turns them into exceptions.
Nothing here knows who looks.
"""
