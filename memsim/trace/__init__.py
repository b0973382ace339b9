"""What happened: kernel events and memsim's own steps, as fixed-width records of numbers."""
