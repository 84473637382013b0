"""Exported models at work: client, batching parameters, development server."""
