"""What only root may do, asked for by the controller: a fixed list of verbs, and nothing else."""
