"""Workloads and measurements. Figures are ratios within one run on one machine."""
