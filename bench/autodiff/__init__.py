"""`python -m bench autodiff`: value and gradients of all parameters, against peers.

workloads.py   what is computed, each written once over a kit
kits.py        what a peer calls the operations
peers.py       who computes it, and how each is called
scalars.py     graphs of single numbers, and micro.py, a peer for them
child.py       measures some workloads in a process of its own, with so many threads
memory.py      measures the peak memory of a step, cold.py a cold start, also in processes of their own
measuring.py   what is measured in which order; process.py starts the processes and hands on their rows
demands.py     what must be shown, beside what was measured
onnx_graph.py  a derived graph as an ONNX model
rows.py        the rows looked up by workload and peer
report.py      the rows as tables, grid.py what a table is, figure.py the rows as a picture
"""
