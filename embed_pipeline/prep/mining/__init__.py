"""Hard negatives: mining, rules, denoising, an independent check."""
