"""How verl runs it: trainer, sampler, rollouts, reward, checkpoints, metrics, and what a run publishes of itself."""
