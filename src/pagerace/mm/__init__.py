"""The kernel: one file for each of its files, under its names.

A function stands here once.  Where the kernel changed, a parameter selects the version;
it costs nothing where it is read.
"""
