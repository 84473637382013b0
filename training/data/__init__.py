"""What it is trained on: data sets, their splits, readers, augmentation and batches."""
