"""The engines that play sessions: the simulator, and later live servers and real agents."""
