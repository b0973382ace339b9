"""What the kernel keeps in lib/ and include/linux: order arithmetic and lists on flat arrays."""
