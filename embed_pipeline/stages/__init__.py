"""What a stage is, one file a stage; the graph, the plan, and the run with its cache."""
