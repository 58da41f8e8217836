"""Benchmarks, one command: `python -m bench`. Figures are printed with their spread; nothing is asserted."""
