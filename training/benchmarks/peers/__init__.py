"""The libraries that users would choose instead, used as their own documentation does."""
