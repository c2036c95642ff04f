"""What is kept on the disk: artifacts, caches, releases, and their collection."""
