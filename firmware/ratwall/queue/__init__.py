"""The kernel's packet queue, bound and made fail-open."""
