"""Train, validation and test, so that nothing leaks between them."""
