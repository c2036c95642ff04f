"""Finding passages: by vectors and by words."""
