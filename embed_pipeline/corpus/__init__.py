"""Reading and cutting the documents."""
