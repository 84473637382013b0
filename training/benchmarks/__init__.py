"""Figures beside those of what users would pick instead: `python -m training benchmark`.

A file per benchmark, which gives `comparisons`; the peers' side of them is in `peers/`.
"""
