"""What is wrong with a feed, in one line."""

from ratwall.errors import UsageError


class FeedError(UsageError):
    """A feed that is not taken; what was held of it before stays."""
