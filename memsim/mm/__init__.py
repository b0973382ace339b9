"""State and algorithms. The only place that changes state; a file mirrors a kernel file.

To read it with the kernel's source beside it (the baseline's: words/baseline.py):

- A function has its kernel function's name, and its docstring that function's file; `__foo` there
  is `_foo` here. Where a long one was cut, each part says which: "its loop", "its first half", or
  the label where it begins. What names no kernel function is memsim's own.
- A page is its pfn, an object its slab and its index there, NULL is -1. So what the kernel finds by
  a page's address, zone or cache, is passed, first; `vm` holds what the kernel has as globals.
- There are no locks: a call runs to its end. Where a docstring says that zone->lock is held, the
  kernel holds it.
- `if trace.mask & TP_X: trace.emit(X, …)` is the kernel's trace_x(); trace.step() is memsim's own.

House rules. Free lists change only in page_alloc/free_list.py, pcp lists only in page_alloc/pcp.py.
Errors are values (NULL, False): Machine turns them into exceptions. Nothing here knows who looks.
"""
