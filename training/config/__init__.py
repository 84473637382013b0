"""What is trained, as data: recipes and jobs."""
