"""Speed beside that of the libraries users would choose instead: `python -m training benchmark`.

Every benchmark is a file with a function `comparisons`; the other libraries' code is in `peers/`.
"""
