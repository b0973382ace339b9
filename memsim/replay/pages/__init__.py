"""The page allocator's rows are done to the model; pages, tracepoints and the end are compared."""
