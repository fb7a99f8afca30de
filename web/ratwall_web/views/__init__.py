"""The pages, one module and one blueprint per concern."""
