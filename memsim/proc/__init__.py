"""/proc texts of the page allocator: read, written, and a Machine from copies of them."""
