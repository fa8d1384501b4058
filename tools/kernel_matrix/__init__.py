"""The object on kernels other than this machine's: boots them in QEMU and repeats a recorded run on each.

`python -m tools.kernel_matrix --help`.
"""
