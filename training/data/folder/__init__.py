"""A folder of class folders of photographs: its images, their split, and those that are damaged."""
