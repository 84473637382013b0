"""What every room uses: errors, whole files, this machine, figures, progress bars."""
