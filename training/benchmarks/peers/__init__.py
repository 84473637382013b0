"""What users would pick instead, as plainly as its own documentation writes it."""
