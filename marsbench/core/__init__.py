"""All that decides a number: sessions, modelled hardware, the simulator, metrics, run folders."""
