"""The error of finished models, and pictures of what happens inside them."""
