"""Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) on this package's nets, as in the paper."""
