"""What a person sees of a run or a sweep without leaving the terminal."""
