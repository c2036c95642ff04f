"""The web UI as it is served: Dagster's own behind a guard, one code server, and who watches over them."""
