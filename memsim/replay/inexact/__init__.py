"""Any trace, replayed by counts on a machine drawn from copies of /proc."""
