"""Documents in, a domain-tuned embedding model out, deployed and proven better than its base."""

__version__ = "0.1.0"
