"""Questions of other tools and people, in and out."""
