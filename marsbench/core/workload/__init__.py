"""Where sessions come from: recipes, arrivals, recorded traces, and files of sessions."""
