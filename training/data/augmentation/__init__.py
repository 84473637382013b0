"""What training does to pixels, by numbers that are drawn beforehand."""
