"""The modelled hardware: step times and KV capacity of (model, GPU, precision); the tool host."""
