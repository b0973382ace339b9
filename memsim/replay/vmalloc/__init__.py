"""vmalloc's rows are done to the model; addresses and areas are compared."""
