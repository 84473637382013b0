"""Data sets, their splits, readers, augmentation and batches."""
