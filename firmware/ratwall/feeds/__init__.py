"""Feeds: indicators that others have published, read strictly, screened, indexed."""
