"""`python -m bench autodiff`: value and gradients of all parameters, against peers.

workloads.py   what is computed, each written once over a kit
kits.py        what a peer calls the operations
peers.py       who computes it, and how each is called
scalars.py     graphs of single numbers, and micro.py, a peer for them
child.py       measures some workloads in a process of its own, with so many threads
memory.py      measures the peak memory of a step, also in a process of its own
measuring.py   starts these processes and gathers their rows
demands.py     what must be shown, beside what was measured
report.py      the rows as text, figure.py as a picture
"""
