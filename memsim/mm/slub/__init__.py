"""The kernel's mm/slub.c, cut along its own sections."""
