"""Very deep nets: the identical blocks of a stage as a loop over stacked weights."""
