"""From the bytes of an image file to pixels: formats, limits, errors, the square that is cut."""
