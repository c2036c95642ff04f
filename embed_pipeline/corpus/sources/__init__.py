"""What a corpus can be: a folder of files, a BEIR folder, SDG records, training data, rows of tables."""
