"""adagen inside other libraries."""
